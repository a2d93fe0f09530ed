//! Assertions over HTTP: for those who call a service themselves, and in the response to a proxy.

use actix_web::http::header::HeaderValue;
use schemars::JsonSchema;
use serde::Serialize;
use thiserror::Error;

use super::{
    assertion_token::{signed, signed_header},
    context::RequestContext,
    date_time::DateTime,
    description::Description,
    error::ApiError,
    input::Input,
    query,
    reply::{Created, View},
};
use crate::{
    clock::Timestamp,
    config::Audience,
    domain::{Scope, Scopes},
    service::{AppState, Caller, assertions},
};

/// A statement about the caller for one service, which the service checks with the keys at `/.well-known/jwks.json`.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "assertion")]
pub(super) struct AssertionView {
    /// The signed token (RFC 7519).
    assertion: String,
    /// The service that it is for.
    audience: String,
    /// When it ends: a minute from now, or with the credential.
    expires_at: DateTime,
}

impl View for AssertionView {
    // The scopes and some 1 KiB of other claims, in base64.
    const MAX_BYTES_OF_CHANGE: usize = (Scopes::MAX * (2 * Scope::MAX + 2) + 1024) / 3 * 4 + 1024;
}

/// The audience that the query of a call names.
pub(super) struct RequestedAudience(Audience);

/// The audience that the query of a proxy names, if assertions may be for it.
pub(super) struct ProxiedAudience(Option<Audience>);

/// Why a proxy gets no assertion, in a sentence for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
enum NoAssertion {
    #[error("the proxy's query has an aud that is none of --assertion-audience")]
    UnknownAudience,
    #[error("the proxy's query has several aud")]
    Repeated,
    #[error("the scopes of the API key are too long for a header; POST /assertions has no such bound")]
    TooLong,
    #[error("there is no key that signs them")]
    NoSigningKey,
}

pub(super) async fn create(
    caller: Caller,
    RequestedAudience(audience): RequestedAudience,
) -> Result<Created<AssertionView>, ApiError> {
    let assertion = assertions::issue(&caller, &audience)?;
    // To the second, as the token has it.
    let expires_at = DateTime(Timestamp::from_secs(assertion.expires_at.as_secs()));
    let token = signed(&assertion).expose().clone();
    Ok(Created(AssertionView { assertion: token, audience: audience.to_string(), expires_at }))
}

/// The assertion for that service, which a proxy is to pass on. It is empty if the proxy asks for none or for what there is not,
/// because a proxy may pass the client's own header on where this one is missing.
pub(super) fn for_proxy(caller: &Caller, ProxiedAudience(audience): &ProxiedAudience) -> HeaderValue {
    const EMPTY: HeaderValue = HeaderValue::from_static("");
    let Some(audience) = audience else { return EMPTY };
    let issued = assertions::issue(caller, audience).map_err(|_| NoAssertion::NoSigningKey);
    let signed = issued.and_then(|assertion| signed_header(&assertion).ok_or(NoAssertion::TooLong));
    signed.unwrap_or_else(|why| {
        warn(&caller.state, why);
        EMPTY
    })
}

/// Logs why a proxy gets no assertion, at most once an hour.
fn warn(state: &AppState, why: NoAssertion) {
    if state.keyring.warning.is_due(state.clock.now()) {
        log::warn!("forward authentication adds no assertion: {why}");
    }
}

impl Input for RequestedAudience {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        const UNKNOWN: &str = "The aud is not a service that this server signs assertions for.";
        query::refuse_others(context.query(), &["aud"])?;
        let name = query::text(context.query(), "aud")?.unwrap_or_default();
        let audience = context.app.state.policy.assertions.audience(&name);
        audience.cloned().map(Self).ok_or_else(|| ApiError::Malformed(UNKNOWN.to_owned()))
    }

    fn describe(description: &mut Description) {
        description.query_parameter("aud", "The service, one of `--assertion-audience`.");
        description.error(400, "The aud is missing, repeated or unknown, or there is another parameter.");
    }
}

impl Input for ProxiedAudience {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let state = &context.app.state;
        let named = match query::text(context.query(), "aud") {
            Ok(None) => return Ok(Self(None)),
            Ok(Some(name)) => state.policy.assertions.audience(&name).ok_or(NoAssertion::UnknownAudience),
            Err(_) => Err(NoAssertion::Repeated),
        };
        Ok(Self(named.inspect_err(|why| warn(state, *why)).ok().cloned()))
    }

    fn describe(description: &mut Description) {
        description.query_parameter("aud", "The service that the assertion is for, one of `--assertion-audience`.");
    }
}
