//! The OpenAPI document, derived from the table of operations and the types of their handlers.

use std::sync::LazyLock;

use actix_web::web::Bytes;
use serde_json::{Map, Value, json};

use super::{
    description::{Components, Description},
    operations::{Admits, Operation, PREFIX, public_operations},
};

/// The document as it is served at the root: OpenAPI 3.0 as JSON, computed once.
///
/// # Panics
/// Never: a JSON value can always be written.
pub static DOCUMENT: LazyLock<Bytes> = LazyLock::new(|| document_below(""));

/// The document as it is served below that path.
pub(super) fn document_below(base_path: &str) -> Bytes {
    Bytes::from(serde_json::to_vec(&document(base_path)).expect("a value can be written as JSON"))
}

/// The names in braces.
fn parameter_names(path: &'static str) -> Vec<&'static str> {
    path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')).collect()
}

fn document(base_path: &str) -> Value {
    let mut components = Components::new();
    let mut paths = Map::new();
    for operation in public_operations() {
        let methods = paths.entry(operation.path).or_insert_with(|| json!({}));
        methods[operation.method.as_str().to_ascii_lowercase()] = described(operation, &mut components);
    }
    let (schemas, parameters) = components.into_parts();
    json!({
        "openapi": "3.0.1",
        "info": {"title": "Lodge API", "version": "2.1.0"},
        "servers": [{
            "url": format!("{{url}}{base_path}{PREFIX}"),
            "variables": {"url": {"default": "http://localhost", "description": "URL of server"}},
        }],
        "security": [{"BasicAuth": []}, {"BearerAuth": []}, {"JWT": []}],
        "tags": [{"name": "users"}],
        "paths": paths,
        "components": {"schemas": schemas, "parameters": parameters, "securitySchemes": security_schemes()},
    })
}

fn described(operation: &Operation, components: &mut Components) -> Value {
    let mut description = Description::new(components, parameter_names(operation.path));
    (operation.mounted.describe)(&mut description);
    let scope = needed_scope(operation);
    let mut value =
        json!({"summary": operation.summary, "operationId": operation.id, "description": scope, "tags": ["users"]});
    if operation.admits == Admits::Anonymous {
        value["security"] = json!([]);
    }
    description.complete(&mut value);
    value
}

fn needed_scope(operation: &Operation) -> String {
    match operation.admits {
        Admits::Authenticated => "An API key needs no scope.".to_owned(),
        Admits::Forwarded => "An API key needs the scopes that the query names. Every method, and every path below this \
            one, is answered in the same way. The credential is that of `X-Lodge-Key`, else of `Proxy-Authorization`, else \
            of `Authorization`."
            .to_owned(),
        Admits::Anonymous
        | Admits::Caller
        | Admits::SelfOrAdministrator
        | Admits::Administrator
        | Admits::UserAdministrator
        | Admits::Local => {
            format!("**API Key Scope**: {} / {}", operation.controller, operation.action)
        }
    }
}

/// The security schemes, in the words of the reference.
fn security_schemes() -> Value {
    json!({
        "BasicAuth": {
            "type": "http",
            "scheme": "basic",
            "description":
                "Pass the username and password of a user in the authorization header.\nThis currently gives full access.",
        },
        "BearerAuth": {
            "type": "apiKey",
            "description":
                "Create an API Key associated to user.\nAccess can be restricted with the scope.\n\
                Each API call described below has a scoped mentionned in its description.\n\n\
                For example :\n\n**API Key Scope**: files / index\n\n\
                This means that the API key should have a scope with controller as *files*\n\
                and the action as *index*.",
            "name": "Authorization",
            "in": "header",
        },
        "JWT": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"},
    })
}
