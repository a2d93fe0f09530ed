//! Assertions as tokens (RFC 7519), and the public keys that they are checked with (RFC 7517).

use actix_web::http::header::HeaderValue;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use uuid::Uuid;

use super::json_response::encode;
use crate::{
    auth::{PublicKey, SigningKey},
    domain::Scope,
    secret::Secret,
    service::{assertion_keys::KeySet, assertions::Assertion},
};

/// The type of the token, a name of its own so that no other token is taken for one (RFC 8725, section 3.11).
const TYPE: &str = "lodge-assertion+jwt";
/// The group of administrators, as `Remote-Groups` names it.
const ADMINISTRATORS: &str = "admin";
/// The maximum size in bytes of the scopes in a header: with them the token has less than 4 KiB, which every proxy can pass on.
const MAX_SCOPES_IN_HEADER: usize = 2048;

#[derive(Serialize)]
struct Header<'a> {
    alg: &'static str,
    kid: &'a str,
    typ: &'static str,
}

/// The claims; times are whole seconds since 1970.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: String,
    preferred_username: &'a str,
    groups: &'a [&'static str],
    scope: String,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: Uuid,
}

/// The published keys.
#[derive(Serialize)]
struct JwkSet<'a> {
    keys: Vec<Jwk<'a>>,
}

#[derive(Serialize)]
struct Jwk<'a> {
    kty: &'static str,
    crv: &'static str,
    x: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    y: Option<&'a str>,
    #[serde(rename = "use")]
    usage: &'static str,
    alg: &'static str,
    kid: &'a str,
}

/// The token.
pub(super) fn signed(assertion: &Assertion<'_>) -> Secret<String> {
    sign(assertion, scope_of(&assertion.scopes))
}

/// The token as a header's value; `None` if its scopes are too long for one.
///
/// # Panics
/// Never: a token has the characters of a header.
pub(super) fn signed_header(assertion: &Assertion<'_>) -> Option<HeaderValue> {
    let scope = Some(scope_of(&assertion.scopes)).filter(|scope| scope.len() <= MAX_SCOPES_IN_HEADER)?;
    let value = HeaderValue::try_from(sign(assertion, scope).expose());
    Some(value.expect("a token has the characters of a header"))
}

fn sign(assertion: &Assertion<'_>, scope: String) -> Secret<String> {
    let key = &assertion.key;
    let header = Header { alg: key.algorithm().name(), kid: key.id(), typ: TYPE };
    let message = format!("{}.{}", part(&header), part(&claims(assertion, scope)));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    Secret::new(format!("{message}.{signature}"))
}

fn claims<'a>(assertion: &Assertion<'a>, scope: String) -> Claims<'a> {
    Claims {
        iss: assertion.issuer,
        sub: assertion.user.id.to_string(),
        preferred_username: assertion.user.username.as_str(),
        groups: if assertion.is_unrestricted_administrator { &[ADMINISTRATORS] } else { &[] },
        scope,
        aud: assertion.audience.as_str(),
        iat: assertion.issued_at.as_secs(),
        exp: assertion.expires_at.as_secs(),
        jti: assertion.id,
    }
}

fn part(value: &impl Serialize) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(encode(value))
}

/// The scopes with spaces between them (RFC 8693, section 4.2), each as proxies ask for it.
fn scope_of(scopes: &[Scope]) -> String {
    let named: Vec<_> = scopes.iter().map(Scope::as_one_word).collect();
    named.join(" ")
}

/// The public halves of all keys, as JSON.
pub(super) fn public_keys(keys: &KeySet) -> Vec<u8> {
    encode(&JwkSet { keys: keys.iter().map(|(_, key)| jwk(key)).collect() })
}

fn jwk(key: &SigningKey) -> Jwk<'_> {
    let (kty, crv, x, y) = match key.public() {
        PublicKey::P256 { x, y } => ("EC", "P-256", x, Some(y.as_str())),
        PublicKey::Ed25519 { x } => ("OKP", "Ed25519", x, None),
    };
    Jwk { kty, crv, x, y, usage: "sig", alg: key.algorithm().name(), kid: key.id() }
}
