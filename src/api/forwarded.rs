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
            (Some(client), None) | (None, Some(client)) => client,
            (Some(client), Some(same)) if client == same => client,
            // A proxy that sets one of the headers forwards the client's own value of the other.
            (Some(_), Some(_)) | (None, None) => peer,
        }
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
    ) -> Option<IpAddr> {
        if !headers.contains_key(&name) {
            return None;
        }
        let values: Vec<_> = headers.get_all(name).map(HeaderValue::as_bytes).collect();
        let mut hop = peer;
        for element in values.join(&b',').rsplit(|byte| *byte == b',') {
            let Some(before) = str::from_utf8(element).ok().and_then(address).map(|before| before.to_canonical())
            else {
                break;
            };
            hop = before;
            if !self.trusts(hop) {
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
mod tests {
    use super::*;
    use crate::clock::Timestamp;

    fn client(peer: &str, headers: &[(&str, &str)]) -> String {
        client_of(peer.parse().ok(), headers, &[])
    }

    /// What is taken for the client's address, where these proxies are trusted beside those of two networks.
    fn client_of(peer: Option<IpAddr>, headers: &[(&str, &str)], further: &[TrustedProxy]) -> String {
        let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| TrustedProxy::Network(network.parse().unwrap()));
        let proxies = TrustedProxies::new(&[&networks, further].concat(), Clock::new(|| Timestamp::from_secs(1)));
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse().unwrap(), value.parse().unwrap());
        }
        proxies.client(peer, &map).to_string()
    }

    #[test]
    fn a_proxy_on_a_unix_socket_is_followed_only_where_it_is_trusted() {
        let forwarded = [("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")];
        assert_eq!(client_of(None, &forwarded, &[]), "0.0.0.0");
        assert_eq!(client_of(None, &forwarded, &[TrustedProxy::Unix]), "198.51.100.7");
        for (headers, further) in [
            (&[][..], &[TrustedProxy::Unix][..]),
            (&[("x-forwarded-for", "unknown")], &[TrustedProxy::Unix]),
            (&[], &[]),
        ] {
            assert_eq!(client_of(None, headers, further), "0.0.0.0", "{headers:?}");
        }
        // An address that a proxy reports is not that of a socket.
        assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 0.0.0.0")]), "0.0.0.0");
        assert_eq!(client_of("192.0.2.1".parse().ok(), &forwarded, &[TrustedProxy::Unix]), "192.0.2.1");
    }

    #[test]
    fn only_headers_of_trusted_proxies_count() {
        for peer in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            let own = peer.trim_start_matches("::ffff:");
            assert_eq!(client(peer, &[("x-forwarded-for", "198.51.100.7")]), own);
            assert_eq!(client(peer, &[("forwarded", "for=198.51.100.7")]), own);
        }
        for peer in ["10.1.2.3", "fd00::1", "::ffff:10.1.2.3"] {
            assert_eq!(client(peer, &[("x-forwarded-for", "198.51.100.7")]), "198.51.100.7", "{peer}");
            assert_eq!(client(peer, &[("forwarded", "for=198.51.100.7")]), "198.51.100.7", "{peer}");
        }
        assert_eq!(client("::ffff:10.1.2.3", &[]), "10.1.2.3");
    }

    #[test]
    fn the_last_hop_before_the_trusted_ones_is_the_client() {
        for (value, expected) in [
            ("198.51.100.7", "198.51.100.7"),
            ("6.6.6.6, 198.51.100.7", "198.51.100.7"),
            ("6.6.6.6, 198.51.100.7, 10.0.0.2", "198.51.100.7"),
            ("6.6.6.6,198.51.100.7 ,\t10.0.0.2 , fd00::7", "198.51.100.7"),
            ("10.0.0.3, 10.0.0.2", "10.0.0.3"),
            ("198.51.100.7:4711", "198.51.100.7"),
            ("2001:db8::7", "2001:db8::7"),
            ("[2001:db8::7]", "2001:db8::7"),
            ("[2001:db8::7]:4711", "2001:db8::7"),
            ("fe80::1%eth0", "fe80::1"),
            ("[fe80::1%25eth0.7]", "fe80::1"),
            ("[fe80::1%eth0]:4711", "fe80::1"),
            ("::ffff:198.51.100.7", "198.51.100.7"),
            ("::ffff:10.0.0.4", "10.0.0.4"),
        ] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
        }
        let lines = [("x-forwarded-for", "6.6.6.6"), ("x-forwarded-for", "198.51.100.7")];
        assert_eq!(client("10.0.0.1", &lines), "198.51.100.7");
    }

    #[test]
    fn an_unreadable_element_ends_at_the_last_trusted_hop() {
        for (value, expected) in [
            ("", "10.0.0.1"),
            ("unknown", "10.0.0.1"),
            ("198.51.100.7,", "10.0.0.1"),
            ("198.51.100.7, x", "10.0.0.1"),
            ("198.51.100.7, x, 10.0.0.2", "10.0.0.2"),
            ("198.51.100.256", "10.0.0.1"),
            ("198.51.100.7:99999", "10.0.0.1"),
            ("[198.51.100.7]", "10.0.0.1"),
            ("198.51.100.7 6.6.6.6", "10.0.0.1"),
            ("198.51.100.7%eth0", "10.0.0.1"),
            ("fe80::1%", "10.0.0.1"),
            ("fe80::1%eth 0", "10.0.0.1"),
            ("[fe80::1%eth0]:99999", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("x-forwarded-for", value)]), expected, "{value}");
        }
    }

    #[test]
    fn forwarded_is_parsed_as_rfc_7239_defines_it_and_never_from_a_quoted_string() {
        for (value, expected) in [
            ("for=198.51.100.7", "198.51.100.7"),
            ("For=\"198.51.100.7:4711\";proto=https;by=203.0.113.43", "198.51.100.7"),
            ("for=6.6.6.6, for=\"[2001:db8::7]:4711\"", "2001:db8::7"),
            ("proto=https;host=\"example.org:8443\";for=198.51.100.7, for=10.0.0.2", "198.51.100.7"),
            ("for=unknown", "10.0.0.1"),
            ("for=_hidden", "10.0.0.1"),
            ("for=198.51.100.7, for=_hidden", "10.0.0.1"),
            ("proto=https", "10.0.0.1"),
            ("for=6.6.6.6;for=198.51.100.7", "10.0.0.1"),
            ("for=198.51.100.7;host=\"evil, for=6.6.6.6\"", "10.0.0.1"),
            ("for=198.51.100.7;host=\"evil, for=6.6.6.6;x=\\\"\"", "10.0.0.1"),
            ("for=198.51.100.7;host=\"evil, for=6.6.6.6;x=y\"", "10.0.0.1"),
            ("for=\"evil, for=198.51.100.7", "198.51.100.7"),
            ("for = 198.51.100.7", "10.0.0.1"),
            ("198.51.100.7", "10.0.0.1"),
        ] {
            assert_eq!(client("10.0.0.1", &[("forwarded", value)]), expected, "{value}");
        }
    }

    #[test]
    fn two_headers_count_only_if_they_agree() {
        let both = |forwarded, x_forwarded_for| {
            client("10.0.0.1", &[("forwarded", forwarded), ("x-forwarded-for", x_forwarded_for)])
        };
        assert_eq!(both("for=198.51.100.7", "198.51.100.7"), "198.51.100.7");
        assert_eq!(both("for=6.6.6.6", "198.51.100.7"), "10.0.0.1");
        assert_eq!(both("for=198.51.100.7", "6.6.6.6"), "10.0.0.1");
    }
}
