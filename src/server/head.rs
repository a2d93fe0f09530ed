//! Parses the head of a request: its end, the framing of its body, and whether it may be passed to the framework.
//!
//! At least as strict as the framework's own parser, which accepts every head that passes here, with the same framing.

use std::{mem::MaybeUninit, net::Ipv6Addr};

use actix_web::http::Uri;
use httparse::{Error, Header, Request, Status};

use super::body::Body;
use crate::api::{HIDDEN_UPGRADE, Refusal};

/// The maximum number of headers of a request.
const MAX_HEADERS: usize = 96;
/// The maximum length of a header's name that the framework can store.
const MAX_HEADER_NAME: usize = 65_535;
/// The maximum length of a target that the framework accepts.
const MAX_TARGET: usize = 65_534;

const REQUEST_LINE: Refusal =
    Refusal::Malformed("The request line is not a method, a path without blanks and HTTP/1.0 or HTTP/1.1.");
const TARGET: Refusal = Refusal::Malformed("The path has a character that must be percent-encoded.");
const LINE_END: Refusal = Refusal::Malformed("A line does not end with CR LF.");
const HEADER: Refusal = Refusal::Malformed("A header is malformed.");
const HOST: Refusal = Refusal::Malformed("The Host header must be given once and name a host.");
const LENGTH: Refusal = Refusal::Malformed("The length of the body is not given once, or is not a number.");

/// Whether a byte may be in a target. A table, because comparing with the ranges takes some 130 instructions a request more.
static IS_IN_TARGET: [bool; 256] = {
    let mut is_in = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        is_in[byte] = matches!(byte, 0x21 | 0x24..=0x3B | 0x3D | 0x3F..=0x5F | 0x61..=0x7A | 0x7C | 0x7E);
        byte += 1;
    }
    is_in
};

/// A head that has arrived whole.
#[derive(Debug)]
pub(super) struct Head {
    /// Its length in bytes.
    pub(super) length: usize,
    pub(super) body: Body,
    /// Whether it is the last request of the connection.
    pub(super) is_last: bool,
}

/// Parses the head at the beginning of these bytes; `None` if it has not arrived whole. An `Upgrade` header is renamed,
/// so that the framework ignores it (RFC 9110, section 7.8).
///
/// # Errors
/// A [`Refusal`] if the part that has arrived is malformed.
pub(super) fn read(bytes: &mut [u8]) -> Result<Option<Head>, Refusal> {
    let Some((head, offers_upgrade)) = parse(bytes)? else { return Ok(None) };
    if offers_upgrade {
        hide_upgrade(&mut bytes[..head.length]);
    }
    Ok(Some(head))
}

fn parse(bytes: &[u8]) -> Result<Option<(Head, bool)>, Refusal> {
    // Left unset, because to set all takes as long as to read a head of ordinary length.
    let mut headers = [const { MaybeUninit::uninit() }; MAX_HEADERS];
    let mut request = Request::new(&mut []);
    let parsed = request.parse_with_uninit_headers(bytes, &mut headers).map_err(refusal)?;
    let Status::Complete(length) = parsed else { return Ok(None) };
    check_line_ends(&bytes[..length])?;
    check_target(request.path.unwrap_or_default())?;
    let facts = Facts::of(request.headers)?;
    let is_old = request.version == Some(0);
    let method = request.method.unwrap_or_default();
    // CONNECT is refused with any target.
    let names_host = facts.host.map_or(is_old, |host| method == "CONNECT" || is_host(host));
    if !names_host {
        return Err(HOST);
    }
    let body = facts.body(is_old, method)?;
    let is_last = facts.closes || (is_old && !facts.keeps) || method == "CONNECT";
    Ok(Some((Head { length, body, is_last }, facts.offers_upgrade)))
}

fn refusal(error: Error) -> Refusal {
    match error {
        Error::TooManyHeaders => Refusal::HeadersTooLarge,
        Error::HeaderName | Error::HeaderValue => HEADER,
        Error::NewLine => LINE_END,
        Error::Token | Error::Status | Error::Version => REQUEST_LINE,
    }
}

/// Refuses bare LF, which the parser accepts as the end of a line.
fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    // In pieces whose counts fit into a byte, because then many bytes are counted at once.
    let of_byte = |byte: &u8| i8::from(*byte == b'\r') - i8::from(*byte == b'\n');
    let surplus: i32 = head.chunks(64).map(|piece| i32::from(piece.iter().map(of_byte).sum::<i8>())).sum();
    if surplus == 0 { Ok(()) } else { Err(LINE_END) }
}

/// Refuses targets that the framework would refuse with an answer of its own, and a fragment, which it would ignore.
fn check_target(target: &str) -> Result<(), Refusal> {
    if target.len() > MAX_TARGET {
        return Err(Refusal::PathTooLong);
    }
    if target.starts_with('/') && target.bytes().all(|byte| IS_IN_TARGET[usize::from(byte)]) {
        return Ok(());
    }
    if target.contains('#') || Uri::try_from(target).is_err() { Err(TARGET) } else { Ok(()) }
}

/// The headers' information about the framing.
#[derive(Default)]
struct Facts<'a> {
    host: Option<&'a [u8]>,
    length: Option<u64>,
    encodings: usize,
    closes: bool,
    keeps: bool,
    offers_upgrade: bool,
}

impl<'a> Facts<'a> {
    fn of(headers: &[Header<'a>]) -> Result<Self, Refusal> {
        let mut facts = Self::default();
        for header in headers {
            if header.name.len() > MAX_HEADER_NAME {
                return Err(Refusal::HeadersTooLarge);
            }
            // Compares only names of these lengths, which are few.
            match header.name.len() {
                4 if is("host", header) => facts.host(header.value)?,
                7 if is("upgrade", header) => facts.offers_upgrade = true,
                10 if is("connection", header) => facts.connection(header.value),
                14 if is("content-length", header) => facts.length(header.value)?,
                17 if is("transfer-encoding", header) => facts.encoding(header.value)?,
                _ => {}
            }
        }
        Ok(facts)
    }

    fn host(&mut self, value: &'a [u8]) -> Result<(), Refusal> {
        if self.host.replace(value).is_none() { Ok(()) } else { Err(HOST) }
    }

    fn length(&mut self, value: &[u8]) -> Result<(), Refusal> {
        let digits = str::from_utf8(value.trim_ascii()).ok().filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
        let length = digits.and_then(|digits| digits.parse().ok()).ok_or(LENGTH)?;
        if self.length.replace(length).is_none() { Ok(()) } else { Err(LENGTH) }
    }

    fn encoding(&mut self, value: &[u8]) -> Result<(), Refusal> {
        self.encodings += 1;
        if self.encodings == 1 && value.trim_ascii().eq_ignore_ascii_case(b"chunked") { Ok(()) } else { Err(LENGTH) }
    }

    fn connection(&mut self, value: &[u8]) {
        for option in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
            self.closes |= option.eq_ignore_ascii_case(b"close");
            self.keeps |= option.eq_ignore_ascii_case(b"keep-alive");
            self.offers_upgrade |= option.eq_ignore_ascii_case(b"upgrade");
        }
    }

    fn body(&self, is_old: bool, method: &str) -> Result<Body, Refusal> {
        match self.length {
            _ if self.encodings > 0 && (is_old || self.length.is_some()) => Err(LENGTH),
            None if self.encodings > 0 => Ok(Body::chunked()),
            None if is_old && method == "POST" => Err(LENGTH),
            None => Ok(Body::of_length(0)),
            Some(length) => Ok(Body::of_length(length)),
        }
    }
}

fn is(name: &str, header: &Header<'_>) -> bool {
    header.name.eq_ignore_ascii_case(name)
}

/// Whether the value is a host with or without a port (RFC 9110, section 7.2), or empty.
fn is_host(value: &[u8]) -> bool {
    if let Some(rest) = value.strip_prefix(b"[") {
        return str::from_utf8(rest).is_ok_and(is_bracketed);
    }
    let is_name = |byte: &u8| {
        byte.is_ascii_alphanumeric()
            || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'%' | b'!' | b'$' | b'&'..=b',' | b';' | b'=')
    };
    let port = value.iter().position(|byte| !is_name(byte)).map_or(&[][..], |end| &value[end..]);
    port.is_empty() || (port[0] == b':' && is_port(&port[1..]))
}

/// Whether this is an address of IPv6, its closing bracket and perhaps a port.
fn is_bracketed(text: &str) -> bool {
    text.split_once(']').is_some_and(|(address, after)| {
        let address = address.split('%').next().unwrap_or_default();
        address.parse::<Ipv6Addr>().is_ok() && is_port(after.strip_prefix(':').unwrap_or(after).as_bytes())
    })
}

fn is_port(text: &[u8]) -> bool {
    text.iter().all(u8::is_ascii_digit)
}

/// Renames the `Upgrade` header and the `upgrade` option of `Connection` in place; the new name has as many letters.
fn hide_upgrade(head: &mut [u8]) {
    for line in head.split_mut(|byte| *byte == b'\n') {
        let Some(colon) = line.iter().position(|byte| *byte == b':') else { continue };
        let (name, value) = line.split_at_mut(colon);
        if name.eq_ignore_ascii_case(b"upgrade") {
            name.copy_from_slice(HIDDEN_UPGRADE.as_bytes());
        }
        if name.eq_ignore_ascii_case(b"connection") {
            let options = value[1..].split_mut(|byte| *byte == b',').map(trimmed);
            options
                .filter(|option| option.eq_ignore_ascii_case(b"upgrade"))
                .for_each(|o| o.copy_from_slice(HIDDEN_UPGRADE.as_bytes()));
        }
    }
}

fn trimmed(text: &mut [u8]) -> &mut [u8] {
    let start = text.len() - text.trim_ascii_start().len();
    let end = text.trim_ascii_end().len().max(start);
    &mut text[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(text: &str) -> Result<Option<(usize, Body, bool)>, Refusal> {
        let mut bytes = text.as_bytes().to_vec();
        Ok(read(&mut bytes)?.map(|head| (head.length, head.body, head.is_last)))
    }

    fn with(lines: &str) -> Result<Option<(usize, Body, bool)>, Refusal> {
        head(&format!("POST /a HTTP/1.1\r\nHost: lodge\r\n{lines}\r\n"))
    }

    #[test]
    fn a_head_ends_at_its_empty_line_and_determines_the_body() {
        let text = "GET / HTTP/1.1\r\nHost: lodge\r\n\r\n";
        let whole = text.len();
        assert_eq!(head(&format!("{text}GET /")).unwrap(), Some((whole, Body::of_length(0), false)));
        for length in 0..whole {
            assert_eq!(head(&text[..length]).unwrap(), None, "{length}");
        }
        let framing = |lines| with(lines).unwrap().map(|(_, body, is_last)| (body, is_last));
        assert_eq!(framing("Content-Length: 12\r\n"), Some((Body::of_length(12), false)));
        assert_eq!(framing("transfer-encoding: Chunked\r\n"), Some((Body::chunked(), false)));
        assert_eq!(framing("Connection: x, Close\r\n"), Some((Body::of_length(0), true)));
        let old = |lines| head(&format!("GET / HTTP/1.0\r\n{lines}\r\n")).unwrap().map(|(_, _, is_last)| is_last);
        assert_eq!([old(""), old("Connection: keep-alive\r\n")], [Some(true), Some(false)]);
    }

    #[test]
    fn a_head_that_two_parsers_might_read_differently_is_refused() {
        for (text, expected) in [
            ("GET / HTTP/1.1\nHost: lodge\n\n", LINE_END),
            ("GET / HTTP/1.1\r\nHost: lodge\nX: y\r\n\r\n", LINE_END),
            ("GET / HTTP/1.1\r\nHost: lodge\r\nX: y\r\n\n", LINE_END),
            ("GET  / HTTP/1.1\r\nHost: lodge\r\n\r\n", REQUEST_LINE),
            ("GET /a b HTTP/1.1\r\nHost: lodge\r\n\r\n", REQUEST_LINE),
            ("GET / HTTP/2.0\r\nHost: lodge\r\n\r\n", REQUEST_LINE),
            ("GET /a#b HTTP/1.1\r\nHost: lodge\r\n\r\n", TARGET),
            ("GET http://lodge/a#b HTTP/1.1\r\nHost: lodge\r\n\r\n", TARGET),
            ("GET /\u{e9} HTTP/1.1\r\nHost: lodge\r\n\r\n", TARGET),
            ("GET /?\u{e9} HTTP/1.1\r\nHost: lodge\r\n\r\n", TARGET),
            ("GET / HTTP/1.1\r\n\r\n", HOST),
            ("GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n", HOST),
            ("GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n", HEADER),
            ("POST / HTTP/1.0\r\n\r\n", LENGTH),
            ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", LENGTH),
        ] {
            assert_eq!(head(text).map(|_| ()), Err(expected), "{text:?}");
        }
        for lines in [
            "Content-Length: 1\r\nContent-Length: 1\r\n",
            "Content-Length: 1, 1\r\n",
            "Content-Length: +1\r\n",
            "Content-Length: \r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
        ] {
            assert_eq!(with(lines).map(|_| ()), Err(LENGTH), "{lines:?}");
        }
        assert_eq!(with(&"X: y\r\n".repeat(96)).map(|_| ()), Err(Refusal::HeadersTooLarge));
    }

    #[test]
    fn a_host_is_a_name_or_an_address_with_or_without_a_port() {
        for sound in ["", "lodge", "lodge:8080", "127.0.0.1", "[::1]", "[fe80::1%25eth0]:80", "a_b.example.:443", "a:"]
        {
            assert!(is_host(sound.as_bytes()), "{sound}");
        }
        for wrong in ["user@x", "[::1", "a b", "a/b", "[::1]x", "[x]", "a:b", "::1", "a:1:2", "\u{e9}", "[]", "a?b"] {
            assert!(!is_host(wrong.as_bytes()), "{wrong}");
        }
    }

    #[test]
    fn an_upgrade_header_is_hidden_and_nothing_else() {
        let offers = "GET /upgrade HTTP/1.1\r\nHost: upgrade\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\
                      connection: keep-alive ,\tupgrade\r\nX-Upgrade: upgrade\r\n\r\n";
        let mut bytes = offers.as_bytes().to_vec();
        read(&mut bytes).unwrap();
        let ignored = "GET /upgrade HTTP/1.1\r\nHost: upgrade\r\nConnection: ignored, HTTP2-Settings\r\nignored: h2c\r\n\
                       connection: keep-alive ,\tignored\r\nX-Upgrade: upgrade\r\n\r\n";
        assert_eq!(String::from_utf8(bytes).unwrap(), ignored);
    }
}
