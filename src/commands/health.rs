//! `lodge health`: whether a running server is ready.

use std::{
    io::{Read, Write},
    net::{TcpStream, ToSocketAddrs},
    time::Duration,
};

use clap::Args;

use super::Failure;
use crate::config::DEFAULT_LISTEN;

const DEADLINE: Duration = Duration::from_secs(5);

#[derive(Args, Debug)]
pub(super) struct HealthArguments {
    /// The address that the server listens on
    #[arg(long, env = "LODGE_LISTEN", value_name = "ADDRESS:PORT", default_value = DEFAULT_LISTEN)]
    listen: String,
}

pub(super) fn health(arguments: &HealthArguments) -> Result<(), Failure> {
    let address = reachable(&arguments.listen);
    let not_ready = |why: String| Failure::NotReady { address: address.clone(), why };
    let status = ask(&address).map_err(|error| not_ready(error.to_string()))?;
    if status.contains(" 200 ") { Ok(()) } else { Err(not_ready(status)) }
}

/// A server that listens on all addresses is reached on this machine's own.
fn reachable(listen: &str) -> String {
    let own = listen.strip_prefix("0.0.0.0:").map(|port| format!("127.0.0.1:{port}"));
    own.or_else(|| listen.strip_prefix("[::]:").map(|port| format!("[::1]:{port}")))
        .unwrap_or_else(|| listen.to_owned())
}

/// The status line of the server's answer.
fn ask(address: &str) -> std::io::Result<String> {
    let address = address.to_socket_addrs()?.next().ok_or(std::io::ErrorKind::AddrNotAvailable)?;
    let mut connection = TcpStream::connect_timeout(&address, DEADLINE)?;
    connection.set_read_timeout(Some(DEADLINE))?;
    connection.set_write_timeout(Some(DEADLINE))?;
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
