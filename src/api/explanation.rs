//! Who a credential stands for, and why it passes or not, over the local socket.

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    api_keys::scopes,
    date_time::DateTime,
    error::ApiError,
    input::{Body, FromObject},
    json_object::JsonObject,
    reply::{Shown, View},
};
use crate::{
    auth::Authentication,
    domain::{AllowedNetworks, ApiKeyName, Id, Problem, Scope, Scopes, Violations},
    secret::Secret,
    service::{
        Local, Policy, ServiceError,
        explanation::{self, Asked, Demanded, Explanation},
    },
};

/// What is known of a credential, and whether it passes.
#[derive(Serialize, JsonSchema)]
pub(super) struct ExplanationView {
    passes: bool,
    /// Why it does not pass.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_admin: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<u32>,
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_name: Option<ApiKeyName>,
    /// As `controller/action`; `*` is any.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
    /// From everywhere else it is refused.
    #[schemars(with = "Vec<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_networks: Option<AllowedNetworks>,
}

impl View for ExplanationView {}

impl From<Explanation> for ExplanationView {
    fn from(Explanation { user, authentication, ends, refusal }: Explanation) -> Self {
        let scopes = authentication.as_ref().map(Authentication::scopes);
        let credential = authentication.as_ref().map(|authentication| match authentication {
            Authentication::ApiKey(_) => "API key",
            Authentication::Session(_) => "session",
            Authentication::Password | Authentication::SystemUser(_) => "session or password",
        });
        let api_key = match &authentication {
            Some(Authentication::ApiKey(key)) => Some(key.as_ref()),
            Some(Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_)) | None => None,
        };
        Self {
            passes: refusal.is_none(),
            reason: refusal,
            username: user.as_ref().map(|user| user.username.as_str().to_owned()),
            user_id: user.as_ref().map(|user| user.id.get()),
            is_admin: user.as_ref().map(|user| user.is_admin),
            credential,
            api_key_id: api_key.map(|key| key.id.get()),
            api_key_name: api_key.and_then(|key| key.name.clone()),
            scopes: scopes.map(|scopes| scopes.iter().map(Scope::as_one_word).collect()),
            expires_at: ends.map(DateTime),
            allowed_networks: api_key.and_then(|key| key.allowed_networks.clone()),
        }
    }
}

/// The credential that is asked about, and what is demanded of it, or what is wrong with the question.
pub(super) struct Question(Result<(Asked, Demanded), Violations>);

/// A question about a credential.
#[derive(JsonSchema)]
pub(super) struct QuestionView {
    /// An API key or the token of a session.
    #[schemars(rename = "token")]
    _token: Option<String>,
    /// The account, for a session or a password of it.
    #[schemars(rename = "user_id")]
    _user_id: Option<u32>,
    /// The scopes, all of which are needed.
    #[schemars(rename = "scopes")]
    _scopes: Vec<Value>,
    /// Whether the account must be an administrator.
    #[schemars(rename = "administrator")]
    _administrator: bool,
}

impl FromObject for Question {
    type Schema = QuestionView;

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        let token = object.raw_text("token").map(|token| Asked::Token(Secret::new(token.to_owned())));
        let id = |number: i128| u32::try_from(number).ok().and_then(Id::new).ok_or(Problem::Invalid);
        let account = object.optional_integer("user_id", id).or(None).map(Asked::Account);
        let demanded = Demanded {
            scopes: object.list("scopes", scopes).or(Scopes::default()).iter().cloned().collect(),
            needs_administrator: object.truth("administrator").or(false),
        };
        let mut violations = object.violations;
        match (token, account) {
            (Some(asked), None) | (None, Some(asked)) if violations.is_empty() => return Self(Ok((asked, demanded))),
            (Some(_), None) | (None, Some(_)) => {}
            (Some(_), Some(_)) => violations.add("token", Problem::Invalid, None),
            (None, None) => violations.add("token", Problem::Blank, None),
        }
        Self(Err(violations))
    }
}

pub(super) async fn show(
    local: Local,
    Body(Question(question)): Body<Question>,
) -> Result<Shown<ExplanationView>, ApiError> {
    let (asked, demanded) = question.map_err(ServiceError::Invalid)?;
    Ok(Shown(explanation::explain(&local, &asked, &demanded)?.into()))
}
