//! Secrets: values that are wiped on drop and never printed, the root secret and what is derived from it.

use std::{
    fmt,
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use libc::O_NONBLOCK;
use ring::hkdf;
use rustix::process::geteuid;
use thiserror::Error;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::directory::{directory_of, ignore_not_found, with_suffix};

/// A value that prints as `***` and is wiped from memory when dropped.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(Zeroizing<T>);

impl<T: Zeroize> Secret<T> {
    /// Takes a value into custody.
    pub fn new(value: T) -> Self {
        Self(Zeroizing::new(value))
    }

    /// The value itself; do not print or store it.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// `N` bytes from the system's random generator.
///
/// # Panics
/// If the system has no randomness to give, without which nothing here is safe.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A UUID of random bits (version 4).
#[must_use]
pub fn random_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(random_bytes()).into_uuid()
}

/// What a derived key is for; each purpose has a key of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Signs sessions' tokens.
    SessionTokens,
    /// Derives the secret part of API keys.
    ApiKeys,
    /// Remembers verified passwords for a few minutes.
    PasswordCache,
    /// Chains the entries of the audit log.
    AuditLog,
    /// Hashes user names that no account has.
    AuditNames,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::SessionTokens => b"lodge session tokens v1",
            Self::ApiKeys => b"lodge api keys v1",
            Self::PasswordCache => b"lodge verified passwords v1",
            Self::AuditLog => b"lodge audit log v1",
            Self::AuditNames => b"lodge audit names v1",
        }
    }
}

/// The server's secret, from which every other key is derived.
#[derive(Debug)]
pub struct RootSecret(Secret<[u8; 32]>);

/// A secret file that cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The store has records, and the secret they were made with is gone.
    #[error(
        "the secret {} is missing, but the store has been used with one; \
         put the secret file back, without it sessions and API keys cannot be honoured; if it is lost, \
         `lodge secret rotate --keep-keys` makes another one", .0.display()
    )]
    Missing(PathBuf),
    /// Somebody else may have read or made it.
    #[error("the secret {} {why}", path.display())]
    NotPrivate {
        /// The secret file.
        path: PathBuf,
        /// Why.
        why: NotPrivate,
    },
    /// It is too short to be a secret.
    #[error("the secret {} has {length} bytes, and needs at least 32", path.display())]
    TooShort {
        /// The secret file.
        path: PathBuf,
        /// How long it is.
        length: usize,
    },
    /// It cannot be read or made.
    #[error("the secret {} cannot be read or made", path.display())]
    Io {
        /// The secret file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a file is not one that holds a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotPrivate {
    /// Others can read it, with these permission bits.
    #[error("can be read by others (mode {0:03o}); make it yours alone: chmod 600")]
    Exposed(u32),
    /// Its owner, who has this id, knows what is in it.
    #[error("belongs to another user of this system (uid {0}); make it yours: chown")]
    Foreign(u32),
}

impl RootSecret {
    /// A secret of these very bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Reads the secret, or makes it (mode 0600) where `may_create` says that nothing depends on an older one.
    ///
    /// # Errors
    /// [`SecretError`] if it is missing and must not be made, too short, readable by group or others, or somebody else's.
    pub fn open(path: &Path, may_create: bool) -> Result<Self, SecretError> {
        let not_private = |why| SecretError::NotPrivate { path: path.to_owned(), why };
        match read_private(path) {
            Ok(read) => Self::checked(path, &read.map_err(not_private)?),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SecretError::io(path, error)),
            Err(_) if may_create => Self::create(path),
            Err(_) => Err(SecretError::Missing(path.to_owned())),
        }
    }

    /// The secret in hexadecimal digits: for a backup that is asked to hold it.
    #[must_use]
    pub fn to_hexadecimal(&self) -> Secret<String> {
        Secret::new(HEXLOWER.encode(self.0.expose()))
    }

    /// The secret of these hexadecimal digits, `None` if they are not 32 bytes.
    #[must_use]
    pub fn from_hexadecimal(digits: &Secret<String>) -> Option<Self> {
        let bytes = Zeroizing::new(HEXLOWER.decode(digits.expose().as_bytes()).ok()?);
        bytes.as_slice().try_into().ok().map(Self::from_bytes)
    }

    /// Writes the secret to its file (mode 0600), in place of what is there.
    ///
    /// # Errors
    /// [`SecretError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), SecretError> {
        write_private(path, self.0.expose()).map_err(|error| SecretError::io(path, error))
    }

    /// Writes the secret beside its file, so that nothing is in the way of putting it there.
    ///
    /// # Errors
    /// [`SecretError::Io`].
    pub fn prepare(&self, path: &Path) -> Result<Prepared, SecretError> {
        Prepared::write(path, self.0.expose()).map_err(|error| SecretError::io(path, error))
    }

    /// A new secret.
    #[must_use]
    pub fn random() -> Self {
        Self::from_bytes(random_bytes())
    }

    /// The key for one purpose (HKDF-SHA-256, RFC 5869).
    ///
    /// # Panics
    /// Never: HKDF-SHA-256 can give 32 bytes.
    #[must_use]
    pub fn derive(&self, purpose: Purpose) -> Secret<[u8; 32]> {
        let mut key = [0; 32];
        hkdf::Salt::new(hkdf::HKDF_SHA256, b"lodge")
            .extract(self.0.expose())
            .expand(&[purpose.label()], hkdf::HKDF_SHA256)
            .and_then(|okm| okm.fill(&mut key))
            .expect("32 bytes are within what HKDF-SHA-256 can give");
        Secret::new(key)
    }

    fn checked(path: &Path, bytes: &[u8]) -> Result<Self, SecretError> {
        // A longer file (one written by other tools) is condensed; one of exactly 32 bytes is taken as it is.
        match <[u8; 32]>::try_from(bytes) {
            Ok(exact) => Ok(Self::from_bytes(exact)),
            Err(_) if bytes.len() < 32 => Err(SecretError::TooShort { path: path.to_owned(), length: bytes.len() }),
            Err(_) => {
                let digest = ring::digest::digest(&ring::digest::SHA256, bytes);
                Ok(Self::from_bytes(digest.as_ref().try_into().expect("SHA-256 has 32 bytes")))
            }
        }
    }

    fn create(path: &Path) -> Result<Self, SecretError> {
        let secret = Self::random();
        secret.save(path)?;
        Ok(secret)
    }
}

impl SecretError {
    fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

/// Opens a file to read, and nothing that could make the reader wait, such as a pipe.
///
/// # Errors
/// Whatever the file system says, and if it is no file.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is no file")) }
}

/// Reads a file that holds a secret, unless others can read it or it is neither this process's user's nor root's. Root, who
/// also does things for a server of another user, reads what cannot have been planted.
///
/// # Errors
/// If it cannot be read.
pub fn read_private(path: &Path) -> io::Result<Result<Zeroizing<Vec<u8>>, NotPrivate>> {
    let mut file = open_file(path)?;
    let mut bytes = Zeroizing::new(Vec::new());
    file.read_to_end(&mut bytes)?;
    let metadata = file.metadata()?;
    let (user, owner, mode) = (geteuid(), metadata.uid(), metadata.mode() & 0o777);
    Ok(if mode & 0o077 != 0 {
        Err(NotPrivate::Exposed(mode))
    } else if owner == 0 || owner == user.as_raw() || (user.is_root() && !may_be_planted(path, owner)?) {
        Ok(bytes)
    } else {
        Err(NotPrivate::Foreign(owner))
    })
}

/// Whether the file's owner may have put it into somebody else's directory.
fn may_be_planted(path: &Path, owner: u32) -> io::Result<bool> {
    let directory = fs::metadata(directory_of(path))?;
    let is_roots_alone = directory.uid() == 0 && directory.mode() & 0o022 == 0;
    Ok(directory.uid() != owner && !is_roots_alone)
}

/// Makes a file that only its owner can read in place of what is there. A link that is there goes, and what it leads to stays.
///
/// # Errors
/// Whatever the file system says, also if somebody else makes one meanwhile.
pub fn create_private(path: &Path) -> io::Result<File> {
    ignore_not_found(fs::remove_file(path))?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file that only its owner can read, whole or not at all, and durable when this returns.
///
/// # Errors
/// Whatever the file system says; a half-written file is never left under that name.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Prepared::write(path, bytes)?.put_in_place()
}

/// A file that only its owner can read, whole and durable under another name until it is put in its place.
#[must_use]
pub struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Writes the file beside its place.
    ///
    /// # Errors
    /// Whatever the file system says, and if a directory is in its place.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let temporary = with_suffix(path, ".new");
        let mut file = create_private(&temporary)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    /// Puts the file in its place; that is durable when this returns.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn put_in_place(self) -> io::Result<()> {
        fs::rename(&self.temporary, &self.path)?;
        File::open(directory_of(&self.path))?.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_secret_never_prints_itself() {
        assert_eq!(format!("{:?}", Secret::new("hunter2".to_owned())), "***");
    }

    #[test]
    fn each_purpose_has_a_key_of_its_own() {
        let root = RootSecret::from_bytes([7; 32]);
        let tokens = root.derive(Purpose::SessionTokens);
        assert_ne!(tokens.expose(), root.derive(Purpose::ApiKeys).expose());
        assert_ne!(tokens.expose(), root.derive(Purpose::PasswordCache).expose());
        assert_eq!(tokens.expose(), RootSecret::from_bytes([7; 32]).derive(Purpose::SessionTokens).expose());
    }

    #[test]
    fn a_missing_secret_is_made_only_where_nothing_depends_on_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");

        assert!(matches!(RootSecret::open(&path, false), Err(SecretError::Missing(_))));
        let made = RootSecret::open(&path, true).unwrap();

        assert_eq!(mode(&path), 0o600);
        let read = RootSecret::open(&path, false).unwrap();
        assert_eq!(made.0.expose(), read.0.expose());
    }

    #[test]
    fn a_short_or_exposed_secret_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");

        write_private(&path, &[1; 31]).unwrap();
        assert!(matches!(RootSecret::open(&path, true), Err(SecretError::TooShort { length: 31, .. })));

        write_private(&path, &[1; 32]).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let refused = RootSecret::open(&path, true);
        assert!(matches!(refused, Err(SecretError::NotPrivate { why: NotPrivate::Exposed(0o640), .. })));
    }

    #[test]
    fn a_secret_of_somebody_else_is_refused_where_they_may_have_planted_it() {
        if !geteuid().is_root() {
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        write_private(&path, &[1; 32]).unwrap();
        chown(&path, Some(65_532), None).unwrap();
        let refused_in = |owner: u32, mode: u32| {
            chown(directory.path(), Some(owner), None).unwrap();
            fs::set_permissions(directory.path(), fs::Permissions::from_mode(mode)).unwrap();
            RootSecret::open(&path, false).err().map(|error| error.to_string())
        };

        let whose = "belongs to another user of this system (uid 65532); make it yours: chown";
        let refusal = Some(format!("the secret {} {whose}", path.display()));
        assert_eq!(
            [(0, 0o1777), (0, 0o775), (65_533, 0o700)].map(|(owner, mode)| refused_in(owner, mode)),
            [refusal.clone(), refusal.clone(), refusal]
        );
        assert_eq!([(0, 0o755), (65_532, 0o700)].map(|(owner, mode)| refused_in(owner, mode)), [None, None]);
    }

    #[test]
    fn a_private_file_takes_the_place_of_a_link_or_an_open_file_and_nothing_of_theirs() {
        let directory = tempfile::tempdir().unwrap();
        let [path, temporary, elsewhere] =
            ["secret", "secret.new", "elsewhere"].map(|name| directory.path().join(name));
        fs::write(&elsewhere, "somebody's").unwrap();
        symlink(&elsewhere, &temporary).unwrap();

        write_private(&path, b"first").unwrap();
        fs::write(&temporary, "half of it").unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o666)).unwrap();
        write_private(&path, b"second").unwrap();

        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("second".to_owned(), 0o600));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the secret and what was elsewhere");
    }

    #[test]
    fn a_secret_whose_name_ends_like_that_of_a_temporary_file_is_kept_until_the_next_is_whole() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.new");
        write_private(&path, &[1; 32]).unwrap();
        // Nothing can be written under the temporary name.
        fs::create_dir(directory.path().join("secret.new.new")).unwrap();

        write_private(&path, &[2; 32]).unwrap_err();

        assert_eq!(fs::read(&path).unwrap(), [1; 32]);
    }

    #[test]
    fn nobody_waits_for_what_is_no_file() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

        for path in [pipe.as_path(), directory.path()] {
            assert_eq!(open_file(path).unwrap_err().to_string(), "it is no file");
        }
    }
}
