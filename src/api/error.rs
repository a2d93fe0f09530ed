//! Every error, its status and its body, on one screen.

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{ALLOW, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
};
use uuid::Uuid;

use super::{
    body::BodyError,
    connection::Refusal,
    demand::Misconfigured,
    error_body::{GenericError, InternalError, InvalidRecord},
    form::FormError,
    json_response,
    memory_budget::BudgetExhausted,
    query::QueryError,
    tls_policy::Unencrypted,
};
use crate::{
    auth::{AuthError, Challenge},
    error_chain::chain,
    service::{Forbidden, ServiceError},
    store::StoreError,
};

/// Why a request failed.
#[derive(Debug)]
pub(super) enum ApiError {
    Malformed(String),
    NotFound,
    /// The path does not have the method; with the `Allow` header's list of its methods.
    MethodNotAllowed(String),
    ConnectUnsupported,
    Body(BodyError),
    HeadTooSlow,
    PathTooLong,
    HeadersTooLarge,
    Service(ServiceError),
    NotReady,
    Unencrypted,
    BudgetExhausted,
    /// A proxy asks for what cannot be understood.
    Misconfigured(Misconfigured),
    Panicked,
}

/// The scope that a key lacks for another service, as the service's proxy spells it.
const MISSING_SCOPE: HeaderName = HeaderName::from_static("x-lodge-missing-scope");
const STORE_FAILED: &str = "The store has failed; nothing can be changed any more.";
const TOO_MANY_LARGE: &str = "Too many large requests and responses are in progress; try again.";
const BASIC: &str = r#"Basic realm="Lodge", charset="UTF-8""#;
pub(super) const BEARER: &str = r#"Bearer realm="Lodge""#;

impl ApiError {
    /// The response. The cause of an internal error is logged under that id.
    pub(super) fn into_response(self, id: Uuid) -> HttpResponse {
        match self {
            Self::Malformed(why) => plain(400, &why),
            Self::NotFound | Self::Service(ServiceError::NotFound) => plain(404, "Not found."),
            Self::MethodNotAllowed(allow) => not_allowed(&allow),
            Self::ConnectUnsupported => plain(501, "CONNECT is not supported."),
            Self::Body(error) => body(&error),
            Self::HeadTooSlow => plain(408, "The head took too long to arrive."),
            Self::PathTooLong => plain(414, "The path and query are too long."),
            Self::HeadersTooLarge => plain(431, "The headers are too large."),
            Self::Service(ServiceError::NameService(error)) => {
                logged(503, "The system's name service does not answer.", &error, id)
            }
            Self::NotReady => plain(503, STORE_FAILED),
            Self::Unencrypted => plain(403, "Credentials are accepted over TLS only."),
            Self::BudgetExhausted => plain(503, TOO_MANY_LARGE),
            Self::Panicked => internal(id),
            Self::Service(ServiceError::Auth(error)) => refused(error, id),
            Self::Misconfigured(why) => plain(403, &why.to_string()),
            Self::Service(ServiceError::Forbidden(forbidden)) => self::forbidden(&forbidden),
            Self::Service(ServiceError::Invalid(violations)) => {
                json_response::small(StatusCode::UNPROCESSABLE_ENTITY, &InvalidRecord::new(&violations))
            }
            Self::Service(ServiceError::InvalidRecords(records)) => {
                json_response::small(StatusCode::UNPROCESSABLE_ENTITY, &InvalidRecord::of_several(&records))
            }
            Self::Service(ServiceError::NoSigningKey) => {
                plain(503, "No key can sign assertions now; the server's log has the reason.")
            }
            Self::Service(ServiceError::ChangedMeanwhile) => {
                plain(503, "The accounts have changed meanwhile; try again.")
            }
            Self::Service(ServiceError::Store(error)) => store(&error, id),
        }
    }
}

fn body(error: &BodyError) -> HttpResponse {
    match error {
        BodyError::TooLarge(limit) => plain(413, &format!("The body has more than {limit} bytes.")),
        BodyError::TooSlow => plain(408, "The body took too long to arrive."),
        BodyError::Incomplete => plain(400, "The body is incomplete."),
        BodyError::Encoded => plain(415, "The body must not be encoded."),
        BodyError::OtherKind(kind) => plain(415, &format!("The body must be {} in UTF-8.", kind.media_type())),
        BodyError::BudgetExhausted(BudgetExhausted) => plain(503, TOO_MANY_LARGE),
    }
}

fn refused(error: AuthError, id: Uuid) -> HttpResponse {
    let (sentence, challenges): (_, &[&str]) = match error {
        AuthError::Refused(Challenge::Any) => ("A credential is needed.", &[BASIC, BEARER]),
        AuthError::Refused(Challenge::Basic) => ("The credential is refused.", &[BASIC]),
        AuthError::Refused(Challenge::Bearer) => ("The credential is refused.", &[BEARER]),
        AuthError::Throttled { retry_after_secs } => return throttled(retry_after_secs),
        AuthError::Busy => return plain(503, "Too many passwords are being checked; try again."),
        AuthError::Panicked => {
            log(&error, id);
            return internal(id);
        }
        AuthError::Store(error) => return store(&error, id),
    };
    let mut response = plain(401, sentence);
    for challenge in challenges {
        response.headers_mut().append(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    }
    response
}

fn forbidden(forbidden: &Forbidden) -> HttpResponse {
    let mut response = plain(403, &forbidden.to_string());
    if let Forbidden::LacksScope(scope) = forbidden {
        let value = HeaderValue::try_from(scope.as_one_word()).expect("a scope has the characters of a header");
        response.headers_mut().insert(MISSING_SCOPE, value);
    }
    response
}

fn throttled(retry_after_secs: u64) -> HttpResponse {
    let mut response = plain(429, "Too many attempts have failed; try again later.");
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after_secs));
    response
}

fn store(error: &StoreError, id: Uuid) -> HttpResponse {
    match error {
        StoreError::Busy => plain(503, "Too many writes are queued; try again."),
        StoreError::Closed => plain(503, "The server is stopping."),
        StoreError::DiskFull => plain(503, "The disk is almost full; nothing can be changed until there is room."),
        StoreError::Failed(_) => logged(503, STORE_FAILED, error, id),
        StoreError::Unreadable(_) | StoreError::Record(_) | StoreError::IdsExhausted | StoreError::Panicked => {
            log(error, id);
            internal(id)
        }
    }
}

fn internal(id: Uuid) -> HttpResponse {
    let error = "Internal error. The server's log has the details under this id.";
    json_response::small(StatusCode::INTERNAL_SERVER_ERROR, &InternalError { error, id })
}

fn logged(status: u16, sentence: &str, error: &dyn std::error::Error, id: Uuid) -> HttpResponse {
    log(error, id);
    plain(status, sentence)
}

fn plain(status: u16, sentence: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).expect("the statuses above exist");
    let mut response = json_response::small(status, &GenericError { error: sentence });
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    response
}

fn not_allowed(allow: &str) -> HttpResponse {
    let mut response = plain(405, "This path does not support this method.");
    response.headers_mut().insert(ALLOW, HeaderValue::from_str(allow).expect("methods are header values"));
    response
}

/// Logs an error with its causes.
fn log(error: &dyn std::error::Error, id: Uuid) {
    log::error!("request_id={id} {}", chain(error));
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Malformed(sentence) => Self::Malformed(sentence.to_owned()),
            Refusal::HeadersTooLarge => Self::HeadersTooLarge,
            Refusal::PathTooLong => Self::PathTooLong,
            Refusal::HeadTooSlow => Self::HeadTooSlow,
            Refusal::BudgetExhausted => Self::BudgetExhausted,
        }
    }
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

impl From<BodyError> for ApiError {
    fn from(error: BodyError) -> Self {
        Self::Body(error)
    }
}

impl From<BudgetExhausted> for ApiError {
    fn from(BudgetExhausted: BudgetExhausted) -> Self {
        Self::BudgetExhausted
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<FormError> for ApiError {
    fn from(error: FormError) -> Self {
        Self::Malformed(error.to_string())
    }
}

impl From<Misconfigured> for ApiError {
    fn from(why: Misconfigured) -> Self {
        Self::Misconfigured(why)
    }
}

impl From<Unencrypted> for ApiError {
    fn from(Unencrypted: Unencrypted) -> Self {
        Self::Unencrypted
    }
}
