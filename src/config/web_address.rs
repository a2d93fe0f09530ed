//! Addresses of pages, as browsers write them.

use std::{
    fmt,
    net::{Ipv4Addr, Ipv6Addr},
};

/// How many bytes an address may have: proxies read a header of 4 KiB, with this in it and encoded.
const MAX_BYTES: usize = 2048;
/// How many bytes a host and a label of it may have (RFC 1035, section 2.3.4).
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;

/// The scheme, the host and the port of a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebOrigin {
    /// Whether it is reached over HTTPS.
    pub is_encrypted: bool,
    host: String,
    port: u16,
}

/// The address of a page: an origin, a path and perhaps a query, but no fragment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebAddress {
    /// Its scheme, host and port.
    pub origin: WebOrigin,
    target: String,
}

impl WebOrigin {
    /// Parses an origin that is written as browsers write it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        Self::of(scheme, authority).filter(|origin| origin.to_string() == text)
    }

    /// The origin of a scheme, and of a host with or without a port in any spelling that means the same.
    #[must_use]
    pub fn of(scheme: &str, authority: &str) -> Option<Self> {
        let is_encrypted = match scheme {
            "https" | "wss" => true,
            "http" | "ws" => false,
            _ => return None,
        };
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')) {
            Some((host, port)) => (host, parse_port(port)?),
            None => (authority, default_port(is_encrypted)),
        };
        Some(Self { is_encrypted, host: parse_host(host)?, port })
    }

    /// The host; an address of IPv6 is in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is plain HTTP that does not leave the browser's machine.
    #[must_use]
    pub fn is_plain_loopback(&self) -> bool {
        let is_ipv4 = self.host.parse().is_ok_and(|address: Ipv4Addr| address.is_loopback());
        !self.is_encrypted && (is_ipv4 || self.host == "[::1]" || self.host == "localhost")
    }
}

impl WebAddress {
    /// Parses an address that is written as browsers write it, with a path.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let authority = text.find("://")? + 3;
        let path = authority + text.get(authority..)?.find('/')?;
        Self::at(WebOrigin::parse(&text[..path])?, &text[path..])
    }

    /// The address at that origin, if the target of a request can be a part of one.
    #[must_use]
    pub fn at(origin: WebOrigin, target: &str) -> Option<Self> {
        let is_sound = target.starts_with('/') && target.len() <= MAX_BYTES && target.bytes().all(is_plain);
        is_sound.then(|| Self { origin, target: target.to_owned() })
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Whether it has a query.
    #[must_use]
    pub fn has_query(&self) -> bool {
        self.target.contains('?')
    }
}

impl fmt::Display for WebOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_encrypted { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default_port(self.is_encrypted) { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.target)
    }
}

fn default_port(is_encrypted: bool) -> u16 {
    if is_encrypted { 443 } else { 80 }
}

fn parse_port(text: &str) -> Option<u16> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| text.parse().ok())?.filter(|port| *port > 0)
}

/// A host in small letters: a name, or an address in its shortest form. Browsers take a name whose last label is a number for an
/// address, in spellings that nobody else knows.
fn parse_host(text: &str) -> Option<String> {
    if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return address.parse::<Ipv6Addr>().ok().map(|address| format!("[{address}]"));
    }
    let host = text.to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    let is_name = !is_number(last) && host.len() <= MAX_HOST && host.split('.').all(is_label);
    (is_name || host.parse::<Ipv4Addr>().is_ok()).then_some(host)
}

fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

fn is_label(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-_".contains(&byte);
    (1..=MAX_LABEL).contains(&text.len()) && text.bytes().all(is_part) && !text.starts_with('-')
}

/// Whether browsers send the byte as it is in a path or a query, and take it for nothing else.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_graphic() && !b"\"#<>\\".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_else() {
        for right in [
            "https://files.example.org",
            "http://10.0.0.7:8080",
            "http://[::1]:3000",
            "https://xn--bcher-kva.example",
            "https://a_b.example:8443",
        ] {
            assert_eq!(WebOrigin::parse(right).map(|origin| origin.to_string()).as_deref(), Some(right));
        }
        for wrong in [
            "",
            "null",
            "files.example.org",
            "//files.example.org",
            "https:files.example.org",
            "https://",
            "https://Files.example.org",
            "HTTPS://files.example.org",
            "https://files.example.org/",
            "https://files.example.org:443",
            "https://files.example.org:",
            "https://files.example.org:0",
            "https://files.example.org:+1",
            "https://files.example.org:080",
            "https://files.example.org:99999",
            "https://files.example.org.",
            "https://files..example.org",
            "https://-files.example.org",
            "https://ann@files.example.org",
            "https://files.example.org\\@evil.example",
            "https://files.example.org%2eevil.example",
            "https://b\u{fc}cher.example",
            "https://files.example.org\n",
            "https://files example.org",
            "https://0x7f.1",
            "https://2130706433",
            "https://127.1",
            "https://127.0.0.0x1",
            "https://[0:0::1]",
            "https://[::1",
            "https://::1",
            "wss://files.example.org",
            "javascript://files.example.org",
            "ftp://files.example.org",
        ] {
            assert_eq!(WebOrigin::parse(wrong), None, "{wrong}");
        }
        assert_eq!(WebOrigin::parse(&format!("https://{}.example", "a".repeat(MAX_LABEL + 1))), None);
    }

    #[test]
    fn a_host_is_reported_in_spellings_that_mean_the_same() {
        let of = |scheme, host| WebOrigin::of(scheme, host).unwrap().to_string();
        assert_eq!(of("https", "Files.Example.ORG:443"), "https://files.example.org");
        assert_eq!(of("ws", "[0:0::1]:80"), "http://[::1]");
        assert_eq!(of("wss", "files.example.org:80"), "https://files.example.org:80");
    }

    #[test]
    fn plain_http_on_loopback_is_known_by_its_host() {
        let is_it = |text| WebOrigin::parse(text).unwrap().is_plain_loopback();
        assert!(is_it("http://127.0.0.1:3000") && is_it("http://[::1]") && is_it("http://localhost:1"));
        assert!(!is_it("https://127.0.0.1") && !is_it("http://localhost.example") && !is_it("http://10.0.0.1"));
    }

    #[test]
    fn an_address_has_nothing_that_could_be_read_in_two_ways() {
        for right in ["https://a.example/", "https://a.example:8443/x,y;z/../%2f?q='a'&b=//c@d|{e}", "http://[::1]/a"] {
            assert_eq!(WebAddress::parse(right).map(|address| address.to_string()).as_deref(), Some(right));
        }
        let long = format!("https://a.example/{}", "x".repeat(MAX_BYTES));
        for wrong in [
            "https://a.example",
            "https://a.example?x",
            "https://a.example\\x",
            "https://a.example/\\x",
            "https://a.example/#x",
            "https://a.example/ x",
            "https://a.example/\r\nX: y",
            "https://a.example/\u{fc}",
            "https://a.example/\u{7f}",
            "https://a.example/\"onclick",
            "https://a.example@b.example/",
            "/files",
            "//a.example/",
            "/\\a.example/",
            "javascript:alert(1)//",
            " https://a.example/",
            &long,
        ] {
            assert_eq!(WebAddress::parse(wrong), None, "{wrong}");
        }
        let address = WebAddress::parse("https://a.example/b/c?d=/e?f").unwrap();
        assert!(address.path() == "/b/c" && address.has_query());
    }
}
