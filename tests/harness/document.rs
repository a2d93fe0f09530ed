//! The served OpenAPI document, against which every reply is checked.

use serde_json::{Value, json};

use super::{Reply, Request};

/// The media type of metrics: OpenMetrics 1.0 as text.
const METRICS_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The served document, its schemas closed: a member that the document does not know is a fault.
pub struct Document(Value);

impl Document {
    pub fn new(mut document: Value) -> Self {
        close(&mut document);
        Self(document)
    }

    /// Fails unless the reply is one that the document describes for that operation.
    #[track_caller]
    pub fn check(&self, request: &Request, reply: &Reply) {
        let exchange = format!("{} {} {}: {}", request.method, request.path, reply.status, reply.text());
        if request.path.starts_with("/api") {
            assert_eq!(reply.header("cache-control"), Some("no-store"), "{exchange}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{exchange}");
            assert!(reply.header("x-request-id").is_some(), "{exchange}");
        }
        assert_eq!(reply.header("server"), None, "{exchange}");
        if reply.body.is_empty() {
            assert!([204, 308].contains(&reply.status) || request.method == "HEAD", "an empty body: {exchange}");
            return;
        }
        if reply.status == 200 && request.path.split('?').next().unwrap().ends_with("/metrics") {
            assert_eq!(reply.header("content-type"), Some(METRICS_TYPE), "{exchange}");
            return;
        }
        assert_eq!(reply.header("content-type"), Some("application/json"), "{exchange}");
        if request.path.ends_with("/openapi.json") {
            return;
        }
        let body = reply.json();
        assert_no_password(&body, &exchange);
        if let Some(operation) = self.operation(&request.method, &request.path) {
            let response = &operation["responses"][reply.status.to_string()];
            assert!(response.is_object(), "the document has no such status: {exchange}");
            self.validate(&response["content"]["application/json"]["schema"], &body, &exchange);
        }
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next()?.strip_prefix("/api/v2")?;
        let paths = self.0["paths"].as_object()?;
        let literal = paths.get(path);
        let methods = literal
            .or_else(|| paths.iter().find(|(template, _)| matches(template, path)).map(|(_, methods)| methods))?;
        methods.get(method.to_ascii_lowercase())
    }

    #[track_caller]
    fn validate(&self, schema: &Value, body: &Value, exchange: &str) {
        assert!(schema.is_object(), "the document has no schema: {exchange}");
        let mut schema = schema.clone();
        schema["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap();
        let faults: Vec<_> = validator.iter_errors(body).map(|fault| fault.to_string()).collect();
        assert!(faults.is_empty(), "{faults:?}: {exchange}");
    }
}

fn matches(template: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (template.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted == given || (wanted.starts_with('{') && !given.is_empty()) => {}
            _ => return false,
        }
    }
}

/// Forbids members that the schemas do not name, wherever a schema is referred to other than as a part of another.
fn close(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members.iter_mut() {
                if name == "allOf" {
                    continue;
                }
                close(member);
            }
            let is_schema_reference =
                members.get("$ref").and_then(Value::as_str).is_some_and(|to| to.contains("/schemas/"));
            if is_schema_reference {
                members.insert("unevaluatedProperties".to_owned(), json!(false));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(close),
        _ => {}
    }
}

#[track_caller]
fn assert_no_password(value: &Value, exchange: &str) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                // `details` of a violation names the attribute, with a list of problems in it.
                assert!(!name.starts_with("password") || member.is_array(), "{exchange}");
                assert_no_password(member, exchange);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| assert_no_password(item, exchange)),
        _ => {}
    }
}
