//! Configurations over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    error::ApiError,
    input::{Body, FromObject},
    json_object::JsonObject,
    listing::{Listed, Listing},
    memory_budget::RequestBudget,
    reply::{Created, NoContent, Shown, View},
    schema::all_optional,
    turns::{Client, run_aside},
};
use crate::{
    domain::{Configuration, ConfigurationChange, ConfigurationKey, ConfigurationValue, Id, Page, Submitted},
    service::{
        Policy, ResourceAccess,
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
    // A byte may need an escape of six bytes, and a character of the key has at most four bytes.
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
    access: impl Into<ResourceAccess>,
    page: Page,
    budget: RequestBudget,
) -> Result<Listing<ConfigurationView>, ApiError> {
    let access = access.into();
    // The size of a page is known only after it was read, so memory for the largest possible one is reserved first.
    let max_bytes = configurations::max_bytes(&access, page)?;
    let permit = budget.reserve(max_bytes)?;
    let slice = if max_bytes > AT_ONCE {
        run_aside(Client::from(&access.principal), move || configurations::index(&access, page)).await??
    } else {
        configurations::index(&access, page)?
    };
    drop(permit);
    Ok(Listing::of(slice, ConfigurationView::from))
}

pub(super) async fn create(
    access: impl Into<ResourceAccess>,
    Body(submitted): Body<Submitted<ConfigurationChange>>,
) -> Result<Created<ConfigurationView>, ApiError> {
    Ok(Created(configurations::create(&access.into(), submitted).await?.into()))
}

pub(super) async fn show(
    access: impl Into<ResourceAccess>,
    name: ConfigurationName,
) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::show(&access.into(), &name)?.into()))
}

pub(super) async fn update(
    access: impl Into<ResourceAccess>,
    name: ConfigurationName,
    Body(submitted): Body<Submitted<ConfigurationChange>>,
) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::update(&access.into(), name, submitted).await?.into()))
}

pub(super) async fn destroy(access: impl Into<ResourceAccess>, name: ConfigurationName) -> Result<NoContent, ApiError> {
    configurations::destroy(&access.into(), name).await?;
    Ok(NoContent)
}
