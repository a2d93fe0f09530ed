//! Public endpoints that are not operations: health, the OpenAPI document, and the keys that assertions are checked with.

use actix_web::{
    HttpResponse,
    http::{Method, header, header::HeaderValue},
    web::Bytes,
};
use serde_json::json;

use super::{
    assertion_token,
    context::App,
    error::ApiError,
    json_response::{self, CONTENT_POLICY},
    openapi,
    routes::allow,
};
use crate::service::assertion_keys::CACHED_FOR;

/// An endpoint outside the table of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicEndpoint {
    /// Whether the process answers.
    Liveness,
    /// Whether the process can do its work.
    Readiness,
    /// The OpenAPI document.
    OpenApi,
    /// The keys that assertions are checked with.
    AssertionKeys,
}

impl PublicEndpoint {
    /// Every endpoint, in the order of their declaration.
    pub(super) const ALL: [Self; 4] = [Self::Liveness, Self::Readiness, Self::OpenApi, Self::AssertionKeys];

    /// The endpoint at that path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Liveness),
            "/readyz" => Some(Self::Readiness),
            "/openapi.json" | "/api/v2/openapi.json" => Some(Self::OpenApi),
            "/.well-known/jwks.json" => Some(Self::AssertionKeys),
            _ => None,
        }
    }

    /// The endpoint's path; the first one if it has several.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Liveness => "/healthz",
            Self::Readiness => "/readyz",
            Self::OpenApi => "/openapi.json",
            Self::AssertionKeys => "/.well-known/jwks.json",
        }
    }

    /// Whether it is for what watches the server, at its address and not through a proxy.
    pub(super) fn is_of_health(self) -> bool {
        match self {
            Self::Liveness | Self::Readiness => true,
            Self::OpenApi | Self::AssertionKeys => false,
        }
    }

    pub(super) fn answer(self, method: &Method, app: &App) -> Result<HttpResponse, ApiError> {
        if self == Self::AssertionKeys && !app.state.policy.assertions.is_on() {
            return Err(ApiError::NotFound);
        }
        if *method == Method::OPTIONS {
            return Ok(options(&allow([Method::GET].iter())));
        }
        if *method != Method::GET && *method != Method::HEAD {
            return Err(ApiError::MethodNotAllowed(allow([Method::GET].iter())));
        }
        match self {
            Self::Liveness => Ok(status("alive")),
            Self::Readiness if app.state.store.failure().borrow().is_some() => Err(ApiError::NotReady),
            Self::Readiness => Ok(ready(app)),
            Self::OpenApi => Ok(json_response::permanent(document(app))),
            Self::AssertionKeys => Ok(assertion_keys(app)),
        }
    }
}

/// The response to `OPTIONS`.
pub(super) fn options(allow: &str) -> HttpResponse {
    HttpResponse::NoContent().insert_header((header::ALLOW, allow)).finish()
}

/// Ready, with the result of the last scheduled backup if there was one.
fn ready(app: &App) -> HttpResponse {
    match app.backups.last() {
        None => status("ready"),
        Some(last) => {
            let body = json!({"status": "ready", "last_backup": last});
            json_response::small(actix_web::http::StatusCode::OK, &body)
        }
    }
}

/// The public keys, with the time for which services may keep them.
fn assertion_keys(app: &App) -> HttpResponse {
    let keys = app.state.keyring.published();
    let mut response = json_response::encoded(actix_web::http::StatusCode::OK, assertion_token::public_keys(&keys));
    // Without a key, which is a fault of the store's, there is nothing to keep.
    if keys.signing().is_some() {
        let cached = HeaderValue::try_from(format!("public, max-age={}", CACHED_FOR.as_secs()));
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, cached.expect("it has the characters of a header"));
        headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_POLICY);
    }
    response
}

fn document(app: &App) -> Bytes {
    match &app.base_path {
        None => openapi::DOCUMENT.clone(),
        Some(base) => app.document_below.get_or_init(|| openapi::document_below(&base.to_string())).clone(),
    }
}

fn status(status: &str) -> HttpResponse {
    json_response::small(actix_web::http::StatusCode::OK, &json!({"status": status}))
}
