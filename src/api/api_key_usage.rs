//! What API keys are used for, and the key of a request itself, over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    api_keys::ScopeView,
    date_time::DateTime,
    error::ApiError,
    guard::Authenticated,
    input::PathId,
    reply::{MayBeMissing, Shown, View},
};
use crate::{
    domain::{AllowedNetworks, ApiKey, ApiKeyName, Id, Scope, Scopes},
    service::{
        ResourceAccess,
        api_keys::{self, Usage},
    },
    store::activity::MAX_SCOPES_OF_KEY,
};

/// What an API key has been used for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "api_key_usage")]
pub(super) struct UsageView {
    /// Since when the use of the key is recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_since: Option<DateTime>,
    /// The minute of the last use.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime>,
    /// The client's address in that minute.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_address: Option<String>,
    /// The scopes that were used, in the order of their names.
    api_key_scopes: Vec<UsedScopeView>,
}

/// A scope that was used.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "used_api_key_scope")]
pub(super) struct UsedScopeView {
    controller: String,
    action: String,
    /// The minute of the last use.
    last_used_at: DateTime,
}

impl From<Usage> for UsageView {
    fn from(Usage { observed_since, last, scopes }: Usage) -> Self {
        Self {
            observed_since: observed_since.map(DateTime),
            last_used_at: last.map(|last| DateTime(last.at)),
            last_address: last.and_then(|last| last.address).map(|address| address.to_string()),
            api_key_scopes: scopes
                .into_iter()
                .map(|(scope, at)| UsedScopeView {
                    controller: scope.controller().to_owned(),
                    action: scope.action().to_owned(),
                    last_used_at: DateTime(at),
                })
                .collect(),
        }
    }
}

impl View for UsageView {
    const MAX_BYTES: usize = MAX_SCOPES_OF_KEY * (2 * Scope::MAX + 96) + 256;
}

/// The API key that a request was made with.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "presented_api_key")]
pub(super) struct PresentedKeyView {
    #[schemars(with = "u32")]
    id: Id,
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<ApiKeyName>,
    /// When the presented value ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
    /// The networks that the key may be used from.
    #[schemars(with = "Vec<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_networks: Option<AllowedNetworks>,
    #[schemars(with = "Vec<ScopeView>")]
    api_key_scopes: Scopes,
}

impl From<ApiKey> for PresentedKeyView {
    fn from(api_key: ApiKey) -> Self {
        Self {
            id: api_key.id,
            name: api_key.name,
            expires_at: api_key.expires_at.map(DateTime),
            allowed_networks: api_key.allowed_networks,
            api_key_scopes: api_key.scopes,
        }
    }
}

impl View for PresentedKeyView {}

pub(super) async fn show(access: impl Into<ResourceAccess>, PathId(id): PathId) -> Result<Shown<UsageView>, ApiError> {
    Ok(Shown(api_keys::usage(&access.into(), id)?.into()))
}

pub(super) async fn presented(
    Authenticated(caller): Authenticated,
) -> Result<MayBeMissing<Shown<PresentedKeyView>>, ApiError> {
    Ok(MayBeMissing(Shown(api_keys::presented(&caller)?.clone().into())))
}
