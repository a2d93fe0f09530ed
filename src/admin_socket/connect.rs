//! Finding the socket of a running server.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt},
            net::UnixStream,
        },
    },
    path::Path,
};

use libc::{O_NOFOLLOW, O_PATH};
use rustix::process::geteuid;

use crate::{
    directory::{local_socket_in, short_path_of_local_socket},
    privileges::{are_lowered, as_root},
};

/// A connection to the server that runs on that data directory; `None` if none does.
///
/// # Errors
/// If there is a socket, and it cannot be connected to.
pub fn connect(directory: &Path) -> io::Result<Option<UnixStream>> {
    let path = local_socket_in(directory);
    // What the server has made is no link; one that another has put in its place may lead to another server.
    if fs::symlink_metadata(&path).is_ok_and(|found| !found.file_type().is_socket()) {
        return Ok(None);
    }
    let stream = if are_lowered() { connect_as_root(&path) } else { connect_to(directory, &path) };
    match stream {
        Ok(stream) => Ok(Some(stream)),
        Err(error) if is_without_a_server(error.kind()) => Ok(None),
        Err(error) => Err(error),
    }
}

fn connect_to(directory: &Path, path: &Path) -> io::Result<UnixStream> {
    UnixStream::connect(path).or_else(|error| match error.kind() {
        io::ErrorKind::InvalidInput => UnixStream::connect(short_path_of_local_socket(&File::open(directory)?)),
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

/// Whether it means that no server is listening; or that the directory is not to be entered, which those report who enter it.
fn is_without_a_server(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{ConnectionRefused, NotADirectory, NotFound, PermissionDenied};
    matches!(kind, NotFound | ConnectionRefused | NotADirectory | PermissionDenied)
}
