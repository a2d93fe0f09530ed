//! The cookie of the page to sign in at, which has the token of a session.
//!
//! Its name has a prefix where browsers know one that fits, so that no other host and nothing that came in the clear can set it.

use std::time::Duration;

use actix_web::http::header::{COOKIE, HeaderMap, HeaderValue};

use crate::{
    config::{CookieDomain, SignInPage, WebOrigin},
    secret::Secret,
};

/// What every name of it ends with.
const NAME: &str = "lodge_session";

/// The cookie as pages of one origin have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SessionCookie<'a> {
    /// Of one host, over HTTPS.
    Host,
    /// Of all hosts of a domain, over HTTPS.
    Domain(&'a CookieDomain),
    /// Of one host of the browser's own machine, over plain HTTP.
    Loopback,
}

impl<'a> SessionCookie<'a> {
    /// The cookie of that page, as an origin has it; one that is not known has it over HTTPS.
    pub(super) fn of(page: &'a SignInPage, origin: Option<&WebOrigin>) -> Self {
        match &page.cookie_domain {
            Some(domain) => Self::Domain(domain),
            None if origin.is_some_and(WebOrigin::is_plain_loopback) => Self::Loopback,
            None => Self::Host,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Host => "__Host-lodge_session",
            Self::Domain(_) => "__Secure-lodge_session",
            Self::Loopback => NAME,
        }
    }

    /// The token in the cookie; `None` unless the request has it once, in its only header with cookies, as it was set.
    pub(super) fn token(self, headers: &HeaderMap) -> Option<&str> {
        let mut all = headers.get_all(COOKIE);
        let (Some(header), None) = (all.next(), all.next()) else { return None };
        let mut values = pairs(header).filter_map(|pair| self.value(pair));
        let value = values.next().filter(|_| values.next().is_none())?;
        str::from_utf8(value).ok().filter(|value| is_token(value))
    }

    /// The tokens in all cookies of that name: other hosts of a domain can set further ones.
    pub(super) fn tokens(self, headers: &HeaderMap) -> impl Iterator<Item = &str> {
        let values = headers.get_all(COOKIE).flat_map(pairs).filter_map(move |pair| self.value(pair));
        values.filter_map(|value| str::from_utf8(value).ok()).filter(|value| is_token(value))
    }

    /// The value of the cookie, if a pair is it.
    fn value(self, pair: &[u8]) -> Option<&[u8]> {
        pair.strip_prefix(self.name().as_bytes())?.strip_prefix(b"=")
    }

    /// All cookies of the request but this one, as a service may have them; empty if there are no others.
    pub(super) fn others(headers: &HeaderMap) -> HeaderValue {
        let is_other = |pair: &&[u8]| !pair.is_empty() && !pair.windows(NAME.len()).any(|part| part == NAME.as_bytes());
        let others: Vec<_> = headers.get_all(COOKIE).flat_map(pairs).filter(is_other).collect();
        HeaderValue::from_bytes(&others.join(&b"; "[..])).unwrap_or(HeaderValue::from_static(""))
    }

    /// The header that sets the cookie to that token for as long as its session lasts.
    pub(super) fn set(self, token: &Secret<String>, lifetime: Duration) -> HeaderValue {
        self.header(token.expose(), lifetime.as_secs())
    }

    /// The header that removes the cookie.
    pub(super) fn clear(self) -> HeaderValue {
        self.header("", 0)
    }

    fn header(self, value: &str, max_age: u64) -> HeaderValue {
        let rest = match self {
            Self::Host => "; Secure".to_owned(),
            Self::Domain(domain) => format!("; Secure; Domain={}", domain.as_str()),
            Self::Loopback => String::new(),
        };
        let text = format!("{}={value}; Path=/; Max-Age={max_age}; HttpOnly; SameSite=Lax{rest}", self.name());
        let mut header = HeaderValue::try_from(text).expect("a token and a domain have the characters of a header");
        header.set_sensitive(true);
        header
    }
}

fn pairs(header: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    header.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii)
}

/// Whether the value could be a session's token: nothing else is one, not even an API key.
fn is_token(value: &str) -> bool {
    let is_part =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    value.split('.').count() == 3 && value.split('.').all(is_part)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(values: &[&str]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for value in values {
            map.append(COOKIE, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        map
    }

    fn token(values: &[&str]) -> Option<String> {
        SessionCookie::Host.token(&map(values)).map(str::to_owned)
    }

    #[test]
    fn a_cookie_is_read_as_it_was_set_and_not_otherwise() {
        for right in [
            "__Host-lodge_session=a.b-_.c",
            "x=y; __Host-lodge_session=a.b-_.c;z=",
            "; =; __Host-lodge_session=a.b-_.c",
        ] {
            assert_eq!(token(&[right]).as_deref(), Some("a.b-_.c"), "{right}");
        }
        for wrong in [
            &[][..],
            &["__Host-lodge_session="],
            &["__Host-lodge_session"],
            &["__Host-lodge_session=\"a.b.c\""],
            &["__Host-lodge_session=a.b.c, x=y"],
            &["x=y, __Host-lodge_session=a.b.c"],
            &["__Host-lodge_session=a.b.c; __Host-lodge_session=a.b.c"],
            &["__Host-lodge_session=a.b.c", "__Host-lodge_session=a.b.c"],
            &["__Host-lodge_session=a.b.c", "x=y"],
            &["__Host-lodge_session=a.b"],
            &["__Host-lodge_session=a.b.c.d"],
            &["__Host-lodge_session=a..c"],
            &["__Host-lodge_session=lodge_key"],
            &["__Host-lodge_session=Bearer a.b.c"],
            &["__Host-lodge_session =a.b.c"],
            &["__Host-lodge_session= a.b.c"],
            &["__host-lodge_session=a.b.c"],
            &["lodge_session=a.b.c"],
            &["__Secure-lodge_session=a.b.c"],
            &["__Host-lodge_session=a.b.c\u{fc}"],
        ] {
            assert_eq!(token(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn every_token_of_its_name_is_found() {
        let headers =
            map(&["a=b; lodge_session=a.b.c; lodge_session=\"d.e.f\"", "lodge_session=g.h.i; Xlodge_session=j.k.l"]);
        assert_eq!(SessionCookie::Loopback.tokens(&headers).collect::<Vec<_>>(), ["a.b.c", "g.h.i"]);
    }

    #[test]
    fn a_service_gets_the_other_cookies() {
        let others = |values: &[&str]| SessionCookie::others(&map(values)).to_str().unwrap().to_owned();
        assert_eq!(others(&["a=b; __Host-lodge_session=a.b.c;c=d", "e=f"]), "a=b; c=d; e=f");
        assert_eq!(others(&["__Secure-lodge_session=a.b.c; lodge_session=d.e.f"]), "");
        assert_eq!(others(&["a=b, __Host-lodge_session=a.b.c; c=d"]), "c=d");
        assert_eq!(others(&[]), "");
    }
}
