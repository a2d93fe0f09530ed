//! The OpenAPI document, derived from the table of operations and the types of their handlers.

use std::{collections::BTreeMap, sync::LazyLock};

use actix_web::web::Bytes;
use serde_json::{Map, Value, json};

use super::operations::{Admits, OPERATIONS, Operation};

/// The document as it is served: OpenAPI 3.0, as JSON.
///
/// # Panics
/// Never: the components are part of this program, and a test reads them.
pub static DOCUMENT: LazyLock<Bytes> =
    LazyLock::new(|| Bytes::from(serde_json::to_vec(&document()).expect("a value can be written as JSON")));

const COMPONENTS: &str = include_str!("components.json");

const RETRY_AFTER: &str = "After how many seconds another try is worth it.";

/// What an operation takes and answers, as its guard, inputs and reply describe it.
pub(super) struct Description {
    parameter_name: &'static str,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: BTreeMap<u16, Value>,
}

impl Description {
    fn of(operation: &Operation) -> Self {
        let mut description = Self {
            parameter_name: parameter_name(operation.path),
            parameters: Vec::new(),
            body: None,
            responses: BTreeMap::new(),
        };
        description.error(400, "The request is malformed.");
        description.error(414, "The path and query are too long.");
        description.error(431, "The headers are too large.");
        description.respond(500, "Something went wrong in the server.", Some("internal_error"));
        description.error(503, "The server cannot do this now.");
        description.header(503, "Retry-After", RETRY_AFTER, "integer");
        (operation.mounted.describe)(&mut description);
        description
    }

    /// The path's parameter; nothing may be there under it.
    pub(super) fn path_parameter(&mut self, schema: &Value, text: &str) {
        let name = self.parameter_name;
        self.parameters
            .push(json!({"name": name, "in": "path", "required": true, "description": text, "schema": schema}));
        self.error(404, "There is nothing under this id or key.");
    }

    /// A text in the query.
    pub(super) fn query_parameter(&mut self, name: &str, text: &str) {
        self.parameters.push(json!({"name": name, "in": "query", "description": text, "schema": {"type": "string"}}));
    }

    /// A parameter that several operations have.
    pub(super) fn shared_parameter(&mut self, name: &str) {
        self.parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
    }

    /// The JSON body.
    pub(super) fn body(&mut self, schema: &str) {
        self.body = Some(json!({"required": true, "content": content(schema)}));
    }

    /// The answer when all went well.
    pub(super) fn success(&mut self, status: u16, schema: Option<&str>) {
        self.respond(status, "Done.", schema);
    }

    /// The token in the answer's `Authorization` header.
    pub(super) fn token_header(&mut self, status: u16) {
        self.header(status, "Authorization", "JWT token", "string");
    }

    /// The answer to an invalid record.
    pub(super) fn invalid(&mut self) {
        self.respond(422, "The received resource was not correctly formatted.", Some("error"));
    }

    /// The answer to tries that have to wait.
    pub(super) fn throttled(&mut self) {
        self.error(429, "Too many tries have failed.");
        self.header(429, "Retry-After", RETRY_AFTER, "integer");
    }

    /// An answer that says in a sentence what is wrong.
    pub(super) fn error(&mut self, status: u16, text: &str) {
        self.respond(status, text, Some("generic_error"));
        if status == 401 {
            self.header(status, "WWW-Authenticate", "Which credentials are accepted.", "string");
        }
    }

    fn respond(&mut self, status: u16, text: &str, schema: Option<&str>) {
        let mut response = json!({"description": text});
        if let Some(schema) = schema {
            response["content"] = content(schema);
        }
        self.responses.insert(status, response);
    }

    fn header(&mut self, status: u16, name: &str, text: &str, kind: &str) {
        if let Some(response) = self.responses.get_mut(&status) {
            response["headers"] = json!({name: {"description": text, "schema": {"type": kind}}});
        }
    }
}

/// The name in braces, empty if the path has no parameter.
fn parameter_name(path: &'static str) -> &'static str {
    path.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(name, _)| name)
}

fn content(schema: &str) -> Value {
    json!({"application/json": {"schema": {"$ref": format!("#/components/schemas/{schema}")}}})
}

fn document() -> Value {
    let mut paths = Map::new();
    for operation in OPERATIONS.iter() {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = described(operation);
    }
    let components: Value = serde_json::from_str(COMPONENTS).expect("the components are JSON");
    json!({
        "openapi": "3.0.1",
        "info": {"title": "Lodge API", "version": "2.1.0"},
        "servers": [{
            "url": "{url}/api/v2",
            "variables": {"url": {"default": "http://localhost", "description": "URL of server"}},
        }],
        "security": [{"BasicAuth": []}, {"BearerAuth": []}, {"JWT": []}],
        "tags": [{"name": "users"}],
        "paths": paths,
        "components": components,
    })
}

fn described(operation: &Operation) -> Value {
    let description = Description::of(operation);
    let scope = format!("**API Key Scope**: {} / {}", operation.controller, operation.action);
    let mut value =
        json!({"summary": operation.summary, "operationId": operation.id, "description": scope, "tags": ["users"]});
    if operation.admits == Admits::Anonymous {
        value["security"] = json!([]);
    }
    if !description.parameters.is_empty() {
        value["parameters"] = json!(description.parameters);
    }
    if let Some(body) = description.body {
        value["requestBody"] = body;
    }
    let responses: Map<_, _> =
        description.responses.into_iter().map(|(status, response)| (status.to_string(), response)).collect();
    value["responses"] = Value::Object(responses);
    value
}
