//! The data directory: what lies where in it, whose it is, and who is using it.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown},
    path::{Path, PathBuf},
};

use libc::O_NOFOLLOW;
use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};
use thiserror::Error;

/// What may be in a data directory before a server has used it, besides hidden files and what a new file system has.
const PREPARED: [&str; 4] = ["secret", "tls", "backups", "lost+found"];
/// What commands open in a data directory, with all that is in it.
const OPENED: [&str; 6] = ["lock", "store", "audit", "backups", "door", "secret"];

/// The data directory, which nobody else uses while this lives.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

/// A data directory that cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It is something else.
    #[error("the data directory {} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It belongs to somebody else.
    #[error("the data directory {} belongs to another user of this system; run lodge as that user", .0.display())]
    Foreign(PathBuf),
    /// It belongs to root, as volumes do, and this process has another user.
    #[error(
        "the data directory {path} belongs to root, and this process (uid {uid}) cannot close it to others; name a directory \
         below it, which lodge creates (`--data-dir {path}/lodge`; in Kubernetes `fsGroup` lets it), or make it this \
         user's: chown {uid} {path}",
        path = path.display()
    )]
    Roots {
        /// The directory.
        path: PathBuf,
        /// The process's user.
        uid: u32,
    },
    /// Its owner may have put there what leads root elsewhere.
    #[error(
        "{} is {what}, and the data directory belongs to another user of this system; run lodge as that user",
        path.display()
    )]
    UnsafeEntry {
        /// What is not opened.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// It is something else's.
    #[error(
        "the data directory {} has nothing of lodge's in it, but `{other}`; name an empty directory, or one that is not there",
        path.display()
    )]
    NotADataDirectory {
        /// The directory.
        path: PathBuf,
        /// Something that is in it.
        other: String,
    },
    /// Nothing can be written there.
    #[error("the data directory {} cannot be written to", path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process has it.
    #[error("another lodge is using the data directory {}", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or looked at.
    #[error("the data directory {} cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the store is in a data directory.
#[must_use]
pub fn store_in(path: &Path) -> PathBuf {
    path.join("store")
}

/// Where the local door is in a data directory.
#[must_use]
pub fn door_in(path: &Path) -> PathBuf {
    path.join("door")
}

impl DataDirectory {
    /// Takes the directory for this process; makes it if it does not exist, and closes it to others.
    ///
    /// # Errors
    /// [`DirectoryError`]; then nothing in it is changed.
    pub fn take(path: &Path) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io { path: path.to_owned(), source };
        if !path.exists() {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(io)?;
        }
        let metadata = fs::metadata(path).map_err(io)?;
        if !metadata.is_dir() {
            return Err(DirectoryError::NotADirectory(path.to_owned()));
        }
        if metadata.uid() != geteuid().as_raw() {
            return Err(foreign(path, &metadata));
        }
        Self::lock(path)
    }

    /// Takes a directory that exists, whoever's it is: for commands that root runs on a server's directory.
    ///
    /// In another user's directory root opens nothing that leads out of it: symbolic links, files with a second name and
    /// what is a third user's are refused by name. That is looked at once, at the beginning. What a process of that user
    /// puts there afterwards may still be followed, and neither `path` itself nor the directories above it are looked at.
    ///
    /// # Errors
    /// [`DirectoryError`]; then nothing in it is changed.
    pub fn take_existing(path: &Path) -> Result<Self, DirectoryError> {
        let metadata = fs::metadata(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })?;
        if !metadata.is_dir() {
            return Err(DirectoryError::NotADirectory(path.to_owned()));
        }
        if metadata.uid() != geteuid().as_raw() {
            if !geteuid().is_root() {
                return Err(foreign(path, &metadata));
            }
            refuse_planted(path, metadata.uid())?;
        }
        Self::lock(path)
    }

    /// Takes a directory for a restore: whoever's it is, or a new one.
    ///
    /// # Errors
    /// [`DirectoryError`]; then nothing in it is changed.
    pub fn for_restore(path: &Path) -> Result<Self, DirectoryError> {
        if path.exists() { Self::take_existing(path) } else { Self::take(path) }
    }

    /// Gives what root has made in the directory to whom the directory belongs, with everything that is in it. Links are
    /// given, and what they lead to is not.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn give_to_owner(&self, path: &Path) -> io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let owner = fs::metadata(&self.path)?;
        tree(path)?.iter().try_for_each(|(path, _)| lchown(path, Some(owner.uid()), Some(owner.gid())))
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let read_only = |source| DirectoryError::ReadOnly { path: path.to_owned(), source };
        refuse_strange(path)?;
        let metadata = fs::metadata(path).map_err(read_only)?;
        if metadata.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(read_only)?;
        }
        let lock = path.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW);
        let file = options.open(&lock).map_err(read_only)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                let directory = Self { path: path.to_owned(), _lock: file };
                directory.give_to_owner(&lock).map_err(read_only)?;
                Ok(directory)
            }
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::InUse(path.to_owned())),
            Err(error) => Err(DirectoryError::Io { path: path.to_owned(), source: error.into() }),
        }
    }
}

fn foreign(path: &Path, metadata: &Metadata) -> DirectoryError {
    let (path, uid) = (path.to_owned(), geteuid().as_raw());
    if metadata.uid() == 0 { DirectoryError::Roots { path, uid } } else { DirectoryError::Foreign(path) }
}

/// Refuses a directory that no server has used and that is not empty: it would be closed to all others.
fn refuse_strange(path: &Path) -> Result<(), DirectoryError> {
    if path.join("lock").is_file() || path.join("store").is_dir() {
        return Ok(());
    }
    let io = |source| DirectoryError::Io { path: path.to_owned(), source };
    for entry in fs::read_dir(path).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && !PREPARED.contains(&name.as_str()) {
            return Err(DirectoryError::NotADataDirectory { path: path.to_owned(), other: name });
        }
    }
    Ok(())
}

/// Refuses another user's directory if anything that is opened there may lead root out of it.
fn refuse_planted(directory: &Path, owner: u32) -> Result<(), DirectoryError> {
    for name in OPENED {
        let found = tree(&directory.join(name));
        for (path, metadata) in found.map_err(|source| DirectoryError::Io { path: directory.to_owned(), source })? {
            if let Some(what) = suspicion(&metadata, owner) {
                return Err(DirectoryError::UnsafeEntry { path, what });
            }
        }
    }
    Ok(())
}

/// What it is, if not a thing that the owner's server or root has made.
fn suspicion(metadata: &Metadata, owner: u32) -> Option<&'static str> {
    let kind = metadata.file_type();
    if kind.is_symlink() {
        Some("a symbolic link")
    } else if metadata.uid() != 0 && metadata.uid() != owner {
        Some("a third user's")
    } else if kind.is_file() && metadata.nlink() > 1 {
        Some("a file with a second name")
    } else if !kind.is_file() && !kind.is_dir() && !kind.is_socket() {
        Some("neither a file nor a directory")
    } else {
        None
    }
}

/// What is at that path and below it; nothing behind a link, and nothing at all where nothing is.
fn tree(path: &Path) -> io::Result<Vec<(PathBuf, Metadata)>> {
    let mut found = Vec::new();
    let mut waiting = vec![path.to_owned()];
    while let Some(path) = waiting.pop() {
        let metadata = match fs::symlink_metadata(&path) {
            // A running server removes some of its files.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            metadata => metadata?,
        };
        if metadata.is_dir() {
            for entry in fs::read_dir(&path)? {
                waiting.push(entry?.path());
            }
        }
        found.push((path, metadata));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use super::*;
    use crate::files::tests::is_root;

    /// Whose the directory is; that somebody has the id is not needed.
    const OWNER: u32 = 65_532;

    #[test]
    fn the_lock_is_not_taken_behind_a_link() {
        let place = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (place.path().join("data"), place.path().join("elsewhere"));
        fs::create_dir_all(data.join("store")).unwrap();
        symlink(&elsewhere, data.join("lock")).unwrap();

        let taken = DataDirectory::take(&data);

        assert!(matches!(taken, Err(DirectoryError::ReadOnly { .. })), "{taken:?}");
        assert!(!elsewhere.exists());
    }

    #[test]
    fn a_directory_with_other_things_in_it_is_left_as_it_is() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let letter = place.path().join("letter");
        fs::write(&letter, "to whom it may concern").unwrap();
        for take in [DataDirectory::take, DataDirectory::take_existing, DataDirectory::for_restore] {
            let refused = take(place.path()).unwrap_err().to_string();
            assert!(refused.contains("has nothing of lodge's in it, but `letter`"), "{refused}");
        }
        let mode = fs::metadata(place.path()).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode, fs::read_dir(place.path()).unwrap().count()), (0o755, 1));

        fs::remove_file(&letter).unwrap();
        for prepared in [".gitignore", "secret", "tls", "backups", "lost+found"] {
            fs::write(place.path().join(prepared), "").unwrap();
        }
        drop(DataDirectory::take(place.path()).unwrap());
        fs::write(&letter, "to the administrator").unwrap();
        DataDirectory::take(place.path()).unwrap();
    }

    #[test]
    fn what_a_link_leads_to_is_not_given_to_the_owner() {
        if !is_root("a directory of another user") {
            return;
        }
        let (place, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let inside = elsewhere.path().join("inside");
        fs::write(&inside, "root's").unwrap();
        chown(place.path(), Some(OWNER), Some(OWNER)).unwrap();
        let directory = DataDirectory::take_existing(place.path()).unwrap();
        let made = place.path().join("made");
        fs::create_dir(&made).unwrap();
        symlink(elsewhere.path(), made.join("to-a-directory")).unwrap();
        symlink(&inside, made.join("to-a-file")).unwrap();

        directory.give_to_owner(&made).unwrap();

        let owner = |path: &Path| fs::symlink_metadata(path).unwrap().uid();
        assert_eq!([&made, &made.join("to-a-file")].map(|path| owner(path)), [OWNER, OWNER]);
        assert_eq!([elsewhere.path(), &inside].map(owner), [0, 0]);
    }
}
