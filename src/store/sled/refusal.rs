//! Why a store cannot be opened.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use crate::store::engine::EngineError;

/// Why a store cannot be opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Another process has opened it.
    #[error("another lodge is using the store {}", .0.display())]
    InUse(PathBuf),
    /// The files are not what sled wrote.
    #[error("the store {} is damaged and cannot be opened", path.display())]
    Damaged {
        /// Its directory.
        path: PathBuf,
        /// sled's error.
        source: EngineError,
    },
    /// It lacks acknowledged data, or has other data.
    #[error("the store {} has lost data: {what}", path.display())]
    Lost {
        /// Its directory.
        path: PathBuf,
        /// What is missing.
        what: String,
    },
    /// It was made by a newer server.
    #[error("the store {} has format {found}; this server reads up to {known}", path.display())]
    TooNew {
        /// Its directory.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The directory cannot be used.
    #[error("the store {} cannot be opened", path.display())]
    Io {
        /// Its directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The refusal of a directory that sled cannot open.
pub(super) fn refusal(path: &Path, error: EngineError) -> OpenError {
    let path = path.to_owned();
    let message = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
    // sled reports a lock that another process holds, and a lack of permission, only in its error's text.
    if message.contains("could not acquire lock") {
        OpenError::InUse(path)
    } else if message.contains("Permission denied") {
        OpenError::Io { path, source: io::Error::new(io::ErrorKind::PermissionDenied, message) }
    } else {
        OpenError::Damaged { path, source: error }
    }
}
