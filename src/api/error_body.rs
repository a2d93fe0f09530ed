//! The bodies of error responses.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::domain::{InvalidRecords, Violation, Violations};

/// Why a request failed, in one sentence.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "generic_error")]
pub(super) struct GenericError<'a> {
    pub(super) error: &'a str,
}

/// A fault of the server.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "internal_error")]
pub(super) struct InternalError {
    pub(super) error: &'static str,
    /// The server's log has the details under this id.
    pub(super) id: Uuid,
}

/// What is wrong with a record.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "error")]
pub(super) struct InvalidRecord {
    /// Parsable objects describing the errors. The key is the invalid attribute name.
    #[schemars(with = "BTreeMap<String, Vec<AttributeError>>")]
    details: Map<String, Value>,
    /// English description of the errors.
    messages: Vec<String>,
}

/// What is wrong with one attribute.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "attribute_error", extend("discriminator" = {"propertyName": "error"}))]
struct AttributeError<'a> {
    #[schemars(extend("enum" = [
        "blank",
        "frozen",
        "taken",
        "invalid",
        "too_short",
        "too_long",
        "greater_than",
        "greater_than_or_equal_to",
        "less_than",
        "less_than_or_equal_to",
    ]))]
    error: &'static str,
    /// The refused value, beside taken and invalid; left out for secrets and long values.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    /// The bound, beside `too_short`, `too_long` and the four comparisons.
    #[schemars(with = "i64")]
    #[serde(skip_serializing_if = "Option::is_none")]
    count: Option<i64>,
}

impl InvalidRecord {
    pub(super) fn new(violations: &Violations) -> Self {
        let mut details = Map::new();
        for violation in violations.iter() {
            add(&mut details, violation.attribute.to_owned(), violation);
        }
        Self { details, messages: violations.iter().map(Violation::message).collect() }
    }

    /// What is wrong with several records; attributes and messages begin with their places.
    pub(super) fn of_several(records: &InvalidRecords) -> Self {
        let (mut details, mut messages) = (Map::new(), Vec::new());
        for (place, violations) in records.iter() {
            for violation in violations.iter() {
                add(&mut details, format!("{place}: {}", violation.attribute), violation);
                messages.push(format!("{place}: {}", violation.message()));
            }
        }
        Self { details, messages }
    }
}

fn add(details: &mut Map<String, Value>, attribute: String, violation: &Violation) {
    let errors = details.entry(attribute).or_insert_with(|| json!([]));
    let errors = errors.as_array_mut().expect("an attribute has a list of errors");
    errors.push(json!(AttributeError::new(violation)));
}

impl<'a> AttributeError<'a> {
    fn new(violation: &'a Violation) -> Self {
        let (error, count) = (violation.problem.code(), violation.problem.count());
        Self { error, value: violation.value.as_deref(), count }
    }
}
