//! `lodge health`: whether a running server is ready.

use std::{
    io::{self, Read, Write},
    net::{TcpStream, ToSocketAddrs},
    path::PathBuf,
    time::Duration,
};

use clap::Args;
use rustls::{ClientConnection, StreamOwned, pki_types::ServerName};

use super::Failure;
use crate::{
    config::DEFAULT_LISTEN,
    tls::{self, Files},
};

const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
pub(super) struct HealthArguments {
    /// The address that the server listens on
    #[arg(long, env = "LODGE_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: String,

    /// The certificate that the server serves TLS with; no other is taken, whoever signed it
    #[arg(long, env = "LODGE_TLS_CERT", value_name = "FILE")]
    tls_cert: Option<PathBuf>,

    /// The server serves TLS with the certificate that it keeps in its data directory, for whatever names
    #[arg(long, env = "LODGE_TLS_SELF_SIGNED", value_name = "NAME,...")]
    tls_self_signed: Option<String>,

    /// The server's data directory
    #[arg(long, env = "LODGE_DATA_DIR", value_name = "DIRECTORY", default_value = "data")]
    data_dir: PathBuf,
}

impl HealthArguments {
    /// The files of the server's certificate, if it serves TLS.
    fn files(&self) -> Option<Files> {
        match (&self.tls_cert, &self.tls_self_signed) {
            (Some(certificate), _) => Some(Files { certificate: certificate.clone(), key: PathBuf::new() }),
            (None, Some(_)) => Some(tls::in_data_dir(&self.data_dir)),
            (None, None) => None,
        }
    }
}

pub(super) fn health(arguments: &HealthArguments) -> Result<(), Failure> {
    let address = reachable(&arguments.listen);
    let not_ready = |why: String| Failure::NotReady { address: address.clone(), why };
    let status = ask(&address, arguments.files()).map_err(|error| not_ready(error.to_string()))?;
    if status.contains(" 200 ") { Ok(()) } else { Err(not_ready(status)) }
}

/// A server that listens on all addresses is reached on this machine's own.
fn reachable(listen: &str) -> String {
    let own = listen.strip_prefix("0.0.0.0:").map(|port| format!("127.0.0.1:{port}"));
    own.or_else(|| listen.strip_prefix("[::]:").map(|port| format!("[::1]:{port}")))
        .unwrap_or_else(|| listen.to_owned())
}

/// The status line of the server's answer.
fn ask(address: &str, files: Option<Files>) -> io::Result<String> {
    let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
    let connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.set_write_timeout(Some(DEADLINE))?;
    match files {
        None => converse(connection),
        Some(files) => converse(encrypted(connection, &files)?),
    }
}

/// The connection with TLS, to the server that has the certificate in that file.
fn encrypted(connection: TcpStream, files: &Files) -> io::Result<StreamOwned<ClientConnection, TcpStream>> {
    let certificate = files.read_certificates().map_err(|error| io::Error::other(error.told()))?.swap_remove(0);
    let name = ServerName::IpAddress(connection.peer_addr()?.ip().into());
    let client = ClientConnection::new(tls::client(certificate), name).map_err(io::Error::other)?;
    Ok(StreamOwned::new(client, connection))
}

fn converse(mut connection: impl Read + Write) -> io::Result<String> {
    connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    connection.take(4096).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    Ok(answer.lines().next().unwrap_or("it hung up").to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_on_all_addresses_is_reached_on_this_machines_own() {
        assert_eq!(reachable("0.0.0.0:3000"), "127.0.0.1:3000");
        assert_eq!(reachable("[::]:3000"), "[::1]:3000");
        assert_eq!(reachable("10.0.0.7:80"), "10.0.0.7:80");
    }
}
