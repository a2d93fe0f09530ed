//! The commands' side of the door.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
            net::UnixStream,
        },
    },
    path::{Path, PathBuf},
};

use libc::{O_NOFOLLOW, O_PATH};
use rustix::process::geteuid;
use serde::de::DeserializeOwned;
use thiserror::Error;

use super::{Question, frame::Frame};
use crate::{
    directory::door_in,
    privileges::{are_lowered, as_root},
};

/// The way to a running server.
pub struct AdminSocket(UnixStream);

/// A question that has no answer.
#[derive(Debug, Error)]
pub enum AdminSocketError {
    /// The server says why not.
    #[error("the server says: {0}")]
    Refused(String),
    /// The connection broke off, or whoever asked could not keep what came.
    #[error("the running server did not finish its answer")]
    Io(#[from] io::Error),
}

impl AdminSocket {
    /// The door of the server that runs on that data directory; `None` if none does.
    ///
    /// # Errors
    /// If there is a door, and it is closed to whoever asks.
    pub fn of(directory: &Path) -> io::Result<Option<Self>> {
        let path = door_in(directory);
        // What the server has made is no link; one that somebody has put in its place may lead to another server.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.file_type().is_socket()) {
            return Ok(None);
        }
        let stream = if are_lowered() { connect_as_root(&path) } else { connect(directory, &path) };
        match stream {
            Ok(stream) => Ok(Some(Self(stream))),
            Err(error) if is_without_a_server(error.kind()) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks, hands on each piece and each sign of progress, and gives back how it ended.
    ///
    /// # Errors
    /// [`AdminSocketError`] if the answer is a refusal or does not come to its end.
    pub fn ask<T: DeserializeOwned>(
        self,
        question: &Question,
        data: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<T, AdminSocketError> {
        let mut line = serde_json::to_vec(question).map_err(io::Error::other)?;
        line.push(b'\n');
        (&self.0).write_all(&line)?;
        let mut from = BufReader::new(self.0);
        loop {
            match Frame::read(&mut from)? {
                Frame::Data(bytes) => data.write_all(&bytes)?,
                Frame::Progress(rows) => progress(rows),
                Frame::Done(json) => return Ok(serde_json::from_slice(&json).map_err(io::Error::other)?),
                Frame::Failed(sentence) => return Err(AdminSocketError::Refused(sentence)),
            }
        }
    }
}

fn connect(directory: &Path, path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput => UnixStream::connect(short_name(&File::open(directory)?)),
        _ => Err(error),
    })
}

/// Connects with root's rights, for the audit log of the server to name root, to what is found with those of the owner.
fn connect_as_root(path: &Path) -> io::Result<UnixStream> {
    let found = OpenOptions::new().read(true).custom_flags(O_PATH | O_NOFOLLOW).open(path)?;
    let metadata = found.metadata()?;
    if !metadata.file_type().is_socket() || metadata.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::NotFound.into());
    }
    as_root(|| UnixStream::connect(format!("/proc/self/fd/{}", found.as_raw_fd())))
}

/// Whether it says that nobody is behind the door; or that the directory is not to be entered, which those say who enter it.
fn is_without_a_server(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound, PermissionDenied};
    matches!(kind, NotFound | ConnectionRefused | NotADirectory | PermissionDenied)
}

/// The door's name through an open descriptor of its directory, which is short however long the directory's own name is.
pub(super) fn short_name(directory: &File) -> PathBuf {
    door_in(&PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())))
}
