use super::*;
use crate::clock::Timestamp;

/// The proxies of two networks, and these.
fn proxies(further: &[TrustedProxy]) -> TrustedProxies {
    let networks = ["10.0.0.0/8", "fd00::/8"].map(|network| TrustedProxy::Network(network.parse().unwrap()));
    TrustedProxies::new(&[&networks, further].concat(), Clock::new(|| Timestamp::from_secs(1)))
}

fn map(headers: &[(&str, &str)]) -> HeaderMap {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name.parse().unwrap(), value.parse().unwrap());
    }
    map
}

fn client(peer: &str, headers: &[(&str, &str)]) -> String {
    client_of(peer.parse().ok(), headers, &[])
}

/// What is taken for the client's address, where these proxies are trusted beside those of two networks.
fn client_of(peer: Option<IpAddr>, headers: &[(&str, &str)], further: &[TrustedProxy]) -> String {
    proxies(further).client(peer, &map(headers)).to_string()
}

#[test]
fn a_proxy_on_a_unix_socket_is_followed_only_where_it_is_trusted() {
    let forwarded = [("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")];
    assert_eq!(client_of(None, &forwarded, &[]), "0.0.0.0");
    assert_eq!(client_of(None, &forwarded, &[TrustedProxy::Unix]), "198.51.100.7");
    for (headers, further) in
        [(&[][..], &[TrustedProxy::Unix][..]), (&[("x-forwarded-for", "unknown")], &[TrustedProxy::Unix]), (&[], &[])]
    {
        assert_eq!(client_of(None, headers, further), "0.0.0.0", "{headers:?}");
    }
    // An address that a proxy reports is not that of a socket.
    assert_eq!(client("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 0.0.0.0")]), "0.0.0.0");
    assert_eq!(client_of("192.0.2.1".parse().ok(), &forwarded, &[TrustedProxy::Unix]), "192.0.2.1");
}

#[test]
fn a_client_is_reported_by_a_trusted_proxy_in_headers_that_can_be_read_and_agree() {
    let reports = |peer: &str, headers: &[(&str, &str)]| proxies(&[]).reports_client(peer.parse().ok(), &map(headers));
    let (client, other) = ("198.51.100.7", "for=6.6.6.6");
    assert!(reports("10.0.0.1", &[("x-forwarded-for", client)]));
    assert!(reports("10.0.0.1", &[("x-forwarded-for", "6.6.6.6, 198.51.100.7, 10.0.0.2")]));
    assert!(reports("10.0.0.1", &[("x-forwarded-for", "10.0.0.3")]));
    assert!(reports("10.0.0.1", &[("forwarded", "for=198.51.100.7"), ("x-forwarded-for", client)]));
    assert!(!reports("192.0.2.1", &[("x-forwarded-for", client)]));
    assert!(!reports("10.0.0.1", &[]));
    for unreadable in ["", "unknown", "x, 10.0.0.2", "198.51.100.7,"] {
        assert!(!reports("10.0.0.1", &[("x-forwarded-for", unreadable)]), "{unreadable}");
    }
    assert!(!reports("10.0.0.1", &[("forwarded", other), ("x-forwarded-for", client)]));
    assert!(!reports("10.0.0.1", &[("forwarded", "for=unknown"), ("x-forwarded-for", client)]));
    let on_socket =
        |further: &[TrustedProxy]| proxies(further).reports_client(None, &map(&[("x-forwarded-for", client)]));
    assert!(on_socket(&[TrustedProxy::Unix]) && !on_socket(&[]));
    assert!(!proxies(&[TrustedProxy::Unix]).reports_client(None, &map(&[])));
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
