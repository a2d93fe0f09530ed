//! Checks the head of a request before anything else of it is read.

use actix_http::{HttpMessage, Request};
use actix_web::http::Method;

use super::{connection::Connection, error::ApiError};
use crate::config::Limits;

/// Refuses a request whose head is too large, or whose target is not a path. The socket has checked its `Host` header.
pub(super) fn check_head(http: &Request, connection: Option<&Connection>, limits: &Limits) -> Result<(), ApiError> {
    // A head of half the bound is not counted: each of its headers counts for at most one byte more than it has.
    let is_short = connection.is_some_and(|connection| connection.head_bytes() <= limits.head_bytes / 2);
    if !is_short && header_bytes(http) > limits.head_bytes {
        return Err(ApiError::HeadersTooLarge);
    }
    if http.uri().path_and_query().is_some_and(|path| path.as_str().len() > limits.path_bytes) {
        return Err(ApiError::PathTooLong);
    }
    if *http.method() == Method::CONNECT { Err(ApiError::ConnectUnsupported) } else { Ok(()) }
}

fn header_bytes(http: &Request) -> usize {
    http.headers().iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}
