//! Where the server listens.

use std::{fmt, path::PathBuf};

use super::{
    DEFAULT_LISTEN,
    kinds::{Kind, list},
};

/// How many bytes the path of a socket may have: the kernel's 108 with the byte that ends it.
const MAX_SOCKET_PATH: usize = 107;

/// Where the server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address with a port, or a name of several addresses.
    Tcp(String),
    /// The path of a Unix socket.
    Unix(PathBuf),
}

impl ListenAddress {
    /// Those addresses in one text.
    #[must_use]
    pub fn list(addresses: &[Self]) -> String {
        addresses.iter().map(Self::to_string).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// Addresses with commas between them, none of them twice.
pub(super) fn addresses() -> Kind<Vec<ListenAddress>> {
    list("ADDRESS:PORT,...", address).checked(|addresses| {
        let again = |(at, address)| addresses[..at].contains(address).then_some(address);
        let twice = addresses.iter().enumerate().find_map(again);
        twice.map_or(Ok(()), |address| Err(format!("`{address}` is given twice")))
    })
}

fn address(text: &str) -> Result<ListenAddress, String> {
    text.strip_prefix("unix:").map_or_else(|| tcp(text), unix)
}

fn tcp(text: &str) -> Result<ListenAddress, String> {
    let parts = text.rsplit_once(':').filter(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
    parts.map(|_| ListenAddress::Tcp(text.to_owned())).ok_or_else(|| {
        let text = text.escape_default();
        format!("`{text}` is not an address with a port, such as {DEFAULT_LISTEN}, or a socket, such as unix:/run/lodge/http.sock")
    })
}

fn unix(path: &str) -> Result<ListenAddress, String> {
    if !path.starts_with('/') || path.ends_with('/') || path.contains('\0') {
        return Err(format!(
            "`{}` is not the whole path of a socket, such as /run/lodge/http.sock",
            path.escape_default()
        ));
    }
    if path.len() > MAX_SOCKET_PATH {
        return Err(format!(
            "`{}` has more than the {MAX_SOCKET_PATH} bytes of a socket's path",
            path.escape_default()
        ));
    }
    Ok(ListenAddress::Unix(path.into()))
}
