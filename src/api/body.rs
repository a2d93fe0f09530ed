//! Reads bodies within their bounds.

use std::{future::poll_fn, time::Duration};

use actix_web::{
    dev::Payload,
    error::PayloadError,
    http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING},
    web::{Bytes, BytesMut},
};
use futures_util::StreamExt;
use thiserror::Error;

use super::{
    connection::Connection,
    memory_budget::{BudgetExhausted, Permit},
};

/// The kind of an operation's body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyKind {
    /// A JSON object.
    Json,
    /// The fields of a form.
    Form,
}

impl BodyKind {
    /// The media type that a request declares.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum BodyError {
    /// It has more bytes than this limit.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// It did not arrive before the deadline.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The connection ended before the body.
    #[error("the body is incomplete")]
    Incomplete,
    /// It is encoded, for example compressed.
    #[error("the body has a Content-Encoding")]
    Encoded,
    /// It is not declared as that kind in UTF-8.
    #[error("the body is not {} in UTF-8", .0.media_type())]
    OtherKind(BodyKind),
    /// There is no memory for it.
    #[error(transparent)]
    BudgetExhausted(#[from] BudgetExhausted),
}

/// The limits of one body.
#[derive(Clone, Copy, Debug)]
pub(super) struct BodyBounds {
    pub(super) kind: BodyKind,
    pub(super) bytes: usize,
    pub(super) deadline: Duration,
}

/// Reads the body of a request with these headers, in memory that `permit` counts.
///
/// # Errors
/// [`BodyError`], before anything is read if the headers show it.
pub(super) async fn read(
    headers: &HeaderMap,
    payload: &mut Payload,
    connection: Option<&Connection>,
    bounds: BodyBounds,
    permit: &mut Permit,
) -> Result<BytesMut, BodyError> {
    if declared_length(headers).is_some_and(|length| length > bounds.bytes as u64) {
        return Err(BodyError::TooLarge(bounds.bytes));
    }
    if headers.contains_key(CONTENT_ENCODING) {
        return Err(BodyError::Encoded);
    }
    if !is_declared_as(bounds.kind, headers) {
        return Err(BodyError::OtherKind(bounds.kind));
    }
    let receiving = receive(payload, connection, bounds.bytes, permit);
    tokio::time::timeout(bounds.deadline, receiving).await.unwrap_or(Err(BodyError::TooSlow))
}

/// Whether nothing announces a body.
pub(super) fn is_absent(headers: &HeaderMap) -> bool {
    let is_announced = headers.contains_key(TRANSFER_ENCODING) || headers.contains_key(CONTENT_TYPE);
    !is_announced && declared_length(headers).is_none_or(|length| length == 0)
}

fn declared_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Receives the body; the connection delivers more of it as it is consumed.
async fn receive(
    payload: &mut Payload,
    connection: Option<&Connection>,
    limit: usize,
    permit: &mut Permit,
) -> Result<BytesMut, BodyError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = next(payload, connection).await {
        let chunk = chunk.map_err(|_| BodyError::Incomplete)?;
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLarge(limit));
        }
        permit.grow_to(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The next piece of the body; the connection passes on more only after everything so far has been read.
async fn next(payload: &mut Payload, connection: Option<&Connection>) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|cx| {
        let polled = payload.poll_next_unpin(cx);
        if polled.is_pending() {
            connection.inspect(|connection| connection.take_body());
        }
        polled
    })
    .await
}

/// Whether the body is declared, once, as that kind in UTF-8.
fn is_declared_as(kind: BodyKind, headers: &HeaderMap) -> bool {
    let mut declared = headers.get_all(CONTENT_TYPE);
    let (Some(content_type), None) = (declared.next(), declared.next()) else { return false };
    let Ok(content_type) = str::from_utf8(content_type.as_bytes()) else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let is_of_kind = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case(kind.media_type()));
    is_of_kind
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| !is_other_charset(name, value))
}

fn is_other_charset(name: &str, value: &str) -> bool {
    let charset = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("charset")
        && !["utf-8", "utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
}
