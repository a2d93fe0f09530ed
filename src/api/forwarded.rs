//! The address of a client that is connected through proxies.

use std::net::{IpAddr, Ipv4Addr, SocketAddrV4};

use actix_web::http::header::{FORWARDED, HeaderMap, HeaderName, HeaderValue, X_FORWARDED_FOR};
use ipnet::IpNet;

use crate::{clock::Clock, config::TrustedProxy, logging::RateLimitedLog};

/// The proxies whose headers name the client's address.
pub struct TrustedProxies {
    networks: Vec<IpNet>,
    /// Whether what connects to a Unix socket is one.
    is_local: bool,
    clock: Clock,
    warning: RateLimitedLog,
}

/// The address of a peer on a Unix socket, which has none.
const UNKNOWN: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// A hop on the way of a request.
#[derive(Clone, Copy, Debug)]
struct Hop {
    address: IpAddr,
    /// Whether the proxy after it reports it; if not, it is that proxy.
    is_reported: bool,
}

impl TrustedProxies {
    /// Trusts those proxies.
    #[must_use]
    pub fn new(proxies: &[TrustedProxy], clock: Clock) -> Self {
        let network = |proxy: &TrustedProxy| match proxy {
            TrustedProxy::Network(network) => Some(*network),
            TrustedProxy::Unix => None,
        };
        let networks = proxies.iter().filter_map(network).collect();
        Self { networks, is_local: proxies.contains(&TrustedProxy::Unix), clock, warning: RateLimitedLog::default() }
    }

    /// The address of the client whose request came from that peer: the peer itself, unless it is a trusted proxy. Without an
    /// address the peer is on a Unix socket, and the client's is the unspecified one unless a trusted proxy names it.
    pub(super) fn client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let is_trusted = || self.trusts_peer(peer);
        let peer = peer.map_or(UNKNOWN, |peer| peer.to_canonical());
        // Compared one by one, because few requests have as many headers as a look-up costs.
        if !headers.keys().any(|name| *name == FORWARDED || *name == X_FORWARDED_FOR) {
            return peer;
        }
        if !is_trusted() {
            self.warn(peer);
            return peer;
        }
        let by_forwarded = self.last_untrusted(peer, headers, FORWARDED, in_forwarded);
        let by_x_forwarded_for = self.last_untrusted(peer, headers, X_FORWARDED_FOR, in_x_forwarded_for);
        match (by_forwarded, by_x_forwarded_for) {
            (Some(client), None) | (None, Some(client)) => client.address,
            (Some(client), Some(same)) if client.address == same.address => client.address,
            // A proxy that sets one of the headers forwards the client's own value of the other.
            (Some(_), Some(_)) | (None, None) => peer,
        }
    }

    /// Whether that peer is a trusted proxy that reports the client's address, and reports one only.
    pub(super) fn reports_client(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> bool {
        let (client, nearest) = (self.client(peer, headers), peer.map_or(UNKNOWN, |peer| peer.to_canonical()));
        let hops = [
            self.last_untrusted(nearest, headers, FORWARDED, in_forwarded),
            self.last_untrusted(nearest, headers, X_FORWARDED_FOR, in_x_forwarded_for),
        ];
        let is_client = |hop: &Hop| hop.is_reported && hop.address == client;
        self.trusts_peer(peer) && hops.iter().any(Option::is_some) && hops.iter().flatten().all(is_client)
    }

    /// The last hop before the trusted proxies, or the outermost known proxy if its report cannot be read or names no
    /// hop.
    /// `None` if the header is missing.
    fn last_untrusted(
        &self,
        peer: IpAddr,
        headers: &HeaderMap,
        name: HeaderName,
        address: fn(&str) -> Option<IpAddr>,
    ) -> Option<Hop> {
        if !headers.contains_key(&name) {
            return None;
        }
        let values: Vec<_> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
        let mut hop = Hop { address: peer, is_reported: true };
        for element in values.join(&b',').rsplit(|byte| *byte == b',') {
            let Some(before) = str::from_utf8(element).ok().and_then(address).map(|before| before.to_canonical())
            else {
                hop.is_reported = false;
                break;
            };
            hop.address = before;
            if !self.trusts(before) {
                break;
            }
        }
        Some(hop)
    }

    /// Whether the peer is a trusted proxy; one without an address is on a Unix socket.
    #[must_use]
    pub fn trusts_peer(&self, peer: Option<IpAddr>) -> bool {
        peer.map_or(self.is_local, |peer| self.trusts(peer.to_canonical()))
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.networks.iter().any(|network| network.contains(&address))
    }

    fn warn(&self, peer: IpAddr) {
        if self.warning.is_due(self.clock.now()) {
            let peer = if peer == UNKNOWN { "what connects to a Unix socket".to_owned() } else { peer.to_string() };
            log::warn!(
                "{peer} is not a trusted proxy (--trusted-proxy): its Forwarded and X-Forwarded-For headers are ignored"
            );
        }
    }
}

/// The address in an element of `X-Forwarded-For`.
fn in_x_forwarded_for(element: &str) -> Option<IpAddr> {
    node(element.trim_matches([' ', '\t']))
}

/// The address in an element of `Forwarded` (RFC 7239), if the whole element is well-formed; a part of a quoted string
/// is not.
fn in_forwarded(element: &str) -> Option<IpAddr> {
    let mut client = None;
    for pair in element.trim_matches([' ', '\t']).split(';') {
        let (name, value) = pair.split_once('=').filter(|(name, _)| is_token(name))?;
        let quoted = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
        let value = match quoted {
            Some(text) => Some(text).filter(|text| !text.contains(['"', '\\'])),
            None => Some(value).filter(|value| is_token(value)),
        }?;
        if name.eq_ignore_ascii_case("for") && client.replace(value).is_some() {
            return None;
        }
    }
    node(client?)
}

fn is_token(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_token)
}

/// Parses an address with or without a port; an IPv6 address with a port is in brackets. The zone of a link-local
/// address is ignored, because it has a meaning on the proxy only.
fn node(text: &str) -> Option<IpAddr> {
    let bracketed = || ipv6(text.strip_prefix('[')?.strip_suffix(']')?);
    let with_port = || {
        let (address, port) = text.strip_prefix('[')?.split_once("]:")?;
        port.parse::<u16>().ok().and_then(|_| ipv6(address))
    };
    let ipv4_with_port = || text.parse::<SocketAddrV4>().ok().map(|socket| IpAddr::V4(*socket.ip()));
    text.parse().ok().or_else(|| ipv6(text)).or_else(bracketed).or_else(with_port).or_else(ipv4_with_port)
}

fn ipv6(text: &str) -> Option<IpAddr> {
    let (address, zone) = text.split_once('%').unwrap_or((text, "-"));
    let is_zone = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte);
    address.parse().ok().filter(|_| !zone.is_empty() && zone.bytes().all(is_zone)).map(IpAddr::V6)
}

#[cfg(test)]
mod tests;
