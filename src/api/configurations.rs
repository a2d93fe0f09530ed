//! Configurations over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    context::run_aside,
    error::ApiError,
    input::{Body, FromObject},
    json_object::JsonObject,
    listing::{Listed, Listing},
    memory_budget::RequestBudget,
    reply::{Created, NoContent, Shown, View},
    schema::all_optional,
};
use crate::{
    domain::{Configuration, ConfigurationChange, ConfigurationKey, ConfigurationValue, Id, Page, Submitted},
    service::{
        Caller, Policy,
        configurations::{self, ConfigurationName},
    },
};

/// How many bytes of configurations are read at once: they take less than 1 ms.
const AT_ONCE: usize = 1 << 20;

/// A setting of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "user_configuration", transform = all_optional)]
pub(super) struct ConfigurationView {
    #[schemars(with = "u32", extend("readOnly" = true))]
    id: Id,
    #[schemars(with = "String")]
    key: ConfigurationKey,
    #[schemars(with = "String")]
    value: ConfigurationValue,
}

impl From<Configuration> for ConfigurationView {
    fn from(Configuration { id, key, value, owner: _ }: Configuration) -> Self {
        Self { id, key, value }
    }
}

impl View for ConfigurationView {
    // Each byte may be escaped with six, and each character of the key may have four.
    const MAX_BYTES: usize = 6 * ConfigurationValue::MAX_BYTES + 6 * ConfigurationKey::MAX + 64;
}

impl Listed for ConfigurationView {
    const COLLECTION: &'static str = "configurations";

    fn bytes(&self) -> usize {
        self.key.as_str().len() + self.value.as_str().len()
    }
}

impl FromObject for Submitted<ConfigurationChange> {
    type Schema = ConfigurationView;

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        let change = ConfigurationChange {
            key: object.text("key", ConfigurationKey::parse),
            value: object.text_in_bytes("value", ConfigurationValue::parse),
        };
        Self { change, violations: object.violations }
    }
}

pub(super) async fn index(
    caller: Caller,
    page: Page,
    budget: RequestBudget,
) -> Result<Listing<ConfigurationView>, ApiError> {
    // Their size is known only once they are read, so memory for the largest possible page is reserved before.
    let max_bytes = configurations::max_bytes(&caller, page)?;
    let permit = budget.reserve(max_bytes)?;
    let slice = if max_bytes > AT_ONCE {
        run_aside(move || configurations::index(&caller, page)).await??
    } else {
        configurations::index(&caller, page)?
    };
    drop(permit);
    Ok(Listing::of(slice, ConfigurationView::from))
}

pub(super) async fn create(
    caller: Caller,
    Body(submitted): Body<Submitted<ConfigurationChange>>,
) -> Result<Created<ConfigurationView>, ApiError> {
    Ok(Created(configurations::create(&caller, submitted).await?.into()))
}

pub(super) async fn show(caller: Caller, name: ConfigurationName) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::show(&caller, &name)?.into()))
}

pub(super) async fn update(
    caller: Caller,
    name: ConfigurationName,
    Body(submitted): Body<Submitted<ConfigurationChange>>,
) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::update(&caller, name, submitted).await?.into()))
}

pub(super) async fn destroy(caller: Caller, name: ConfigurationName) -> Result<NoContent, ApiError> {
    configurations::destroy(&caller, name).await?;
    Ok(NoContent)
}
