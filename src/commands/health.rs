//! `lodge health`: checks that a running server is ready, on its local socket or, if that cannot be reached, at its address.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with,
    sockopt::{Timeout, set_socket_timeout},
};
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use super::Failure;
use crate::{
    admin_socket,
    config::{ListenAddress, ServeArguments},
    tls,
};

/// The timeout for a connection to one address, and for its answer.
const DEADLINE: Duration = Duration::from_secs(5);

/// Asks on the local socket or, if no answer comes from there, tries each address on which a server with these settings can
/// be reached, until one answers that it is ready.
pub(super) fn health(arguments: &ServeArguments) -> Result<(), Failure> {
    match on_local_socket(&arguments.data_dir()) {
        Some(200) => return Ok(()),
        Some(status) => {
            let address = arguments.data_dir().display().to_string();
            return Err(Failure::NotReady { address, why: format!("status {status}") });
        }
        None => {}
    }
    let (addresses, is_encrypted) = arguments.reached_at().map_err(Failure::Settings)?;
    let mut whys = Vec::new();
    for address in &addresses {
        match ready_at(address, is_encrypted) {
            Ok(()) => return Ok(()),
            Err(why) => whys.push(why),
        }
    }
    Err(Failure::NotReady { address: ListenAddress::list(&addresses), why: whys.join("; ") })
}

/// Asks at that address, or at each that its name has; an error is a sentence for each.
fn ready_at(address: &ListenAddress, is_encrypted: bool) -> Result<(), String> {
    match address {
        ListenAddress::Unix(path) => ready(&address.to_string(), ask_on_socket(path)),
        ListenAddress::Tcp(name) => {
            let addresses = name.to_socket_addrs().map_err(|error| format!("{name}: {error}"))?;
            let mut whys = Vec::new();
            for address in reachable(addresses) {
                match ready(&address.to_string(), ask(address, is_encrypted)) {
                    Ok(()) => return Ok(()),
                    Err(why) => whys.push(why),
                }
            }
            Err(whys.join("; "))
        }
    }
}

/// Whether that status line is the one of a server that is ready.
fn ready(address: &str, status: io::Result<String>) -> Result<(), String> {
    match status {
        Ok(status) if status.contains(" 200 ") => Ok(()),
        Ok(status) => Err(format!("{address}: {status}")),
        Err(error) => Err(format!("{address}: {error}")),
    }
}

/// The status of the answer on the local socket; `None` if no server answers there.
fn on_local_socket(data_dir: &Path) -> Option<u16> {
    let connection = admin_socket::connect(data_dir).ok()??;
    connection.set_read_timeout(Some(DEADLINE)).ok()?;
    connection.set_write_timeout(Some(DEADLINE)).ok()?;
    admin_socket::send(connection, "GET", "/readyz", None).ok().map(|response| response.status)
}

/// The addresses for a server that listens on all: this machine's own, with IPv4 too in case IPv6 is off.
fn reachable(listen: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let own = |address: SocketAddr| {
        let loopback: &[IpAddr] = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => &[IpAddr::V4(Ipv4Addr::LOCALHOST)],
            IpAddr::V6(ip) if ip.is_unspecified() => {
                &[IpAddr::V6(Ipv6Addr::LOCALHOST), IpAddr::V4(Ipv4Addr::LOCALHOST)]
            }
            ip => return vec![SocketAddr::new(ip, address.port())],
        };
        loopback.iter().map(|ip| SocketAddr::new(*ip, address.port())).collect()
    };
    listen.flat_map(own).collect()
}

/// The status line of the server's answer.
fn ask(address: SocketAddr, is_encrypted: bool) -> io::Result<String> {
    let connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.set_write_timeout(Some(DEADLINE))?;
    if is_encrypted { converse(encrypted(connection)?) } else { converse(connection) }
}

/// The status line of the answer on a Unix socket.
fn ask_on_socket(path: &Path) -> io::Result<String> {
    let connection = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    // A connection waits as long as the server has no room for it.
    set_socket_timeout(&connection, Timeout::Send, Some(DEADLINE))?;
    connect(&connection, &SocketAddrUnix::new(path)?)?;
    let connection = UnixStream::from(connection);
    connection.set_read_timeout(Some(DEADLINE))?;
    converse(connection)
}

/// The connection with TLS. Any certificate is accepted: an expired or just renewed one is no reason to restart the
/// server.
fn encrypted(connection: TcpStream) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let name = ServerName::IpAddress(connection.peer_addr()?.ip().into());
    let client = ClientConnection::new(tls::client(), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(client, connection))
}

fn converse(mut connection: impl Read + Write) -> io::Result<String> {
    connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or("it closed the connection").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machines_own() {
        let reached = |listen: &str| {
            let addresses = reachable(listen.to_socket_addrs().unwrap());
            addresses.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(reached("0.0.0.0:3000"), ["127.0.0.1:3000"]);
        assert_eq!(reached("[::]:3000"), ["[::1]:3000", "127.0.0.1:3000"]);
        assert_eq!(reached("10.0.0.7:80"), ["10.0.0.7:80"]);
    }
}
