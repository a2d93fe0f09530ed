//! Which credentials are accepted over plain HTTP.

use std::net::SocketAddr;

use thiserror::Error;

use super::connection::Medium;
use crate::{clock::Clock, logging::RateLimitedLog};

/// Whether credentials are accepted over plain HTTP from another machine.
pub struct TlsPolicy {
    is_required: bool,
    clock: Clock,
    warning: RateLimitedLog,
}

/// How a request was transported to this server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Transport {
    /// The peer of the connection, `None` if the system does not know it.
    pub(super) peer: Option<SocketAddr>,
    /// What the connection goes over.
    pub(super) medium: Medium,
}

/// A credential came over plain HTTP from another machine, and TLS is required.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a credential came over plain HTTP, and TLS is required")]
pub(super) struct Unencrypted;

impl TlsPolicy {
    /// A policy that refuses credentials over plain HTTP if TLS `is_required`, and otherwise logs a warning about
    /// passwords.
    #[must_use]
    pub fn new(is_required: bool, clock: Clock) -> Self {
        Self { is_required, clock, warning: RateLimitedLog::default() }
    }

    /// Accepts a token or an API key over that transport.
    ///
    /// # Errors
    /// [`Unencrypted`] if others could read it and TLS is required.
    pub(super) fn accept_token(&self, transport: Transport) -> Result<(), Unencrypted> {
        if self.is_required && !transport.is_private() { Err(Unencrypted) } else { Ok(()) }
    }

    /// Accepts a password over that transport. If others could read it, a warning is logged, at most once an hour.
    ///
    /// # Errors
    /// [`Unencrypted`] if others could read it and TLS is required.
    pub(super) fn accept_password(&self, transport: Transport) -> Result<(), Unencrypted> {
        self.accept_token(transport)?;
        if !transport.is_private() && self.warning.is_due(self.clock.now()) {
            let from = transport.peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
            log::warn!(
                "a password came over plain HTTP from {from}, where others may read it: serve TLS (--tls-cert or \
                 --tls-self-signed), and refuse plain HTTP (--require-tls)"
            );
        }
        Ok(())
    }
}

impl Transport {
    /// Whether nothing between the client and this server can read the request.
    fn is_private(self) -> bool {
        match self.medium {
            Medium::Tcp => self.peer.is_some_and(is_this_machine),
            Medium::Tls | Medium::Unix | Medium::Local(_) | Medium::SystemUser(_) => true,
        }
    }
}

fn is_this_machine(peer: SocketAddr) -> bool {
    peer.ip().to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_in_both_families() {
        let is_own = |text: &str| is_this_machine(text.parse().unwrap());
        assert!(is_own("127.0.0.1:1") && is_own("127.9.9.9:1") && is_own("[::1]:1") && is_own("[::ffff:127.0.0.1]:1"));
        assert!(!is_own("192.0.2.1:1") && !is_own("[2001:db8::1]:1") && !is_own("[::ffff:192.0.2.1]:1"));
    }
}
