//! Unix sockets with a path.

use std::{
    fs::{self, OpenOptions},
    io,
    os::{
        fd::AsRawFd,
        unix::{
            fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
            net::UnixListener,
        },
    },
    path::{Path, PathBuf},
};

use libc::{O_NOFOLLOW, O_PATH};
use rustix::{
    io::Errno,
    net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with},
    process::geteuid,
};

use crate::files::ignore_not_found;

/// The file of a socket that this process has made; removed when this is dropped, unless another has taken its place.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    /// The device and the number of its inode.
    identity: (u64, u64),
}

/// A socket at that path, with that mode. One on which no server listens any more is replaced; anything else is not.
///
/// # Errors
/// If the socket cannot be made.
pub(super) fn bind(path: &Path, mode: u32) -> io::Result<(UnixListener, SocketFile)> {
    remove_abandoned(path)?;
    let listener = UnixListener::bind(path)?;
    Ok((listener, SocketFile::made(path, mode)?))
}

/// Removes a socket on which no server listens any more.
///
/// # Errors
/// If a server listens on it, or something else is at that path.
pub(super) fn remove_abandoned(path: &Path) -> io::Result<()> {
    let Ok(found) = fs::symlink_metadata(path) else { return Ok(()) };
    if !found.file_type().is_socket() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "what is there is no socket"));
    }
    if !is_abandoned(path)? {
        return Err(io::Error::new(io::ErrorKind::AddrInUse, "a server is listening there"));
    }
    ignore_not_found(fs::remove_file(path))
}

/// Whether nothing listens on the socket. Does not wait for a server that has no room for a connection.
fn is_abandoned(path: &Path) -> io::Result<bool> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    match connect(&socket, &SocketAddrUnix::new(path)?) {
        Err(Errno::CONNREFUSED | Errno::NOENT) => Ok(true),
        // Full, of another kind, or not to be connected to by this user.
        Ok(()) | Err(_) => Ok(false),
    }
}

impl SocketFile {
    /// The file that was made at that path just now, with that mode from now on.
    fn made(path: &Path, mode: u32) -> io::Result<Self> {
        // What is opened is what is changed, whatever another user puts in its place meanwhile.
        let opened = OpenOptions::new().read(true).custom_flags(O_PATH | O_NOFOLLOW).open(path)?;
        let metadata = opened.metadata()?;
        if !metadata.file_type().is_socket() || metadata.uid() != geteuid().as_raw() {
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another user has replaced the socket"));
        }
        let file = Self { path: path.to_owned(), identity: (metadata.dev(), metadata.ino()) };
        fs::set_permissions(format!("/proc/self/fd/{}", opened.as_raw_fd()), fs::Permissions::from_mode(mode))?;
        Ok(file)
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let is_own = |found: fs::Metadata| (found.dev(), found.ino()) == self.identity;
        if fs::symlink_metadata(&self.path).is_ok_and(is_own) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;

    #[test]
    fn a_socket_is_removed_at_the_end_unless_another_has_taken_its_place() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        let (listener, file) = bind(&path, 0o660).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o660);
        drop((listener, file));
        assert!(!path.exists());

        let (_listener, replaced) = bind(&path, 0o660).unwrap();
        fs::rename(&path, directory.path().join("elsewhere")).unwrap();
        let (_other, _file) = bind(&path, 0o660).unwrap();
        drop(replaced);
        assert!(UnixStream::connect(&path).is_ok());
    }

    #[test]
    fn only_a_socket_without_a_server_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("http.sock");
        drop(UnixListener::bind(&path).unwrap());
        let (listener, file) = bind(&path, 0o660).unwrap();

        assert_eq!(bind(&path, 0o660).unwrap_err().to_string(), "a server is listening there");
        // Nor one that accepts nothing, once the connections that wait are as many as may.
        rustix::net::listen(&listener, 0).unwrap();
        let _waiting: Vec<_> = std::iter::from_fn(|| connected(&path)).collect();
        assert_eq!(bind(&path, 0o660).unwrap_err().to_string(), "a server is listening there");
        drop((listener, file));

        let _datagrams = UnixDatagram::bind(&path).unwrap();
        assert_eq!(bind(&path, 0o660).unwrap_err().to_string(), "a server is listening there");
        let others: [fn(&Path) -> io::Result<()>; 2] =
            [|path| fs::write(path, "text"), |path| std::os::unix::fs::symlink("http", path)];
        for make in others {
            fs::remove_file(&path).unwrap();
            make(&path).unwrap();
            assert_eq!(bind(&path, 0o660).unwrap_err().to_string(), "what is there is no socket");
            assert!(fs::symlink_metadata(&path).is_ok());
        }
    }

    /// A connection to that socket, if there is room for one.
    fn connected(path: &Path) -> Option<rustix::fd::OwnedFd> {
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::NONBLOCK, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(path).unwrap()).ok().map(|()| socket)
    }
}
