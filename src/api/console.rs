//! The console over HTTP: the page and its files, with the headers that a page needs.

use actix_http::{HttpMessage, Request};
use actix_web::{
    HttpResponse,
    http::{
        Method,
        header::{
            ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName,
            IF_NONE_MATCH, LOCATION, VARY,
        },
    },
    web::Bytes,
};

use super::{error::ApiError, response_budget::static_body, routes::allow};
use crate::{
    config::BasePath,
    console::{Asset, PAGE, VERSION},
};

/// The page loads its own files and asks its own server, and no other page shows it. Only lit-html makes elements of text.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                           base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
                           require-trusted-types-for 'script'; trusted-types lit-html";
/// A file that is opened by itself loads nothing.
const FILE_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";
const ASSETS: &str = "/assets/";

/// A file of the console.
#[derive(Clone, Copy, Debug)]
pub(super) enum ConsoleFile {
    /// The page, at the address of the console or of the documentation.
    Page(&'static str),
    /// A file that the page loads.
    Asset(Asset),
}

impl ConsoleFile {
    /// The file at that path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/" => Some(Self::Page("/")),
            "/docs" => Some(Self::Page("/docs")),
            _ => Asset::at(path.strip_prefix(ASSETS)?).map(Self::Asset),
        }
    }

    /// Its path, as the log has it.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Page(path) => path,
            Self::Asset(_) => ASSETS,
        }
    }

    pub(super) fn answer(self, http: &Request) -> Result<HttpResponse, ApiError> {
        let allowed = || allow([Method::GET].iter());
        match *http.method() {
            Method::GET | Method::HEAD => Ok(match self {
                Self::Page(_) => page(http),
                Self::Asset(asset) => file(asset, http),
            }),
            Method::OPTIONS => Ok(super::public_endpoints::options(&allowed())),
            _ => Err(ApiError::MethodNotAllowed(allowed())),
        }
    }
}

/// The way from the base path to the page, whose links are relative to the directory below it.
pub(super) fn redirect_to_page(base: &BasePath) -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, format!("{base}/"))).finish()
}

/// The page, which a browser asks for each time; 304 if it has this version already.
fn page(http: &Request) -> HttpResponse {
    let tag = format!("\"{}\"", *VERSION);
    let is_known = lists(http, IF_NONE_MATCH, &tag);
    let mut response = if is_known { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response.insert_header((ETAG, tag)).insert_header((CACHE_CONTROL, "no-cache"));
    response.insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY));
    if is_known {
        return response.finish();
    }
    response.insert_header((CONTENT_TYPE, "text/html; charset=utf-8"));
    response.body(static_body(Bytes::from_static(PAGE.as_bytes())))
}

/// A file, which a browser never asks for again: another version has another address.
fn file(asset: Asset, http: &Request) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "public, max-age=31536000, immutable"));
    response.insert_header((CONTENT_SECURITY_POLICY, FILE_POLICY)).insert_header((VARY, "Accept-Encoding"));
    response.insert_header((CONTENT_TYPE, asset.media_type));
    if lists(http, ACCEPT_ENCODING, "gzip") {
        response.insert_header((CONTENT_ENCODING, "gzip"));
        response.body(static_body(Bytes::from_static(asset.gzipped())))
    } else {
        response.body(static_body(asset.plain().into()))
    }
}

/// Whether a header's lists have that item, which no `q=0` excludes.
fn lists(http: &Request, name: HeaderName, item: &str) -> bool {
    let values = http.headers().get_all(name).filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|listed| is_listed(listed, item))
}

fn is_listed(listed: &str, item: &str) -> bool {
    let mut parts = listed.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let weight = parts.find_map(|part| part.strip_prefix("q=")).and_then(|weight| weight.parse::<f32>().ok());
    // A tag that was made weak on its way still names the same page.
    name.strip_prefix("W/").unwrap_or(name).eq_ignore_ascii_case(item) && weight != Some(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_counts_unless_it_is_excluded() {
        for (listed, is_it) in [
            ("gzip", true),
            (" GZIP ", true),
            ("gzip;q=0.5", true),
            ("gzip; q=0", false),
            ("gzip;q=0.000", false),
            ("gzipped", false),
            ("", false),
        ] {
            assert_eq!(is_listed(listed, "gzip"), is_it, "{listed}");
        }
        assert!(is_listed(r#"W/"7""#, r#""7""#) && !is_listed(r#""77""#, r#""7""#));
    }
}
