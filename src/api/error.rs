//! Every error, its status and its body, on one screen.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{ALLOW, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::reply;
use crate::{
    auth::{AuthError, Challenge, PrivilegesReduced},
    domain::Violations,
    error_chain::chain,
    service::{Forbidden, ServiceError},
    store::StoreError,
    system::NameServiceError,
};

/// Why a request has no better answer.
#[derive(Debug)]
pub(super) enum ApiError {
    Malformed(String),
    NotFound,
    MethodNotAllowed(String),
    NoTunnel,
    BodyTooSlow,
    BodyTooLarge(usize),
    PathTooLong,
    UnsupportedMediaType(&'static str),
    HeadersTooLarge,
    Service(ServiceError),
    NameService(NameServiceError),
    NotReady,
    Unencrypted,
    BudgetExhausted,
    Panicked,
}

const BASIC: &str = r#"Basic realm="Lodge", charset="UTF-8""#;
const BEARER: &str = r#"Bearer realm="Lodge""#;

impl ApiError {
    /// The answer; what only the log may tell goes there under the id.
    pub(super) fn into_response(self, id: Uuid) -> HttpResponse {
        match self {
            Self::Malformed(why) => plain(400, &why),
            Self::NotFound | Self::Service(ServiceError::NotFound) => plain(404, "There is nothing here."),
            Self::MethodNotAllowed(allow) => not_allowed(&allow),
            Self::NoTunnel => plain(501, "This server is no proxy."),
            Self::BodyTooSlow => plain(408, "The body took too long to arrive."),
            Self::BodyTooLarge(limit) => plain(413, &format!("The body has more than {limit} bytes.")),
            Self::PathTooLong => plain(414, "The path and query are too long."),
            Self::UnsupportedMediaType(why) => plain(415, why),
            Self::HeadersTooLarge => plain(431, "The headers are too large."),
            Self::NameService(error) => logged(503, "The system's name service does not answer.", &error, id),
            Self::NotReady => plain(503, "The store has failed; nothing can be changed any more."),
            Self::Unencrypted => plain(403, "Credentials are taken over TLS alone."),
            Self::BudgetExhausted => plain(503, "Too many large requests and answers are under way; try again."),
            Self::Panicked => internal(id),
            Self::Service(ServiceError::Auth(error)) => refused(error, id),
            Self::Service(ServiceError::Forbidden(forbidden)) => plain(403, &forbidden.to_string()),
            Self::Service(ServiceError::Invalid(violations)) => invalid(&violations),
            Self::Service(ServiceError::Store(error)) => store(&error, id),
        }
    }
}

fn refused(error: AuthError, id: Uuid) -> HttpResponse {
    let (sentence, challenges): (_, &[&str]) = match error {
        AuthError::Refused(Challenge::Any) => ("A credential is needed.", &[BASIC, BEARER]),
        AuthError::Refused(Challenge::Basic) => ("The credential is refused.", &[BASIC]),
        AuthError::Refused(Challenge::Bearer) => ("The credential is refused.", &[BEARER]),
        AuthError::PrivilegesReduced(PrivilegesReduced::Role) => return plain(403, &Forbidden::Role.to_string()),
        AuthError::PrivilegesReduced(PrivilegesReduced::Scopes) => {
            return plain(403, "The scopes of this API key have just changed.");
        }
        AuthError::Throttled { retry_after_secs } => return throttled(retry_after_secs),
        AuthError::Busy => return plain(503, "Too many passwords are being checked; try again."),
        AuthError::Store(error) => return store(&error, id),
    };
    let mut response = plain(401, sentence);
    for challenge in challenges {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn throttled(retry_after_secs: u64) -> HttpResponse {
    let mut response = plain(429, "Too many tries have failed; try again later.");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_secs));
    response
}

fn store(error: &StoreError, id: Uuid) -> HttpResponse {
    match error {
        StoreError::Busy => plain(503, "Too many writes are waiting; try again."),
        StoreError::Closed => plain(503, "The server is being stopped."),
        StoreError::DiskFull => plain(503, "The disk is almost full; nothing can be changed until there is room."),
        StoreError::Failed(_) => logged(503, "The store has failed; nothing can be changed any more.", error, id),
        StoreError::Unreadable(_) | StoreError::Record(_) | StoreError::IdsExhausted | StoreError::Panicked => {
            log(error, id);
            internal(id)
        }
    }
}

fn invalid(violations: &Violations) -> HttpResponse {
    let mut details = Map::new();
    for violation in violations.iter() {
        let mut entry = json!({"error": violation.problem.code()});
        if let Some(value) = &violation.value {
            entry["value"] = json!(value);
        }
        if let Some(count) = violation.problem.count() {
            entry["count"] = json!(count);
        }
        let entries = details.entry(violation.attribute).or_insert_with(|| json!([]));
        entries.as_array_mut().expect("an attribute has a list of problems").push(entry);
    }
    let messages: Vec<_> = violations.iter().map(crate::domain::Violation::message).collect();
    reply::json(StatusCode::UNPROCESSABLE_ENTITY, &json!({"details": Value::Object(details), "messages": messages}))
}

fn internal(id: Uuid) -> HttpResponse {
    let body = json!({"error": "Something went wrong here; the log tells what, under this id.", "id": id});
    reply::json(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

fn logged(status: u16, sentence: &str, error: &dyn std::error::Error, id: Uuid) -> HttpResponse {
    log(error, id);
    plain(status, sentence)
}

fn plain(status: u16, sentence: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("the statuses above exist");
    let mut response = reply::json(status, &json!({"error": sentence}));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn not_allowed(allow: &str) -> HttpResponse {
    let mut response = plain(405, "This path does not have this method.");
    response.headers_mut().insert(ALLOW, HeaderValue::from_str(allow).expect("methods are header values"));
    response
}

/// Logs an error with its causes, where it stops travelling.
fn log(error: &dyn std::error::Error, id: Uuid) {
    log::error!("request_id={id} {}", chain(error));
}

impl From<ServiceError> for ApiError {
    fn from(error: ServiceError) -> Self {
        Self::Service(error)
    }
}

impl From<AuthError> for ApiError {
    fn from(error: AuthError) -> Self {
        Self::Service(error.into())
    }
}

impl From<Forbidden> for ApiError {
    fn from(forbidden: Forbidden) -> Self {
        Self::Service(forbidden.into())
    }
}

impl From<NameServiceError> for ApiError {
    fn from(error: NameServiceError) -> Self {
        Self::NameService(error)
    }
}
