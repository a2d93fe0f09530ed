//! Makes accounts, configurations and API keys what the operator wants them to be.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{
    context::RequestContext,
    description::Description,
    error::ApiError,
    input::{Body, FromObject, Input},
    json_object::JsonObject,
    query,
    reply::{Shown, View},
    turns::{Client, run_aside},
};
use crate::{
    domain::{InvalidRecords, Submitted},
    secret::Secret,
    service::{
        Local, Policy,
        apply::{self, Changed, Desired, DesiredApiKey, DesiredConfiguration, DesiredUser, Kind, Mode, RecordKind},
    },
};

/// How many characters of a name a place has.
const MAX_NAME: usize = 64;

/// The accounts as they are to be.
#[derive(JsonSchema)]
pub(super) struct DesiredView {
    /// The accounts, each with the members of a user, and lists `configurations` and `api_keys`.
    #[schemars(rename = "users")]
    _users: Vec<Value>,
}

/// What was changed or, in a dry run, would be.
#[derive(Serialize, JsonSchema)]
pub(super) struct AppliedView {
    changes: Vec<ChangedView>,
}

/// A record that was changed.
#[derive(Serialize, JsonSchema)]
struct ChangedView {
    change: &'static str,
    record: &'static str,
    username: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    details: Vec<String>,
    /// The value of an API key; in a dry run, one that it can be made with.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

impl View for AppliedView {}

impl From<Changed> for ChangedView {
    fn from(changed: Changed) -> Self {
        let change = match changed.kind {
            Kind::Create => "create",
            Kind::Update => "update",
            Kind::Remove => "remove",
        };
        let record = match changed.record {
            RecordKind::User => "user",
            RecordKind::Configuration => "configuration",
            RecordKind::ApiKey => "api_key",
        };
        let key = changed.value.map(|value| value.expose().to_owned());
        Self { change, record, username: changed.username, name: changed.name, details: changed.details, key }
    }
}

impl Input for Mode {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let given = context.query();
        // Ignoring a mistyped `dry_run` would change everything.
        query::refuse_others(given, &["dry_run", "prune"])?;
        let is_true = |name| query::truth(given, name).map(Option::unwrap_or_default);
        Ok(Self { is_dry_run: is_true("dry_run")?, prunes: is_true("prune")? })
    }

    fn describe(description: &mut Description) {
        description.query_parameter("dry_run", "`true` changes nothing.");
        description.query_parameter("prune", "`true` removes what is not named from the lists that are given.");
        description.error(400, "A parameter is neither true nor false, or there is another one.");
    }
}

impl FromObject for Desired {
    type Schema = DesiredView;

    fn from_object(mut object: JsonObject, policy: &Policy) -> Self {
        let mut wrong = InvalidRecords::default();
        let users = taken(&mut object, "users", "", &mut wrong);
        let user = |(index, object)| user(object, index, policy, &mut wrong);
        Self { users: users.map(|users| users.into_iter().enumerate().map(user).collect()), wrong }
    }
}

fn user(mut object: JsonObject, index: usize, policy: &Policy, wrong: &mut InvalidRecords) -> DesiredUser {
    let place = place("users", index, object.raw_text("username"));
    let configurations = taken(&mut object, "configurations", &place, wrong);
    let api_keys = taken(&mut object, "api_keys", &place, wrong);
    let configuration = |(index, object)| configuration(object, index, &place, policy);
    let api_key = |(index, object)| api_key(object, index, &place, policy);
    DesiredUser {
        configurations: configurations.map(|list| list.into_iter().enumerate().map(configuration).collect()),
        api_keys: api_keys.map(|list| list.into_iter().enumerate().map(api_key).collect()),
        attributes: Submitted::from_object(object, policy),
        place,
    }
}

fn configuration(object: JsonObject, index: usize, owner: &str, policy: &Policy) -> DesiredConfiguration {
    let place = format!("{owner} {}", place("configurations", index, object.raw_text("key")));
    DesiredConfiguration { place, attributes: Submitted::from_object(object, policy) }
}

fn api_key(object: JsonObject, index: usize, owner: &str, policy: &Policy) -> DesiredApiKey {
    let place = format!("{owner} {}", place("api_keys", index, object.raw_text("name")));
    let value = object.raw_text("key").map(|value| Secret::new(value.to_owned()));
    DesiredApiKey { place, attributes: Submitted::from_object(object, policy), value }
}

/// The list of that name of the record at that place.
fn taken(
    object: &mut JsonObject,
    name: &'static str,
    place: &str,
    wrong: &mut InvalidRecords,
) -> Option<Vec<JsonObject>> {
    match object.take_objects(name)? {
        Ok(list) => Some(list),
        Err(problem) => {
            wrong.add_one(format!("{place} {name}").trim(), "base", problem);
            None
        }
    }
}

/// The place of a record: its list, its index there and the beginning of its name.
fn place(list: &str, index: usize, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{list}[{index}] ({})", name.chars().take(MAX_NAME).collect::<String>()),
        None => format!("{list}[{index}]"),
    }
}

pub(super) async fn apply(
    local: Local,
    mode: Mode,
    Body(desired): Body<Desired>,
) -> Result<Shown<AppliedView>, ApiError> {
    let state = Arc::clone(&local.state);
    let examined = run_aside(Client::Local, move || apply::examine(&state, desired, mode)).await??;
    let changes = apply::apply(&local, examined, mode).await?;
    Ok(Shown(AppliedView { changes: changes.into_iter().map(ChangedView::from).collect() }))
}
