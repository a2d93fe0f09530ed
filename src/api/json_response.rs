//! Responses with a JSON body.

use std::io::ErrorKind;

use actix_web::{
    HttpResponse,
    body::{self, BoxBody, MessageBody},
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue},
    },
    web::Bytes,
};
use serde::Serialize;

use super::{
    memory_budget::{BudgetExhausted, DEFAULT},
    response_budget::{BudgetedBuffer, ResponseBudget, ready_body, static_body},
};

/// The policy of what no browser is to show.
pub(super) const CONTENT_POLICY: HeaderValue = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A response with a small JSON body.
pub(super) fn small(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    encoded(status, encode(body))
}

/// A response with a JSON body, which takes memory from the budget while it is written.
///
/// # Errors
/// [`BudgetExhausted`] if there is no memory for it and it may be refused.
pub(super) fn within(
    budget: ResponseBudget<'_>,
    status: StatusCode,
    body: &impl Serialize,
) -> Result<HttpResponse, BudgetExhausted> {
    let mut buffer = BudgetedBuffer::new(budget);
    write(&mut buffer, body)?;
    Ok(encoded(status, buffer.into_body()))
}

/// 200 with a body that is already encoded.
///
/// # Errors
/// [`BudgetExhausted`] if there is no memory for it and it may be refused.
pub(super) fn ready(budget: ResponseBudget<'_>, body: Bytes) -> Result<HttpResponse, BudgetExhausted> {
    Ok(encoded(StatusCode::OK, ready_body(budget, body)?))
}

/// 200 with an encoded body that the server holds permanently.
pub(super) fn permanent(body: Bytes) -> HttpResponse {
    encoded(StatusCode::OK, static_body(body))
}

/// The response to `HEAD` of a list. The list is not made for its length, which may be left out (RFC 9110, section 8.6).
pub(super) fn list_head() -> HttpResponse {
    encoded(StatusCode::OK, body::None::new())
}

/// A response with an encoded body.
pub(super) fn encoded(status: StatusCode, body: impl MessageBody + 'static) -> HttpResponse {
    // Not by the builder, whose general way to add a header takes longer.
    let mut response = HttpResponse::with_body(status, BoxBody::new(body));
    response.headers_mut().append(CONTENT_TYPE, JSON);
    response
}

/// Encodes a view as JSON.
pub(super) fn encode(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DEFAULT);
    serde_json::to_writer(&mut bytes, body).expect("views have text keys and finite numbers");
    bytes
}

/// Writes a view as JSON.
///
/// # Errors
/// [`BudgetExhausted`] if there is no memory for it and it may be refused.
pub(super) fn write(buffer: &mut BudgetedBuffer, value: &impl Serialize) -> Result<(), BudgetExhausted> {
    serde_json::to_writer(buffer, value).map_err(|error| {
        assert_eq!(error.io_error_kind(), Some(ErrorKind::OutOfMemory), "views have text keys and finite numbers");
        BudgetExhausted
    })
}
