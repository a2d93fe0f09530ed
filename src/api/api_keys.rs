//! API keys over HTTP.

use std::{borrow::Cow, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::Value;

use super::{
    date_time::DateTime,
    error::ApiError,
    input::{Body, FromObject, Include, OptionalBody, PathId},
    json_object::JsonObject,
    listing::{Listed, Listing},
    reply::{Created, NoContent, Shown, View},
    schema::all_optional,
    turns::{Client, run_aside},
};
use crate::{
    clock::Timestamp,
    domain::{
        AllowedNetworks, ApiKey, ApiKeyChange, ApiKeyName, Id, Page, Parsed, Problem, Rotation, Scope, Scopes,
        Submitted,
    },
    service::{Policy, ResourceAccess, ServiceError, api_keys},
    store::Slice,
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
    /// When the key ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<DateTime>,
    /// The networks that the key may be used from.
    #[schemars(with = "Vec<String>")]
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_networks: Option<AllowedNetworks>,
    /// The minute of the last use, if `include=activity` asks for it.
    #[schemars(extend("readOnly" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_used_at: Option<DateTime>,
    /// Until when the value from before the last rotation stays valid.
    #[schemars(extend("readOnly" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    former_value_expires_at: Option<DateTime>,
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
        Self {
            id: api_key.id,
            key,
            name: api_key.name,
            expires_at: api_key.expires_at.map(DateTime),
            allowed_networks: api_key.allowed_networks,
            last_used_at: None,
            former_value_expires_at: api_key.former_value.map(|former| DateTime(former.ends)),
        }
    }

    fn shown_to(access: &ResourceAccess, mut api_key: ApiKey, include: Include) -> Result<Self, ServiceError> {
        let (key, now) = (api_keys::shown_key(access, &api_key), access.state.clock.now());
        api_key.former_value.take_if(|former| former.ends <= now);
        let last_use = if include.activity { api_keys::last_use(access, &api_key)? } else { None };
        Ok(Self { last_used_at: last_use.map(|last| DateTime(last.at)), ..Self::new(api_key, key) })
    }
}

impl ApiKeyFullView {
    fn new(mut api_key: ApiKey, key: String) -> Self {
        let api_key_scopes = std::mem::take(&mut api_key.scopes);
        Self { api_key: ApiKeyView::new(api_key, key), api_key_scopes }
    }

    fn shown_to(access: &ResourceAccess, mut api_key: ApiKey, include: Include) -> Result<Self, ServiceError> {
        let api_key_scopes = std::mem::take(&mut api_key.scopes);
        Ok(Self { api_key: ApiKeyView::shown_to(access, api_key, include)?, api_key_scopes })
    }
}

impl View for ApiKeyFullView {
    // Scopes need no escapes; a character of the name may need an escape of six bytes.
    const MAX_BYTES: usize = Scopes::MAX * (2 * Scope::MAX + 64)
        + AllowedNetworks::MAX * (AllowedNetworks::MAX_TEXT + 3)
        + 6 * ApiKeyName::MAX
        + 512;
    // Rotating a key takes no body.
    const MAX_BYTES_OF_CHANGE: usize = Self::MAX_BYTES;
}

impl Listed for ApiKeyView {
    const COLLECTION: &'static str = "api_keys";

    fn bytes(&self) -> usize {
        self.allowed_networks.iter().flat_map(AllowedNetworks::iter).map(size_of_val).sum()
    }
}

impl FromObject for Submitted<ApiKeyChange> {
    type Schema = ApiKeyFullView;

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        let change = ApiKeyChange {
            name: object.optional_text("name", ApiKeyName::parse),
            scopes: object.list("api_key_scopes", scopes),
            expires_at: object.optional_text("expires_at", |text| Timestamp::parse(text).ok_or(Problem::Invalid)),
            allowed_networks: object.optional_list("allowed_networks", networks),
        };
        Self { change, violations: object.violations }
    }
}

impl FromObject for Submitted<Rotation> {
    type Schema = RotationView;

    fn from_object(mut object: JsonObject, policy: &Policy) -> Self {
        let max = i64::try_from(policy.max_key_overlap.as_secs()).unwrap_or(i64::MAX);
        let overlap = object.optional_integer("overlap", |seconds| match u64::try_from(seconds) {
            Err(_) if seconds < 0 => Err(Problem::GreaterThanOrEqualTo(0)),
            Ok(seconds) if i64::try_from(seconds).is_ok_and(|seconds| seconds <= max) => {
                Ok(Duration::from_secs(seconds))
            }
            Ok(_) | Err(_) => Err(Problem::LessThanOrEqualTo(max)),
        });
        let overlap = overlap.or(None).unwrap_or_default();
        Self { change: Rotation { overlap }, violations: object.violations }
    }
}

/// A rotation of an API key.
#[derive(JsonSchema)]
#[schemars(rename = "api_key_rotation")]
pub(super) struct RotationView {
    /// For how many seconds the value that the key has had stays valid; 0 unless given.
    #[schemars(rename = "overlap")]
    _overlap: Option<u32>,
}

pub(super) async fn index(
    access: impl Into<ResourceAccess>,
    page: Page,
    include: Include,
) -> Result<Listing<ApiKeyView>, ApiError> {
    let access = access.into();
    if api_keys::count(&access, page)? > AT_ONCE {
        run_aside(Client::from(&access.principal), move || read(&access, page, include)).await?
    } else {
        read(&access, page, include)
    }
}

fn read(access: &ResourceAccess, page: Page, include: Include) -> Result<Listing<ApiKeyView>, ApiError> {
    let Slice { records, count } = api_keys::index(access, page)?;
    let views = records.into_iter().map(|api_key| ApiKeyView::shown_to(access, api_key, include));
    Ok(Listing::of(Slice { records: views.collect::<Result<_, _>>()?, count }, |view| view))
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
    include: Include,
) -> Result<Shown<ApiKeyFullView>, ApiError> {
    let access = access.into();
    let api_key = api_keys::show(&access, id)?;
    Ok(Shown(ApiKeyFullView::shown_to(&access, api_key, include)?))
}

pub(super) async fn update(
    access: impl Into<ResourceAccess>,
    PathId(id): PathId,
    Body(submitted): Body<Submitted<ApiKeyChange>>,
) -> Result<Shown<ApiKeyFullView>, ApiError> {
    let access = access.into();
    let api_key = api_keys::update(&access, id, submitted).await?;
    Ok(Shown(ApiKeyFullView::shown_to(&access, api_key, Include { activity: false })?))
}

pub(super) async fn destroy(access: impl Into<ResourceAccess>, PathId(id): PathId) -> Result<NoContent, ApiError> {
    api_keys::destroy(&access.into(), id).await?;
    Ok(NoContent)
}

pub(super) async fn rotate(
    access: impl Into<ResourceAccess>,
    PathId(id): PathId,
    OptionalBody(submitted): OptionalBody<Submitted<Rotation>>,
) -> Result<Created<ApiKeyFullView>, ApiError> {
    let access = access.into();
    let (api_key, key) = api_keys::rotate(&access, id, submitted).await?;
    let key = api_keys::rotated_key(&access, &api_key, &key);
    Ok(Created(ApiKeyFullView::new(api_key, key)))
}

pub(super) async fn destroy_former_value(
    access: impl Into<ResourceAccess>,
    PathId(id): PathId,
) -> Result<NoContent, ApiError> {
    api_keys::destroy_former_value(&access.into(), id).await?;
    Ok(NoContent)
}

fn networks(items: &[Value]) -> Parsed<AllowedNetworks> {
    let texts = items.iter().map(|item| item.as_str().ok_or(Problem::Invalid)).collect::<Parsed<Vec<_>>>()?;
    AllowedNetworks::parse(&texts)
}

pub(super) fn scopes(items: &[Value]) -> Parsed<Scopes> {
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
