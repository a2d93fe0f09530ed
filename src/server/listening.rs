//! What the API is served on: addresses with a port, and Unix sockets.

use std::{
    io,
    net::{IpAddr, SocketAddr, TcpListener, ToSocketAddrs},
    os::{linux::net::SocketAddrExt, unix::net::UnixListener},
};

use rustix::net::sockopt::set_socket_send_buffer_size;
use tokio::net::TcpSocket;

use super::unix_socket::{self, SocketFile};
use crate::{
    config::ListenAddress,
    service_manager::{PassedSocket, Socket},
};

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 1024;
/// The size of a socket's send buffer, which holds answers that the client has not read; the kernel doubles it.
const SEND_BUFFER: u32 = 128 << 10;
/// The mode of a Unix socket: for the server's user and group.
const SOCKET_MODE: u32 = 0o660;

/// A socket that the API is served on.
#[derive(Debug)]
pub enum Listener {
    /// An address with a port.
    Tcp(TcpListener),
    /// A Unix socket, with its file if this process has made it.
    Unix(UnixListener, Option<SocketFile>),
}

/// An address that cannot be listened on.
#[derive(Debug)]
pub struct NotBound {
    /// The address as it is given.
    pub address: String,
    /// Why not.
    pub source: io::Error,
}

/// A listener for each of these addresses; a name of several addresses needs one of them.
///
/// # Errors
/// [`NotBound`] with the first that cannot be listened on.
pub fn bind(addresses: &[ListenAddress]) -> Result<Vec<Listener>, NotBound> {
    let mut listeners = Vec::new();
    for address in addresses {
        let bound = match address {
            ListenAddress::Tcp(address) => bind_tcp(address, &listeners),
            ListenAddress::Unix(path) => {
                unix_socket::bind(path, SOCKET_MODE).map(|(listener, file)| vec![Listener::Unix(listener, Some(file))])
            }
        };
        listeners.extend(bound.map_err(|source| NotBound { address: address.to_string(), source })?);
    }
    Ok(listeners)
}

/// A listener for each address that the text resolves to; an error only if there is none.
fn bind_tcp(address: &str, others: &[Listener]) -> io::Result<Vec<Listener>> {
    let listener = |address| listener(address).map_err(|error| explained(error, address, others));
    let (listeners, errors): (Vec<_>, Vec<_>) = address.to_socket_addrs()?.map(listener).partition(Result::is_ok);
    match errors.into_iter().find_map(Result::err) {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(listeners.into_iter().flatten().map(Listener::Tcp).collect()),
    }
}

/// A listener on that address.
pub(super) fn listener(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    // Connections inherit this from the listening socket.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)?.into_std()
}

/// The error, in other words if the address is in use by one of the other listeners.
fn explained(error: io::Error, address: SocketAddr, others: &[Listener]) -> io::Error {
    if error.kind() != io::ErrorKind::AddrInUse {
        return error;
    }
    let overlap = others.iter().filter_map(Listener::address).find_map(|other| overlap(other, address));
    overlap.map_or(error, |why| io::Error::new(io::ErrorKind::AddrInUse, why))
}

/// The sentence about an address that serves another one too, if one of them does.
fn overlap(one: SocketAddr, other: SocketAddr) -> Option<String> {
    let includes = |wide: SocketAddr, narrow: SocketAddr| match wide.ip() {
        // Of IPv4 too, unless the system is set otherwise.
        IpAddr::V6(ip) if ip.is_unspecified() => true,
        IpAddr::V4(ip) if ip.is_unspecified() => narrow.ip().to_canonical().is_ipv4(),
        ip => ip.to_canonical() == narrow.ip().to_canonical(),
    };
    let (wide, narrow) = [(one, other), (other, one)].into_iter().find(|(wide, narrow)| includes(*wide, *narrow))?;
    (wide.port() == narrow.port()).then(|| format!("{wide} serves {narrow} too: leave out the latter"))
}

/// A listener for each socket that the service manager listens on for this server.
///
/// # Errors
/// [`NotBound`] with the name of the first whose connections cannot be set up.
pub fn passed(sockets: Vec<PassedSocket>) -> Result<Vec<Listener>, NotBound> {
    let listener = |PassedSocket { name, socket }| {
        log::info!("the service manager listens for this server, in place of --listen: {name}");
        Listener::passed(socket).map_err(|source| NotBound { address: name, source })
    };
    sockets.into_iter().map(listener).collect()
}

impl Listener {
    fn passed(socket: Socket) -> io::Result<Self> {
        match socket {
            Socket::Tcp(listener) => {
                set_socket_send_buffer_size(&listener, SEND_BUFFER as usize)?;
                Ok(Self::Tcp(listener))
            }
            Socket::Unix(listener) => Ok(Self::Unix(listener, None)),
        }
    }

    fn address(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(listener) => listener.local_addr().ok(),
            Self::Unix(..) => None,
        }
    }

    /// Its URL, or `unix:` and its path.
    pub(super) fn url(&self, is_encrypted: bool) -> io::Result<String> {
        match self {
            Self::Tcp(listener) => {
                let scheme = if is_encrypted { "https" } else { "http" };
                Ok(format!("{scheme}://{}", listener.local_addr()?))
            }
            Self::Unix(listener, _) => {
                let address = listener.local_addr()?;
                let abstract_name = address.as_abstract_name().map(|name| format!("@{}", name.escape_ascii()));
                let path = address.as_pathname().map(|path| path.display().to_string());
                Ok(format!("unix:{}", path.or(abstract_name).unwrap_or_default()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_address_that_another_one_includes_is_named_with_it() {
        let first = bind(&[ListenAddress::Tcp("127.0.0.1:0".to_owned())]).unwrap();
        let port = first[0].address().unwrap().port();

        let error = bind_tcp(&format!("0.0.0.0:{port}"), &first).unwrap_err();

        let sentence = format!("0.0.0.0:{port} serves 127.0.0.1:{port} too: leave out the latter");
        assert_eq!((error.kind(), error.to_string()), (io::ErrorKind::AddrInUse, sentence));
    }

    #[test]
    fn addresses_overlap_where_one_includes_the_other() {
        let overlap = |one: &str, other: &str| overlap(one.parse().unwrap(), other.parse().unwrap());
        let sentence = |wide: &str, narrow: &str| Some(format!("{wide} serves {narrow} too: leave out the latter"));
        for (wide, narrow) in [
            ("[::]:80", "0.0.0.0:80"),
            ("[::]:80", "192.0.2.1:80"),
            ("[::]:80", "[2001:db8::1]:80"),
            ("0.0.0.0:80", "192.0.2.1:80"),
            ("127.0.0.1:80", "127.0.0.1:80"),
        ] {
            assert_eq!(overlap(wide, narrow), sentence(wide, narrow));
            assert_eq!(overlap(narrow, wide), sentence(wide, narrow));
        }
        for (one, other) in [("[::]:80", "[::]:81"), ("0.0.0.0:80", "[::1]:80"), ("127.0.0.1:80", "127.0.0.2:80")] {
            assert_eq!(overlap(one, other), None, "{one} {other}");
        }
    }
}
