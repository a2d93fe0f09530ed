//! Introspection of tokens over HTTP (RFC 7662), with no other members than that document names.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    error::ApiError,
    form::{FormError, FormFields},
    input::{Form, FromForm},
    reply::{Shown, View},
};
use crate::{
    auth::{Authentication, GoodToken},
    clock::Timestamp,
    domain::{Scope, Scopes},
    secret::Secret,
    service::{Caller, introspection},
};

/// What a token is good for; for one that is not good, only `active`.
#[derive(Default, Serialize, JsonSchema)]
#[schemars(rename = "introspection")]
pub(super) struct IntrospectionView {
    /// Whether the token is good.
    active: bool,
    /// The id of the account that it stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<String>,
    /// The user name.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    /// What it permits: `controller/action`, separated by blanks. `*` is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    /// The id of the API key; left out for a session.
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<String>,
    /// `Bearer`.
    #[serde(skip_serializing_if = "Option::is_none")]
    token_type: Option<&'static str>,
    /// When it ends, in seconds since 1970; left out if it does not.
    #[serde(skip_serializing_if = "Option::is_none")]
    exp: Option<u64>,
    /// When it was issued, in seconds since 1970, if that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
}

impl View for IntrospectionView {
    const MAX_BYTES: usize = Scopes::MAX * (2 * Scope::MAX + 2) + 512;
}

impl From<GoodToken> for IntrospectionView {
    fn from(token: GoodToken) -> Self {
        let client_id = match &token.authentication {
            Authentication::ApiKey(key) => Some(key.id.to_string()),
            Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_) => None,
        };
        let scopes: Vec<_> = token.authentication.scopes().iter().map(Scope::as_one_word).collect();
        Self {
            active: true,
            sub: Some(token.user.id.to_string()),
            username: Some(token.user.username.as_str().to_owned()),
            scope: Some(scopes.join(" ")),
            client_id,
            token_type: Some("Bearer"),
            exp: token.end().map(Timestamp::as_secs),
            iat: token.issued_at.map(Timestamp::as_secs),
        }
    }
}

/// The token that is asked about.
pub(super) struct Question {
    token: Secret<String>,
}

/// A token to ask about.
#[derive(JsonSchema)]
#[schemars(rename = "introspection_request")]
pub(super) struct QuestionView {
    /// An API key or the token of a session.
    #[schemars(rename = "token")]
    _token: String,
    /// Makes no difference.
    #[schemars(rename = "token_type_hint")]
    _token_type_hint: Option<String>,
}

impl FromForm for Question {
    type Schema = QuestionView;

    fn from_form(fields: FormFields) -> Result<Self, FormError> {
        Ok(Self { token: fields.require("token")?.clone() })
    }
}

pub(super) async fn create(
    caller: Caller,
    Form(question): Form<Question>,
) -> Result<Shown<IntrospectionView>, ApiError> {
    let good = introspection::introspect(&caller, question.token.expose())?;
    Ok(Shown(good.map(IntrospectionView::from).unwrap_or_default()))
}
