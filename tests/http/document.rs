//! The served OpenAPI document has everything that the reference has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Request, Server};

const REFERENCE: &str = include_str!("../data/reference.json");
const VERSION_0_3_0: &str = include_str!("../data/openapi-0.3.0.json");
const OPENAPI_SCHEMA: &str = include_str!("../data/openapi-3.0.schema.json");

/// The operations that the reference does not have.
const OURS: [&str; 33] = [
    "delete /locks",
    "get /audit",
    "get /locks",
    "get /users/me/scopes",
    "get /users/me/sessions",
    "delete /users/me/sessions",
    "delete /users/me/sessions/{session_id}",
    "get /users/{user_id}/sessions",
    "delete /users/{user_id}/sessions",
    "delete /users/{user_id}/sessions/{session_id}",
    "get /users/{user_id}/configurations",
    "post /users/{user_id}/configurations",
    "get /users/{user_id}/configurations/{configuration_id}",
    "put /users/{user_id}/configurations/{configuration_id}",
    "delete /users/{user_id}/configurations/{configuration_id}",
    "get /users/{user_id}/api_keys",
    "post /users/{user_id}/api_keys",
    "get /users/{user_id}/api_keys/{api_key_id}",
    "put /users/{user_id}/api_keys/{api_key_id}",
    "delete /users/{user_id}/api_keys/{api_key_id}",
    "post /users/me/api_keys/{api_key_id}/rotate",
    "get /users/me/api_keys/{api_key_id}/usage",
    "get /users/me/api_key",
    "post /users/{user_id}/api_keys/{api_key_id}/rotate",
    "get /users/{user_id}/api_keys/{api_key_id}/usage",
    "get /scopes",
    "get /status",
    "get /forward-auth",
    "get /metrics",
    "post /introspect",
    "delete /users/me/api_keys/{api_key_id}/former_value",
    "delete /users/{user_id}/api_keys/{api_key_id}/former_value",
    "post /assertions",
];

fn reference() -> Value {
    serde_json::from_str(REFERENCE).unwrap()
}

fn served() -> Value {
    Server::start().anonymous().send(&Request::whole("GET", "/openapi.json")).expect(200).json()
}

/// The value with everything that it refers to in place of the references.
#[track_caller]
fn resolved(document: &Value, value: &Value) -> Value {
    match value {
        Value::Object(members) => match members.get("$ref").and_then(Value::as_str) {
            Some(reference) => resolved(document, target(document, reference)),
            None => members.iter().map(|(name, member)| (name.clone(), resolved(document, member))).collect(),
        },
        Value::Array(items) => items.iter().map(|item| resolved(document, item)).collect(),
        _ => value.clone(),
    }
}

#[track_caller]
fn target<'a>(document: &'a Value, reference: &str) -> &'a Value {
    let pointer = reference.strip_prefix('#').unwrap_or_else(|| panic!("{reference} is not in this document"));
    document.pointer(pointer).unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Where the given value lacks something of the wanted one, or has something else there.
fn lacks(given: &Value, wanted: &Value, at: &str) -> Vec<String> {
    match (given, wanted) {
        (Value::Object(given), Value::Object(wanted)) => {
            let members = wanted.iter();
            members
                .flat_map(|(name, member)| {
                    lacks(given.get(name).unwrap_or(&Value::Null), member, &format!("{at}/{name}"))
                })
                .collect()
        }
        (Value::Array(given), Value::Array(wanted)) => {
            let is_given = |item: &Value| given.iter().any(|given| lacks(given, item, at).is_empty());
            wanted.iter().filter(|item| !is_given(item)).map(|item| format!("{at}: {item}")).collect()
        }
        (given, wanted) if given == wanted => Vec::new(),
        (given, wanted) => vec![format!("{at}: {given}, not {wanted}")],
    }
}

/// All operations of a document, each with its method and path, references resolved.
fn operations(document: &Value) -> Vec<(String, Value)> {
    let paths = resolved(document, &document["paths"]);
    let methods = |methods: &Value| methods.as_object().unwrap().clone();
    let of_path = |(path, of_path): (&String, &Value)| {
        methods(of_path)
            .into_iter()
            .map(|(method, operation)| (format!("{method} {path}"), operation))
            .collect::<Vec<_>>()
    };
    paths.as_object().unwrap().iter().flat_map(of_path).collect()
}

/// The operation without the descriptions of its responses, which may be worded differently.
fn without_descriptions_of_answers(operation: &Value) -> Value {
    let mut operation = operation.clone();
    for response in operation["responses"].as_object_mut().unwrap().values_mut() {
        response.as_object_mut().unwrap().remove("description");
    }
    operation
}

/// The value with one text in place of all texts for people, which may be reworded.
fn without_wording(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let is_wording =
                |name: &str, member: &Value| ["description", "summary"].contains(&name) && member.is_string();
            let reworded = |name: &str, member: &Value| {
                if is_wording(name, member) { json!("any text") } else { without_wording(member) }
            };
            members.iter().map(|(name, member)| (name.clone(), reworded(name, member))).collect()
        }
        Value::Array(items) => items.iter().map(without_wording).collect(),
        _ => value.clone(),
    }
}

fn statuses(operation: &Value) -> BTreeSet<&str> {
    operation["responses"].as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn every_operation_of_the_reference_is_documented_with_all_that_it_has_there_and_there_are_no_others_but_ours() {
    let served = operations(&served());
    let names =
        |operations: &[(String, Value)]| operations.iter().map(|(name, _)| name.clone()).collect::<BTreeSet<_>>();
    let reference = operations(&reference());

    let lacking: Vec<_> = reference
        .iter()
        .flat_map(|(name, wanted)| {
            let given = served.iter().find(|(given, _)| given == name).map_or(&Value::Null, |(_, given)| given);
            lacks(given, &without_descriptions_of_answers(wanted), name)
        })
        .collect();

    assert_eq!(lacking, Vec::<String>::new());
    let ours = OURS.map(str::to_owned).into_iter();
    assert_eq!(names(&served), names(&reference).into_iter().chain(ours).collect());
    assert_eq!(served.len(), 20 + OURS.len());
}

#[test]
fn every_schema_parameter_and_credential_of_the_reference_is_documented_under_its_name() {
    let (served, reference) = (served(), reference());

    for part in
        ["/components/schemas", "/components/parameters", "/components/securitySchemes", "/servers", "/security"]
    {
        let part_of = |document: &Value| resolved(document, document.pointer(part).unwrap());

        assert_eq!(lacks(&part_of(&served), &part_of(&reference), part), Vec::<String>::new());
    }
}

/// The members that the reference does not have, by schema; an answer has them only where they are set, and the activity
/// only where it is asked for.
const OUR_MEMBERS: [(&str, &[&str]); 2] = [
    (
        "user",
        &["current_password", "expired_at", "has_initial_password", "last_sign_in_at", "source_type", "suspended"],
    ),
    ("api_key", &["expires_at", "allowed_networks", "last_used_at", "former_value_expires_at"]),
];

#[test]
fn members_of_a_record_are_those_of_the_reference_and_our_own() {
    let (served, reference) = (served(), reference());
    let members = |document: &Value, name: &str| {
        let properties = document["components"]["schemas"][name]["properties"].as_object().cloned().unwrap_or_default();
        properties.keys().cloned().collect::<BTreeSet<_>>()
    };

    for name in reference["components"]["schemas"].as_object().unwrap().keys().filter(|name| *name != "attribute_error")
    {
        let ours = OUR_MEMBERS.iter().filter(|(schema, _)| schema == name).flat_map(|(_, members)| *members);
        let expected: BTreeSet<_> =
            members(&reference, name).into_iter().chain(ours.map(|name| (*name).to_owned())).collect();
        assert_eq!(members(&served, name), expected, "{name}");
    }
}

#[test]
fn nothing_of_the_document_of_0_3_0_is_lost() {
    let former = serde_json::from_str(VERSION_0_3_0).unwrap();

    let lacking = lacks(&without_wording(&served()), &without_wording(&former), "");

    assert_eq!(lacking, Vec::<String>::new());
}

#[test]
fn no_schema_of_0_3_0_demands_more_than_it_did() {
    let demands = ["required", "enum", "format", "nullable", "minimum", "maximum", "pattern", "additionalProperties"];
    let (former, served): (Value, Value) = (serde_json::from_str(VERSION_0_3_0).unwrap(), served());
    let is_demand = |added: &String| {
        let path = added.split(':').next().unwrap_or_default();
        demands.iter().any(|demand| path.ends_with(demand))
    };

    // A kind of caller that only `--user-socket` lets in; it is in responses alone.
    let since_then = ["/audit_entry/properties/credential/enum: \"system_user\""];

    let added = lacks(&former["components"]["schemas"], &served["components"]["schemas"], "");

    assert_eq!(added.into_iter().filter(is_demand).collect::<Vec<_>>(), since_then);
}

#[test]
fn the_document_is_a_valid_openapi_document() {
    let schema = serde_json::from_str(OPENAPI_SCHEMA).unwrap();
    let validator = jsonschema::draft4::new(&schema).unwrap();
    let document = served();

    let faults: Vec<_> = validator.iter_errors(&document).map(|fault| fault.to_string()).collect();

    assert_eq!(faults, Vec::<String>::new());
    assert!(validator.is_valid(&reference()));
    assert!(!validator.is_valid(&json!({"openapi": "3.0.1", "info": {"title": "Lodge API"}, "paths": {}})));
}

#[test]
fn every_reference_in_the_document_resolves() {
    let served = served();

    let without_references = resolved(&served, &served);

    assert!(!without_references.to_string().contains("\"$ref\""));
}

#[test]
fn every_parameter_in_a_path_is_declared_and_no_other() {
    for (name, operation) in operations(&served()) {
        let in_braces = name.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}'));
        let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
        let in_path = parameters.iter().filter(|parameter| parameter["in"] == "path");

        let declared: Vec<_> = in_path.map(|parameter| (&parameter["name"], &parameter["required"])).collect();

        let (required, wanted) = (json!(true), in_braces.map(|name| json!(name)).collect::<Vec<_>>());
        assert_eq!(declared, wanted.iter().map(|name| (name, &required)).collect::<Vec<_>>(), "{name}");
    }
}

#[test]
fn operation_ids_are_unique() {
    let ids: Vec<_> = operations(&served()).iter().map(|(_, operation)| operation["operationId"].to_string()).collect();

    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn every_operation_documents_how_it_refuses() {
    for (name, operation) in operations(&served()) {
        let is_sign_in = operation["operationId"] == "sign_in";
        let mut wanted = BTreeSet::from(["400", "401", "403", "414", "429", "431", "500", "503"]);
        if operation["requestBody"].is_object() {
            wanted.extend(["408", "413", "415"]);
        }
        let has_json = operation["requestBody"]["content"]["application/json"].is_object();
        let may_be_invalid = has_json || operation["operationId"] == "destroy_user";
        if may_be_invalid && !is_sign_in {
            wanted.insert("422");
        }
        if name.contains('{') || operation["operationId"] == "show_presented_api_key" {
            wanted.insert("404");
        }

        if operation["operationId"] == "forward_auth" {
            // Those that every proxy understands, and the one that it may ask for.
            wanted = BTreeSet::from(["302", "401", "403", "429", "503"]);
        }

        let given: BTreeSet<_> = statuses(&operation).into_iter().filter(|status| !status.starts_with('2')).collect();

        assert_eq!(given, wanted, "{name}");
        assert_eq!(statuses(&operation).len(), given.len() + 1, "{name}");
    }
}

#[test]
fn every_temporary_refusal_is_documented_with_retry_after() {
    for (name, operation) in operations(&served()) {
        for status in ["429", "503"] {
            let header = &operation["responses"][status]["headers"]["Retry-After"];
            assert_eq!(header["schema"], json!({"type": "integer"}), "{name} {status}");
        }
    }
}

#[test]
fn every_error_has_the_body_that_its_status_always_has() {
    let document = served();
    let schema = |name: &str| resolved(&document, &document["components"]["schemas"][name]);

    for (name, operation) in operations(&document) {
        for status in statuses(&operation).into_iter().filter(|status| !status.starts_with('2')) {
            let content = &operation["responses"][status]["content"];

            let wanted = match status {
                "422" => schema("error"),
                "500" => schema("internal_error"),
                _ => schema("generic_error"),
            };
            assert_eq!(*content, json!({"application/json": {"schema": wanted}}), "{name} {status}");
        }
    }
}

#[test]
fn only_signing_in_is_documented_to_need_no_credential() {
    let document = served();

    let open: Vec<_> =
        operations(&document).into_iter().filter(|(_, operation)| operation["security"].is_array()).collect();

    assert_eq!(document["security"], json!([{"BasicAuth": []}, {"BearerAuth": []}, {"JWT": []}]));
    assert_eq!(open.len(), 1);
    assert_eq!((&open[0].1["operationId"], &open[0].1["security"]), (&json!("sign_in"), &json!([])));
}

#[test]
fn the_answer_to_signing_in_is_documented_with_the_token() {
    let document = served();

    let headers = &document["paths"]["/users/sign_in"]["post"]["responses"]["201"]["headers"];

    assert_eq!(*headers, json!({"Authorization": {"description": "JWT token", "schema": {"type": "string"}}}));
}

#[test]
fn the_codes_of_violations_are_the_ten_that_clients_know() {
    let document = served();
    let attribute_error = &document["components"]["schemas"]["attribute_error"];

    let codes = json!([
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
    ]);
    assert_eq!(attribute_error["properties"]["error"], json!({"type": "string", "enum": codes}));
}

#[test]
fn both_addresses_serve_the_same_document_to_anybody() {
    let server = Server::start();
    let clients = [server.anonymous(), server.admin(), server.with("Bearer of.bad.news")];

    let documents = clients.iter().flat_map(|client| {
        ["/openapi.json", "/api/v2/openapi.json"].map(|path| client.send(&Request::whole("GET", path)).expect(200).body)
    });

    assert_eq!(documents.collect::<BTreeSet<_>>().len(), 1);
}
