//! Configurations over HTTP.

use serde::Serialize;

use super::{
    error::ApiError,
    input::{Body, FromObject, JsonObject},
    memory_budget::MemoryBudget,
    reply::{Created, Listed, Listing, NoContent, Shown, View},
};
use crate::{
    auth::{Caller, Policy},
    domain::{Configuration, ConfigurationKey, ConfigurationValue, Id, Page},
    service::configurations::{self, ConfigurationDraft, ConfigurationName},
};

/// A configuration as clients see one.
#[derive(Serialize)]
pub(super) struct ConfigurationView {
    id: Id,
    key: ConfigurationKey,
    value: ConfigurationValue,
}

impl From<Configuration> for ConfigurationView {
    fn from(Configuration { id, key, value, owner: _ }: Configuration) -> Self {
        Self { id, key, value }
    }
}

impl View for ConfigurationView {
    const SCHEMA: &'static str = "user_configuration";
}

impl Listed for ConfigurationView {
    const SCHEMA: &'static str = "user_configuration_collection";
    const COLLECTION: &'static str = "configurations";

    fn bytes(&self) -> usize {
        self.key.as_str().len() + self.value.as_str().len()
    }
}

impl FromObject for ConfigurationDraft {
    const SCHEMA: &'static str = "user_configuration";

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        Self {
            key: object.text("key", ConfigurationKey::parse),
            value: object.text_in_bytes("value", ConfigurationValue::parse),
            violations: object.violations,
        }
    }
}

pub(super) async fn index(
    caller: Caller,
    page: Page,
    memory: MemoryBudget,
) -> Result<Listing<ConfigurationView>, ApiError> {
    // How long they are is known once they are read, which must cost nothing where they are refused.
    let room = memory.room_for(configurations::max_bytes(&caller, page)?)?;
    let slice = configurations::index(&caller, page)?;
    drop(room);
    Ok(Listing::of(slice, ConfigurationView::from))
}

pub(super) async fn create(
    caller: Caller,
    Body(draft): Body<ConfigurationDraft>,
) -> Result<Created<ConfigurationView>, ApiError> {
    Ok(Created(configurations::create(&caller, draft).await?.into()))
}

pub(super) async fn show(caller: Caller, name: ConfigurationName) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::show(&caller, &name)?.into()))
}

pub(super) async fn update(
    caller: Caller,
    name: ConfigurationName,
    Body(draft): Body<ConfigurationDraft>,
) -> Result<Shown<ConfigurationView>, ApiError> {
    Ok(Shown(configurations::update(&caller, name, draft).await?.into()))
}

pub(super) async fn destroy(caller: Caller, name: ConfigurationName) -> Result<NoContent, ApiError> {
    configurations::destroy(&caller, name).await?;
    Ok(NoContent)
}
