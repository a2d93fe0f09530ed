//! What becomes of credentials that anybody on the way could read.

use std::net::SocketAddr;

use super::{context::RequestContext, error::ApiError, rate_limited_log::RateLimitedLog};

/// Whether credentials are taken over plain HTTP from another machine.
#[derive(Debug)]
pub struct TlsPolicy {
    is_required: bool,
    warning: RateLimitedLog,
}

impl TlsPolicy {
    /// Refuses them if it `is_required`, or else warns of passwords.
    #[must_use]
    pub fn new(is_required: bool) -> Self {
        Self { is_required, warning: RateLimitedLog::default() }
    }

    /// Judges how a credential came.
    ///
    /// # Errors
    /// [`ApiError::Unencrypted`] if others could read it and that is not permitted.
    pub(super) fn check(&self, context: &RequestContext, is_password: bool) -> Result<(), ApiError> {
        let peer = context.http.peer_addr();
        if context.is_encrypted() || peer.is_some_and(is_this_machine) {
            return Ok(());
        }
        if self.is_required {
            return Err(ApiError::Unencrypted);
        }
        if is_password && self.warning.is_due(context.app.state.clock.now()) {
            let from = peer.map_or_else(|| "-".to_owned(), |peer| peer.ip().to_string());
            log::warn!(
                "a password came over plain HTTP from {from}, where others may read it: serve TLS (--tls-cert or \
                 --tls-self-signed), and refuse such (--require-tls)"
            );
        }
        Ok(())
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
