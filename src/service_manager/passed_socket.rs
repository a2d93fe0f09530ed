//! Sockets that the service manager listens on for this process, see `sd_listen_fds(3)`.

use std::{
    ffi::{OsStr, OsString},
    io,
    net::TcpListener,
    os::{
        fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::net::UnixListener,
    },
};

use rustix::{
    io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd},
    net::{
        AddressFamily, SocketType,
        sockopt::{socket_acceptconn, socket_domain, socket_type},
    },
};
use thiserror::Error;

/// The number of the first passed descriptor.
const FIRST: RawFd = 3;

/// A socket that is listened on already.
#[derive(Debug)]
pub struct PassedSocket {
    /// Its name, as `FileDescriptorName=` gives it; by default that of the socket's unit.
    pub name: String,
    /// The socket.
    pub socket: Socket,
}

/// A listening socket.
#[derive(Debug)]
pub enum Socket {
    /// For IPv4 or IPv6.
    Tcp(TcpListener),
    /// For processes of this machine.
    Unix(UnixListener),
}

/// Why the passed sockets cannot be served.
#[derive(Debug, Error)]
pub enum PassedSocketError {
    /// The number of sockets is none.
    #[error("the service manager passed sockets, but LISTEN_FDS is not their number: `{}`", .0.to_string_lossy().escape_default())]
    Count(OsString),
    /// One of them is something else.
    #[error(
        "the service manager passed descriptor {number} (`{name}`), which is {what}; only stream sockets that are listened on can be \
         served: ListenStream= with Accept=no"
    )]
    Kind {
        /// The descriptor's number.
        number: RawFd,
        /// Its name.
        name: String,
        /// What it is.
        what: &'static str,
    },
    /// One of them cannot be examined.
    #[error("the service manager passed descriptor {number}, which cannot be used")]
    Io {
        /// The descriptor's number.
        number: RawFd,
        /// Why it cannot.
        #[source]
        source: io::Error,
    },
}

/// Takes the sockets of which the variables have the number and the names, separated by colons.
///
/// # Safety
/// Their descriptors may not belong to anything else in this process.
#[expect(unsafe_code, reason = "descriptors are taken by their numbers")]
pub(super) unsafe fn take(count: &OsStr, names: Option<&OsStr>) -> Result<Vec<PassedSocket>, PassedSocketError> {
    let number = count.to_str().and_then(|count| count.parse::<RawFd>().ok());
    let end = number.filter(|number| *number >= 0).and_then(|number| number.checked_add(FIRST));
    let end = end.ok_or_else(|| PassedSocketError::Count(count.to_owned()))?;
    let names = names.map(OsStr::to_string_lossy).unwrap_or_default();
    let names =
        names.split(':').chain(std::iter::repeat("")).map(|name| if name.is_empty() { "unknown" } else { name });
    let each = (FIRST..end).zip(names).map(|(number, name)| {
        // SAFETY: nothing else has it, and each number comes once.
        let descriptor = unsafe { owned(number) }.map_err(|source| PassedSocketError::Io { number, source })?;
        PassedSocket::new(descriptor, number, name.to_owned())
    });
    each.collect()
}

/// The descriptor with that number, closed in programs that this process starts.
///
/// # Safety
/// It may not belong to anything else in this process.
#[expect(unsafe_code, reason = "it was opened before this process began")]
unsafe fn owned(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: it is only asked whether it is open.
    let flags = fcntl_getfd(unsafe { BorrowedFd::borrow_raw(number) })?;
    // SAFETY: it is open, and nothing else has it.
    let descriptor = unsafe { OwnedFd::from_raw_fd(number) };
    fcntl_setfd(&descriptor, flags | FdFlags::CLOEXEC)?;
    Ok(descriptor)
}

impl PassedSocket {
    fn new(descriptor: OwnedFd, number: RawFd, name: String) -> Result<Self, PassedSocketError> {
        match kind(&descriptor) {
            Ok(Kind::Tcp) => Ok(Self { name, socket: Socket::Tcp(descriptor.into()) }),
            Ok(Kind::Unix) => Ok(Self { name, socket: Socket::Unix(descriptor.into()) }),
            Ok(Kind::Other(what)) => Err(PassedSocketError::Kind { number, name, what }),
            Err(error) => Err(PassedSocketError::Io { number, source: error.into() }),
        }
    }
}

/// What a descriptor is.
#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Tcp,
    Unix,
    Other(&'static str),
}

fn kind(descriptor: &OwnedFd) -> Result<Kind, Errno> {
    let is_stream = match socket_type(descriptor) {
        Err(Errno::NOTSOCK) => return Ok(Kind::Other("not a socket")),
        found => found? == SocketType::STREAM,
    };
    if !is_stream {
        return Ok(Kind::Other("a socket for datagrams or packets"));
    }
    if !socket_acceptconn(descriptor)? {
        return Ok(Kind::Other("a socket that is not listened on"));
    }
    let family = socket_domain(descriptor)?;
    Ok(if family == AddressFamily::INET || family == AddressFamily::INET6 {
        Kind::Tcp
    } else if family == AddressFamily::UNIX {
        Kind::Unix
    } else {
        Kind::Other("a socket for neither TCP nor Unix connections")
    })
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::{TcpStream, UdpSocket},
        os::unix::net::UnixDatagram,
    };

    use super::*;

    #[test]
    fn only_sockets_that_are_listened_on_are_served() {
        let directory = tempfile::tempdir().unwrap();
        let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
        let unix = UnixListener::bind(directory.path().join("socket")).unwrap();
        let connection = TcpStream::connect(tcp.local_addr().unwrap()).unwrap();
        let (datagrams, _) = UnixDatagram::pair().unwrap();

        let kinds = [
            tcp.into(),
            unix.into(),
            connection.into(),
            UdpSocket::bind("127.0.0.1:0").unwrap().into(),
            datagrams.into(),
            File::open(directory.path()).unwrap().into(),
        ]
        .map(|descriptor: OwnedFd| kind(&descriptor).unwrap());

        let datagrams = Kind::Other("a socket for datagrams or packets");
        let connection = Kind::Other("a socket that is not listened on");
        let expected = [Kind::Tcp, Kind::Unix, connection, Kind::Other("a socket for datagrams or packets"), datagrams];
        assert_eq!(kinds[..5], expected);
        assert_eq!(kinds[5], Kind::Other("not a socket"));
    }
}
