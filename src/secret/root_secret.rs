//! The root secret: its file, and the keys that are derived from it.

use std::{
    io,
    path::{Path, PathBuf},
};

use data_encoding::HEXLOWER;
use ring::hkdf;
use thiserror::Error;
use zeroize::Zeroizing;

use super::Secret;
use crate::{
    files::{NotPrivate, Prepared, is_marked_text, read_private, write_private},
    random::random_bytes,
};

/// The purpose of a derived key; each purpose has its own key.
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
    /// Seals the keys that sign assertions.
    AssertionKeys,
}

impl Purpose {
    fn label(self) -> &'static [u8] {
        match self {
            Self::SessionTokens => b"lodge session tokens v1",
            Self::ApiKeys => b"lodge api keys v1",
            Self::PasswordCache => b"lodge verified passwords v1",
            Self::AuditLog => b"lodge audit log v1",
            Self::AuditNames => b"lodge audit names v1",
            Self::AssertionKeys => b"lodge assertion keys v1",
        }
    }
}

/// The server's secret, from which every other key is derived.
#[derive(Debug)]
pub struct RootSecret(Secret<[u8; 32]>);

/// Why the secret file cannot be used.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The file is missing, but the store has been used with a secret.
    #[error(
        "the secret {} is missing, but the store has been used with one; \
         put the secret file back, without it sessions and API keys cannot be honoured; if it is lost, \
         `lodge secret rotate --keep-keys` makes another one", .0.display()
    )]
    Missing(PathBuf),
    /// Another user may know it.
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
    /// It is text that begins with a byte order mark, which editors add and remove.
    #[error("the secret {} is text that begins with a byte order mark; save it as UTF-8 without one", .0.display())]
    Marked(PathBuf),
    /// It cannot be read or created.
    #[error("the secret {} cannot be read or created", path.display())]
    Io {
        /// The secret file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl RootSecret {
    /// A secret with these bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes))
    }

    /// Reads the secret. If it is missing, creates it (mode 0600), provided that `may_create`: nothing depends on an
    /// older one.
    ///
    /// # Errors
    /// [`SecretError`] if it is missing and must not be created, too short, readable by others, or another user's.
    pub fn open(path: &Path, may_create: bool) -> Result<Self, SecretError> {
        let not_private = |why| SecretError::NotPrivate { path: path.to_owned(), why };
        match read_private(path) {
            Ok(read) => Self::checked(path, &read.map_err(not_private)?),
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(SecretError::io(path, error)),
            Err(_) if may_create => Self::create(path),
            Err(_) => Err(SecretError::Missing(path.to_owned())),
        }
    }

    /// The secret in hexadecimal digits, for a backup with the secret.
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

    /// Writes the secret to its file (mode 0600), and replaces an existing one.
    ///
    /// # Errors
    /// [`SecretError::Io`].
    pub fn save(&self, path: &Path) -> Result<(), SecretError> {
        write_private(path, self.0.expose()).map_err(|error| SecretError::io(path, error))
    }

    /// Writes the secret beside its file, so that only a renaming is left to do.
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
        if is_marked_text(bytes) {
            return Err(SecretError::Marked(path.to_owned()));
        }
        // A file of exactly 32 bytes is used as it is; a longer one, written by another tool, is hashed.
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

#[cfg(test)]
mod tests {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown},
    };

    use super::*;
    use crate::files::tests::is_root;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
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
    fn a_missing_secret_is_created_only_if_nothing_depends_on_it() {
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
        for mode in [0o604, 0o644] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let refused = RootSecret::open(&path, true).unwrap_err();
            assert!(
                matches!(refused, SecretError::NotPrivate { why: NotPrivate::Exposed(found), .. } if found == mode),
                "{refused}"
            );
        }
    }

    #[test]
    fn a_secret_that_begins_with_a_byte_order_mark_is_refused_and_random_bytes_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret");
        for text in [
            "\u{feff}a secret of more than 32 bytes in a file".as_bytes(),
            &[b"\xff\xfe".as_slice(), &b"a\0".repeat(20)].concat(),
        ] {
            write_private(&path, text).unwrap();
            assert!(matches!(RootSecret::open(&path, false), Err(SecretError::Marked(_))), "{text:?}");
        }
        write_private(&path, &[b"\xef\xbb\xbf".as_slice(), &[0xff; 29]].concat()).unwrap();
        RootSecret::open(&path, false).unwrap();
    }

    #[test]
    fn a_secret_of_another_user_is_refused_where_that_user_may_have_put_it() {
        if !is_root("files that belong to others") {
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
}
