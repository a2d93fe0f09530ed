//! Public endpoints that are not operations: health and the OpenAPI document.

use actix_web::{
    HttpResponse,
    http::{Method, header},
    web::Bytes,
};
use serde_json::json;

use super::{context::App, error::ApiError, json_response, openapi, routes::allow};

/// An endpoint outside the table of operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PublicEndpoint {
    /// Whether the process answers.
    Liveness,
    /// Whether the process can do its work.
    Readiness,
    /// The OpenAPI document.
    OpenApi,
}

impl PublicEndpoint {
    /// Every endpoint, in the order of their declaration.
    pub(super) const ALL: [Self; 3] = [Self::Liveness, Self::Readiness, Self::OpenApi];

    /// The endpoint at that path.
    pub(super) fn at(path: &str) -> Option<Self> {
        match path {
            "/healthz" => Some(Self::Liveness),
            "/readyz" => Some(Self::Readiness),
            "/openapi.json" | "/api/v2/openapi.json" => Some(Self::OpenApi),
            _ => None,
        }
    }

    /// The endpoint's path; the first one if it has several.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Liveness => "/healthz",
            Self::Readiness => "/readyz",
            Self::OpenApi => "/openapi.json",
        }
    }

    /// Whether it is for what watches the server, at its address and not through a proxy.
    pub(super) fn is_of_health(self) -> bool {
        match self {
            Self::Liveness | Self::Readiness => true,
            Self::OpenApi => false,
        }
    }

    pub(super) fn answer(self, method: &Method, app: &App) -> Result<HttpResponse, ApiError> {
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

fn document(app: &App) -> Bytes {
    match &app.base_path {
        None => openapi::DOCUMENT.clone(),
        Some(base) => app.document_below.get_or_init(|| openapi::document_below(&base.to_string())).clone(),
    }
}

fn status(status: &str) -> HttpResponse {
    json_response::small(actix_web::http::StatusCode::OK, &json!({"status": status}))
}
