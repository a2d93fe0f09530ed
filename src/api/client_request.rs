//! What a trusted proxy reports of the request of its client, and what browsers add to such a request.

use std::str;

use actix_http::{HttpMessage, Request};
use actix_web::http::{
    Method,
    header::{ACCEPT, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN},
};

use super::forwarded::TrustedProxies;
use crate::config::{WebAddress, WebOrigin};

const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");
const X_ORIGINAL_URI: HeaderName = HeaderName::from_static("x-original-uri");
const X_ORIGINAL_URL: HeaderName = HeaderName::from_static("x-original-url");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// What the sockets rename an `Upgrade` header to, which the framework must not see; as long as that name.
pub const HIDDEN_UPGRADE: &str = "ignored";
/// The headers of a request for a WebSocket; proxies pass on at least one of them.
const OF_UPGRADES: [HeaderName; 3] = [
    HeaderName::from_static(HIDDEN_UPGRADE),
    HeaderName::from_static("sec-websocket-key"),
    HeaderName::from_static("sec-websocket-version"),
];

/// The client's request, as far as trusted proxies report it without contradiction.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ClientRequest {
    /// Its method.
    method: Option<Method>,
    /// The origin that it went to.
    origin: Option<WebOrigin>,
    /// The address that it went to.
    address: Option<WebAddress>,
}

/// Headers contradict each other, or have a value that cannot be right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Contradiction;

impl ClientRequest {
    /// What is reported of the client's request in a request with these headers; nothing if its peer is no trusted proxy.
    pub(super) fn reported(http: &Request, proxies: &TrustedProxies) -> Self {
        let is_trusted = proxies.trusts_peer(http.peer_addr().map(|peer| peer.ip()));
        if is_trusted { Self::of(http.headers()) } else { Self::default() }
    }

    fn of(headers: &HeaderMap) -> Self {
        let method = agreed(headers, &[X_FORWARDED_METHOD, X_ORIGINAL_METHOD]).ok().flatten();
        let method = method.and_then(|method| Method::from_bytes(method.as_bytes()).ok());
        match address(headers) {
            Ok(Some(address)) => Self { method, origin: Some(address.origin.clone()), address: Some(address) },
            Ok(None) => Self { method, origin: origin(headers).ok().flatten(), address: None },
            Err(Contradiction) => Self { method, origin: None, address: None },
        }
    }

    /// The origin that it went to, if it is reported.
    pub(super) fn origin(&self) -> Option<&WebOrigin> {
        self.origin.as_ref()
    }

    /// The address that a browser can be led back to: that of a request with a safe method by which it goes to another page.
    pub(super) fn page(&self, headers: &HeaderMap) -> Option<&WebAddress> {
        let is_navigation = match only(headers, &SEC_FETCH_MODE) {
            Ok(Some(mode)) => mode == "navigate",
            Ok(None) => accepts_html(headers),
            Err(Contradiction) => false,
        };
        self.address.as_ref().filter(|_| is_navigation && self.is_safe(headers))
    }

    /// Whether it can change nothing by its method; one whose method is not known can.
    fn is_safe(&self, headers: &HeaderMap) -> bool {
        let is_upgrade = OF_UPGRADES.iter().any(|name| headers.contains_key(name));
        let is_socket = only(headers, &SEC_FETCH_MODE) == Ok(Some("websocket"));
        let safe = [Method::GET, Method::HEAD, Method::OPTIONS];
        !is_upgrade && !is_socket && self.method.as_ref().is_some_and(|method| safe.contains(method))
    }

    /// Whether pages of another origin cannot have made a browser send it with a cookie and change something: it is safe, or
    /// comes from a page of the origin that it went to. Where the browser names the relation, that counts alone.
    pub(super) fn is_of_own_pages(&self, headers: &HeaderMap) -> bool {
        if self.is_safe(headers) {
            return true;
        }
        match only(headers, &SEC_FETCH_SITE) {
            Ok(Some(site)) => site == "same-origin",
            Ok(None) => self.origin().is_some_and(|origin| comes_from(headers, origin)),
            Err(Contradiction) => false,
        }
    }
}

/// Whether a browser sent a request with these headers from a page of that origin.
pub(super) fn comes_from(headers: &HeaderMap, origin: &WebOrigin) -> bool {
    only(headers, &ORIGIN).ok().flatten().and_then(WebOrigin::parse).as_ref() == Some(origin)
}

/// The origin at which a browser reaches this server itself: what trusted proxies report, and else the request's own.
pub(super) fn own_origin(http: &Request, proxies: &TrustedProxies, is_encrypted: bool) -> Option<WebOrigin> {
    let headers = http.headers();
    let own_scheme = if is_encrypted { "https" } else { "http" };
    let own_host = only(headers, &HOST).ok().flatten();
    if !proxies.trusts_peer(http.peer_addr().map(|peer| peer.ip())) {
        return WebOrigin::of(own_scheme, own_host?);
    }
    let (scheme, host) = (only(headers, &X_FORWARDED_PROTO).ok()?, only(headers, &X_FORWARDED_HOST).ok()?);
    WebOrigin::of(scheme.unwrap_or(own_scheme), host.or(own_host)?)
}

/// The address that the client's request went to: by its parts, as a whole, or both, if they are the same.
fn address(headers: &HeaderMap) -> Result<Option<WebAddress>, Contradiction> {
    let target = agreed(headers, &[X_FORWARDED_URI, X_ORIGINAL_URI])?;
    let whole = agreed(headers, &[X_ORIGINAL_URL])?.map(|url| parse_url(url).ok_or(Contradiction)).transpose()?;
    let by_parts = match (origin(headers)?, target) {
        (Some(origin), Some(target)) => Some(WebAddress::at(origin, target).ok_or(Contradiction)?),
        (Some(_), None) | (None, Some(_)) if whole.is_some() => return Err(Contradiction),
        (Some(_) | None, None) | (None, Some(_)) => None,
    };
    match (by_parts, whole) {
        (Some(parts), Some(whole)) if parts != whole => Err(Contradiction),
        (parts, whole) => Ok(parts.or(whole)),
    }
}

/// The origin that the client's request went to, by its scheme and its host.
fn origin(headers: &HeaderMap) -> Result<Option<WebOrigin>, Contradiction> {
    let Some(host) = only(headers, &X_FORWARDED_HOST)? else { return Ok(None) };
    let Some(scheme) = only(headers, &X_FORWARDED_PROTO)? else { return Ok(None) };
    WebOrigin::of(scheme, host).map(Some).ok_or(Contradiction)
}

fn parse_url(url: &str) -> Option<WebAddress> {
    let (scheme, rest) = url.split_once("://")?;
    let (authority, target) = rest.split_at(rest.find('/')?);
    WebAddress::at(WebOrigin::of(scheme, authority)?, target)
}

/// The value of the headers of these names, which have the same one.
fn agreed<'a>(headers: &'a HeaderMap, names: &[HeaderName]) -> Result<Option<&'a str>, Contradiction> {
    let mut value = None;
    for name in names {
        match (value, only(headers, name)?) {
            (Some(former), Some(other)) if former != other => return Err(Contradiction),
            (former, given) => value = former.or(given),
        }
    }
    Ok(value)
}

/// The value of the only header of that name.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Contradiction> {
    let mut values = headers.get_all(name).map(HeaderValue::as_bytes);
    let Some(value) = values.next() else { return Ok(None) };
    let text = str::from_utf8(value).ok().filter(|text| !text.is_empty() && values.next().is_none());
    text.map(Some).ok_or(Contradiction)
}

fn accepts_html(headers: &HeaderMap) -> bool {
    let values = headers.get_all(ACCEPT).filter_map(|value| value.to_str().ok());
    let is_html =
        |listed: &str| listed.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/html"));
    values.flat_map(|value| value.split(',')).any(is_html)
}

#[cfg(test)]
mod tests;
