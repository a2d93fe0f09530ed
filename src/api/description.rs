//! Describes one operation for the OpenAPI document.

use std::collections::BTreeMap;

use schemars::{JsonSchema, SchemaGenerator};
use serde_json::{Map, Value, json};

use super::{
    body::BodyKind,
    error_body::{GenericError, InternalError, InvalidRecord},
    schema,
};

const RETRY_AFTER: &str = "The number of seconds after which another attempt may succeed.";

/// The schemas and parameters that operations share.
pub(super) struct Components {
    schemas: SchemaGenerator,
    parameters: Map<String, Value>,
}

/// The parameters, the body and the responses of an operation, as its guard, inputs and reply describe them.
pub(super) struct Description<'c> {
    components: &'c mut Components,
    parameter_names: Vec<&'static str>,
    parameters: Vec<Value>,
    body: Option<Value>,
    responses: BTreeMap<u16, Value>,
}

impl Components {
    pub(super) fn new() -> Self {
        Self { schemas: schema::generator(), parameters: Map::new() }
    }

    /// The schemas and parameters of all operations described so far.
    pub(super) fn into_parts(mut self) -> (Map<String, Value>, Map<String, Value>) {
        (self.schemas.take_definitions(true), self.parameters)
    }

    fn content<T: JsonSchema>(&mut self, kind: BodyKind) -> Value {
        json!({kind.media_type(): {"schema": self.schemas.subschema_for::<T>()}})
    }

    /// The schema of a type, inline and not as a component.
    fn inline<T: JsonSchema>(&mut self) -> Value {
        let mut schema = self.schemas.subschema_for::<T>();
        for transform in self.schemas.transforms_mut() {
            transform.transform(&mut schema);
        }
        schema.to_value()
    }
}

impl<'c> Description<'c> {
    /// An operation whose path has these parameters, with the responses that every operation has.
    pub(super) fn new(components: &'c mut Components, parameter_names: Vec<&'static str>) -> Self {
        let (parameters, body, responses) = (Vec::new(), None, BTreeMap::new());
        let mut description = Self { components, parameter_names, parameters, body, responses };
        description.error(400, "The request is malformed.");
        description.error(414, "The path and query are too long.");
        description.error(431, "The headers are too large.");
        description.respond::<InternalError>(500, "The server has a fault.");
        description.error(503, "The server cannot do this now.");
        description.header(503, "Retry-After", RETRY_AFTER, "integer");
        description
    }

    /// The path's next parameter, and the response if no record has that id or key.
    pub(super) fn path_parameter<T: JsonSchema>(&mut self, text: &str) {
        let (name, schema) = (self.parameter_names.remove(0), self.components.inline::<T>());
        self.parameters
            .push(json!({"name": name, "in": "path", "required": true, "description": text, "schema": schema}));
        self.error(404, "Nothing has this id or key.");
    }

    /// A text parameter of the query.
    pub(super) fn query_parameter(&mut self, name: &str, text: &str) {
        let schema = self.components.inline::<String>();
        self.parameters.push(json!({"name": name, "in": "query", "description": text, "schema": schema}));
    }

    /// A parameter of the query that is a shared component.
    pub(super) fn shared_query_parameter<T: JsonSchema>(&mut self, name: &str, text: &str) {
        let schema = self.components.inline::<T>();
        let parameter = json!({"name": name, "in": "query", "description": text, "schema": schema});
        self.components.parameters.insert(name.to_owned(), parameter);
        self.parameters.push(json!({"$ref": format!("#/components/parameters/{name}")}));
    }

    /// The body of that kind, and the responses to one that is not read.
    pub(super) fn body<T: JsonSchema>(&mut self, kind: BodyKind) {
        self.body = Some(json!({"required": true, "content": self.components.content::<T>(kind)}));
        self.error(400, "The request is malformed.");
        self.error(408, "The body took too long to arrive.");
        self.error(413, "The body is too large.");
        self.error(415, &format!("The body is not {} in UTF-8, or is encoded.", kind.media_type()));
    }

    /// The body may be left out.
    pub(super) fn body_is_optional(&mut self) {
        if let Some(body) = &mut self.body {
            body["required"] = json!(false);
        }
    }

    /// The successful response with a body.
    pub(super) fn success<T: JsonSchema>(&mut self, status: u16) {
        self.respond::<T>(status, "Done.");
    }

    /// The successful response with a text of that media type.
    pub(super) fn text(&mut self, media_type: &str) {
        let content = json!({media_type: {"schema": {"type": "string"}}});
        self.responses.insert(200, json!({"description": "Done.", "content": content}));
    }

    /// The successful response without a body.
    pub(super) fn no_content(&mut self) {
        self.responses.insert(204, json!({"description": "Done."}));
    }

    /// The token in the response's `Authorization` header.
    pub(super) fn token_header(&mut self, status: u16) {
        self.header(status, "Authorization", "JWT token", "string");
    }

    /// The response to an invalid record.
    pub(super) fn invalid(&mut self) {
        self.respond::<InvalidRecord>(422, "The received resource was not correctly formatted.");
    }

    /// The response to an attempt after too many failed ones.
    pub(super) fn throttled(&mut self) {
        self.error(429, "Too many attempts have failed.");
        self.header(429, "Retry-After", RETRY_AFTER, "integer");
    }

    /// An error response whose body is one sentence.
    pub(super) fn error(&mut self, status: u16, text: &str) {
        self.respond::<GenericError<'static>>(status, text);
        if status == 401 {
            self.header(status, "WWW-Authenticate", "Which credentials are accepted.", "string");
        }
    }

    /// Adds the parameters, the body and the responses to an operation of the document.
    pub(super) fn complete(self, operation: &mut Value) {
        if !self.parameters.is_empty() {
            operation["parameters"] = json!(self.parameters);
        }
        if let Some(body) = self.body {
            operation["requestBody"] = body;
        }
        let responses = self.responses.into_iter().map(|(status, response)| (status.to_string(), response));
        operation["responses"] = Value::Object(responses.collect());
    }

    fn respond<T: JsonSchema>(&mut self, status: u16, text: &str) {
        let response = json!({"description": text, "content": self.components.content::<T>(BodyKind::Json)});
        self.responses.insert(status, response);
    }

    /// Another header of the response of that status.
    pub(super) fn header(&mut self, status: u16, name: &str, text: &str, kind: &str) {
        if let Some(response) = self.responses.get_mut(&status) {
            response["headers"][name] = json!({"description": text, "schema": {"type": kind}});
        }
    }

    /// The operation never answers with these statuses.
    pub(super) fn never<const N: usize>(&mut self, statuses: [u16; N]) {
        self.responses.retain(|status, _| !statuses.contains(status));
    }
}
