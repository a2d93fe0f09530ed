//! The data directory: the paths in it, its owner, and its lock.

use std::{
    fs::{self, File, Metadata, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use libc::{O_NOFOLLOW, O_NONBLOCK};
use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};
use thiserror::Error;

use crate::{files::withdraw_from_group, privileges};

/// Entries that a data directory may have before a server has used it, besides hidden files.
const PREPARED: [&str; 4] = ["secret", "tls", "backups", "lost+found"];

/// The data directory, which no other process uses while this lives.
#[derive(Debug)]
pub struct DataDirectory {
    path: PathBuf,
    _lock: File,
}

/// Why a data directory cannot be used.
#[derive(Debug, Error)]
pub enum DirectoryError {
    /// It is not a directory.
    #[error("the data directory {} is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// It belongs to another user.
    #[error("the data directory {} belongs to another user of this system; run lodge as that user", .0.display())]
    Foreign(PathBuf),
    /// It belongs to root, like a new volume, and this process does not run as root.
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
    /// Its owner, whose rights root's commands take, cannot enter a directory above it.
    #[error(
        "the data directory {} cannot be reached by its owner (uid {owner}), with whose rights root works in it; let that \
         user enter the directories above it",
        path.display()
    )]
    Unreachable {
        /// The directory.
        path: PathBuf,
        /// Its owner.
        owner: u32,
    },
    /// It has other files in it and has never been used by lodge.
    #[error(
        "the data directory {} is not one of lodge's: it has `{other}` in it; name an empty directory, or one that does not exist",
        path.display()
    )]
    NotADataDirectory {
        /// The directory.
        path: PathBuf,
        /// One of the other files.
        other: String,
    },
    /// It cannot be written to.
    #[error("the data directory {} cannot be written to", path.display())]
    ReadOnly {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another process uses it.
    #[error("another lodge is using the data directory {}", .0.display())]
    InUse(PathBuf),
    /// It cannot be created or read.
    #[error("the data directory {} cannot be used", path.display())]
    Io {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The path of the store in a data directory.
#[must_use]
pub fn store_in(path: &Path) -> PathBuf {
    path.join("store")
}

/// Where the local socket is in a data directory.
#[must_use]
pub fn local_socket_in(path: &Path) -> PathBuf {
    path.join("lodge.sock")
}

/// The local socket through an open descriptor of its directory: a path that is short however long the directory's own is.
#[must_use]
pub fn short_path_of_local_socket(directory: &File) -> PathBuf {
    local_socket_in(&PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())))
}

/// Gives a command that root runs the rights of the directory's owner; see [`privileges`]. No other thread may have
/// been started. A command of another user keeps its rights.
///
/// # Errors
/// [`DirectoryError`] if the rights cannot be changed, or the owner cannot enter the directory.
pub fn work_as_owner(path: &Path) -> Result<(), DirectoryError> {
    // A directory that does not exist has no owner; opening it reports that.
    let Ok(owner) = fs::metadata(path).map(|metadata| metadata.uid()) else { return Ok(()) };
    if owner == 0 || !geteuid().is_root() {
        return Ok(());
    }
    privileges::lower(owner).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })?;
    fs::metadata(path).map(|_| ()).map_err(|_| DirectoryError::Unreachable { path: path.to_owned(), owner })
}

impl DataDirectory {
    /// Takes the directory for this process. Creates it if it does not exist, and closes it to other users.
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

    /// Takes a directory that exists.
    ///
    /// # Errors
    /// [`DirectoryError`]; then nothing in it is changed.
    pub fn take_existing(path: &Path) -> Result<Self, DirectoryError> {
        fs::metadata(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })?;
        Self::take(path)
    }

    /// Takes a directory that a server has used, and changes neither its mode nor that of any file.
    ///
    /// # Errors
    /// [`DirectoryError`]
    pub fn take_unchanged(path: &Path) -> Result<Self, DirectoryError> {
        let io = |source| DirectoryError::Io { path: path.to_owned(), source };
        let mut options = OpenOptions::new();
        let file = options.read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path.join("lock")).map_err(io)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: file }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(DirectoryError::InUse(path.to_owned())),
            Err(error) => Err(io(error.into())),
        }
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let read_only = |source| DirectoryError::ReadOnly { path: path.to_owned(), source };
        refuse_foreign_files(path)?;
        let metadata = fs::metadata(path).map_err(read_only)?;
        if metadata.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(read_only)?;
        }
        let lock = path.join("lock");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600).custom_flags(O_NOFOLLOW | O_NONBLOCK);
        let file = options.open(&lock).map_err(read_only)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                withdraw_from_group(&path.join("secret"));
                // A link leads to a directory that others may use too.
                if !path.join("tls").is_symlink() {
                    withdraw_from_group(&path.join("tls/key.pem"));
                }
                Ok(Self { path: path.to_owned(), _lock: file })
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

/// Refuses a directory with files of others, which would be closed to their users.
fn refuse_foreign_files(path: &Path) -> Result<(), DirectoryError> {
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn the_lock_is_not_taken_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let (data, elsewhere) = (place.path().join("data"), place.path().join("elsewhere"));
        fs::create_dir_all(data.join("store")).unwrap();
        symlink(&elsewhere, data.join("lock")).unwrap();

        let taken = DataDirectory::take(&data);

        assert!(matches!(taken, Err(DirectoryError::ReadOnly { .. })), "{taken:?}");
        assert!(!elsewhere.exists());
    }

    #[test]
    fn the_rights_of_a_volumes_group_on_secrets_are_withdrawn() {
        let place = tempfile::tempdir().unwrap();
        let [secret, tls, key] = ["secret", "tls", "tls/key.pem"].map(|name| place.path().join(name));
        let taken_with_mode = |mode: u32| {
            for path in [&secret, &key] {
                fs::write(path, [7; 32]).unwrap();
                fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            }
            DataDirectory::take(place.path()).unwrap();
            [place.path(), &secret, &key].map(|path| fs::metadata(path).unwrap().mode() & 0o777)
        };
        fs::create_dir(&tls).unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o2770)).unwrap();
        assert_eq!(taken_with_mode(0o660), [0o700, 0o600, 0o600]);

        let elsewhere = tempfile::tempdir().unwrap();
        fs::rename(&tls, elsewhere.path().join("tls")).unwrap();
        symlink(elsewhere.path().join("tls"), &tls).unwrap();
        assert_eq!(taken_with_mode(0o640), [0o700, 0o600, 0o640], "another server's key too, perhaps");
    }

    #[test]
    fn a_directory_with_other_files_is_left_unchanged() {
        let place = tempfile::tempdir().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let letter = place.path().join("letter");
        fs::write(&letter, "to whom it may concern").unwrap();
        for take in [DataDirectory::take, DataDirectory::take_existing] {
            let refused = take(place.path()).unwrap_err().to_string();
            assert!(refused.contains("is not one of lodge's: it has `letter` in it"), "{refused}");
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
}
