//! API keys over HTTP.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::{
    error::ApiError,
    input::{Body, FromObject, PathId},
    json_object::JsonObject,
    listing::{Listed, Listing},
    reply::{Created, NoContent, Shown, View},
    schema::all_optional,
    turns::{Client, run_aside},
};
use crate::{
    domain::{ApiKey, ApiKeyChange, ApiKeyName, Id, Page, Parsed, Problem, Scope, Scopes, Submitted},
    service::{Policy, ResourceAccess, api_keys},
};

/// How many keys are read at once: with all their scopes they take less than 1 ms.
const AT_ONCE: usize = 16;

/// An API key without its scopes.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "api_key", transform = all_optional)]
pub(super) struct ApiKeyView {
    #[schemars(with = "u32", extend("readOnly" = true))]
    id: Id,
    #[schemars(extend("readOnly" = true))]
    key: String,
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<ApiKeyName>,
}

/// An API key with its scopes.
#[derive(Serialize)]
pub(super) struct ApiKeyFullView {
    #[serde(flatten)]
    api_key: ApiKeyView,
    api_key_scopes: Scopes,
}

impl JsonSchema for ApiKeyFullView {
    fn schema_name() -> Cow<'static, str> {
        "api_key_full".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let scopes = json_schema!({"type": "array", "items": generator.subschema_for::<ScopeView>()});
        let own = json_schema!({"type": "object", "properties": {"api_key_scopes": scopes}});
        json_schema!({"allOf": [generator.subschema_for::<ApiKeyView>(), own]})
    }
}

/// A [`Scope`].
#[derive(Serialize)]
pub(super) struct ScopeView(pub(super) Scope);

impl JsonSchema for ScopeView {
    fn schema_name() -> Cow<'static, str> {
        "api_key_scope".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "object", "properties": {"controller": {"type": "string"}, "action": {"type": "string"}}})
    }
}

impl ApiKeyView {
    fn new(api_key: ApiKey, key: String) -> Self {
        Self { id: api_key.id, key, name: api_key.name }
    }
}

impl ApiKeyFullView {
    fn new(mut api_key: ApiKey, key: String) -> Self {
        let api_key_scopes = std::mem::take(&mut api_key.scopes);
        Self { api_key: ApiKeyView::new(api_key, key), api_key_scopes }
    }

    fn shown_to(access: &ResourceAccess, api_key: ApiKey) -> Self {
        let key = api_keys::shown_key(access, &api_key);
        Self::new(api_key, key)
    }
}

impl View for ApiKeyFullView {
    // Scopes need no escapes; a character of the name may need an escape of six bytes.
    const MAX_BYTES: usize = Scopes::MAX * (2 * Scope::MAX + 64) + 6 * ApiKeyName::MAX + 512;
}

impl Listed for ApiKeyView {
    const COLLECTION: &'static str = "api_keys";
}

impl FromObject for Submitted<ApiKeyChange> {
    type Schema = ApiKeyFullView;

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        let change = ApiKeyChange {
            name: object.optional_text("name", ApiKeyName::parse),
            scopes: object.list("api_key_scopes", scopes),
        };
        Self { change, violations: object.violations }
    }
}

pub(super) async fn index(access: impl Into<ResourceAccess>, page: Page) -> Result<Listing<ApiKeyView>, ApiError> {
    let access = access.into();
    if api_keys::count(&access, page)? > AT_ONCE {
        run_aside(Client::from(&access.principal), move || read(&access, page)).await?
    } else {
        read(&access, page)
    }
}

fn read(access: &ResourceAccess, page: Page) -> Result<Listing<ApiKeyView>, ApiError> {
    let slice = api_keys::index(access, page)?;
    Ok(Listing::of(slice, |api_key| {
        let key = api_keys::shown_key(access, &api_key);
        ApiKeyView::new(api_key, key)
    }))
}

pub(super) async fn create(
    access: impl Into<ResourceAccess>,
    Body(submitted): Body<Submitted<ApiKeyChange>>,
) -> Result<Created<ApiKeyFullView>, ApiError> {
    let (api_key, key) = api_keys::create(&access.into(), submitted).await?;
    Ok(Created(ApiKeyFullView::new(api_key, key.expose().to_owned())))
}

pub(super) async fn show(
    access: impl Into<ResourceAccess>,
    PathId(id): PathId,
) -> Result<Shown<ApiKeyFullView>, ApiError> {
    let access = access.into();
    let api_key = api_keys::show(&access, id)?;
    Ok(Shown(ApiKeyFullView::shown_to(&access, api_key)))
}

pub(super) async fn update(
    access: impl Into<ResourceAccess>,
    PathId(id): PathId,
    Body(submitted): Body<Submitted<ApiKeyChange>>,
) -> Result<Shown<ApiKeyFullView>, ApiError> {
    let access = access.into();
    let api_key = api_keys::update(&access, id, submitted).await?;
    Ok(Shown(ApiKeyFullView::shown_to(&access, api_key)))
}

pub(super) async fn destroy(access: impl Into<ResourceAccess>, PathId(id): PathId) -> Result<NoContent, ApiError> {
    api_keys::destroy(&access.into(), id).await?;
    Ok(NoContent)
}

fn scopes(items: &[Value]) -> Parsed<Scopes> {
    // Count before parsing: a list may be long.
    if items.len() > Scopes::MAX {
        return Err(Problem::TooLong(Scopes::MAX));
    }
    Scopes::new(items.iter().map(scope).collect::<Parsed<_>>()?)
}

fn scope(item: &Value) -> Parsed<Scope> {
    let half = |name| item.get(name).and_then(Value::as_str).ok_or(Problem::Invalid);
    Scope::parse(half("controller")?, half("action")?)
}
