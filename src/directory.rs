//! The data directory: what lies where in it, whose it is, and who is using it.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FlockOperation, flock},
    process::geteuid,
};
use thiserror::Error;

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

/// The paths of what is in that directory under names that begin and end so, in the order of their names.
///
/// # Errors
/// If the directory cannot be read.
pub fn named_in(directory: &Path, begin: &str, end: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(begin) && name.ends_with(end) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
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
            return Err(DirectoryError::Foreign(path.to_owned()));
        }
        Self::lock(path)
    }

    /// Takes a directory that exists, whoever's it is: for commands that root runs on a server's directory.
    ///
    /// # Errors
    /// [`DirectoryError`]; then nothing in it is changed.
    pub fn take_existing(path: &Path) -> Result<Self, DirectoryError> {
        let metadata = fs::metadata(path).map_err(|source| DirectoryError::Io { path: path.to_owned(), source })?;
        if !metadata.is_dir() {
            return Err(DirectoryError::NotADirectory(path.to_owned()));
        }
        if !geteuid().is_root() && metadata.uid() != geteuid().as_raw() {
            return Err(DirectoryError::Foreign(path.to_owned()));
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

    /// Gives what root has made in the directory to whom the directory belongs, with everything that is in it.
    ///
    /// # Errors
    /// Whatever the file system says.
    pub fn give_to_owner(&self, path: &Path) -> io::Result<()> {
        if !geteuid().is_root() {
            return Ok(());
        }
        let owner = fs::metadata(&self.path)?;
        let mut paths = vec![path.to_owned()];
        while let Some(path) = paths.pop() {
            chown(&path, Some(owner.uid()), Some(owner.gid()))?;
            if path.is_dir() {
                for entry in fs::read_dir(&path)? {
                    paths.push(entry?.path());
                }
            }
        }
        Ok(())
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn lock(path: &Path) -> Result<Self, DirectoryError> {
        let read_only = |source| DirectoryError::ReadOnly { path: path.to_owned(), source };
        let metadata = fs::metadata(path).map_err(read_only)?;
        if metadata.permissions().mode() & 0o777 != 0o700 {
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(read_only)?;
        }
        let lock = path.join("lock");
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&lock).map_err(read_only)?;
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
