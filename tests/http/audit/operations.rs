//! What each operation leaves in the audit log.

use actix_web::http::Method;
use lodge::api::operations::{Admits, Operation, public_operations};
use serde_json::{Value, json};

use super::{lasting, left_by, session_of_ann, with_ann};
use crate::harness::{Client, Request, Server, password_of};

/// The guest's session, after the guest has made the second configuration and the second API key.
fn resources_of_guest(server: &Server) -> Client {
    let guest = server.session("guest");
    guest.post("/users/me/configurations", &json!({"key": "theme"})).expect(201);
    guest.post("/users/me/api_keys", &json!({})).expect(201);
    guest
}

/// A row's request by Ann, an administrator who has one of each, and what it is done to.
fn change(server: &Server, ann: &Client, row: &Operation) -> (Request, Value) {
    let guest = server.id_of("guest");
    let (owner, id) =
        if row.path.contains("{user_id}/") { (resources_of_guest(server), "2") } else { (ann.clone(), "1") };
    let session =
        || owner.get("/users/me/sessions").json()["sessions"][0]["id"].as_str().unwrap_or_default().to_owned();
    let path = row.path.replace("{user_id}", &guest.to_string()).replace("{session_id}", &session());
    let path = path.replace("{configuration_id}", id).replace("{api_key_id}", id);
    let request = Request::new(row.method.as_str(), &path);
    let next = |path: &str, list: &str| ann.get(path).json()[list].as_array().unwrap().len() + 1;
    match row.id {
        "sign_in" => (
            request.json(&json!({"user": {"username": "ANN", "password": password_of("ann")}})),
            json!({"target": "session"}),
        ),
        "sign_out" | "destroy_own_session" => (request, json!({"target": "session"})),
        "create_configuration" => (
            request.json(&json!({"key": "colour", "value": "a value"})),
            json!({"target": "configuration", "target_id": next("/users/me/configurations", "configurations"), "target_name": "colour"}),
        ),
        "update_configuration" => (
            request.json(&json!({"key": "renamed", "value": "a value"})),
            json!({"target": "configuration", "target_id": 1, "target_name": "theme", "details": ["key = renamed", "value"]}),
        ),
        "destroy_configuration" => {
            (request, json!({"target": "configuration", "target_id": 1, "target_name": "theme"}))
        }
        "create_api_key" => (
            request.json(&json!({"name": "new", "api_key_scopes": []})),
            json!({"target": "api_key", "target_id": next("/users/me/api_keys", "api_keys")}),
        ),
        "update_api_key" => {
            (request.json(&json!({"name": "new"})), json!({"target": "api_key", "target_id": 1, "details": ["name"]}))
        }
        "destroy_api_key" => (request, json!({"target": "api_key", "target_id": 1})),
        "rotate_api_key" => (
            request.json(&json!({"overlap": 60})),
            json!({"target": "api_key", "target_id": 1, "details": ["overlap = 60 s"]}),
        ),
        "rotate_user_api_key" => {
            (request, json!({"target": "api_key", "target_id": 2, "details": ["overlap = 0 s", "owner = guest"]}))
        }
        "destroy_api_key_former_value" | "destroy_user_api_key_former_value" => {
            let rotate = format!("/users/me/api_keys/{id}/rotate");
            owner.post(&rotate, &json!({"overlap": 60})).expect(201);
            let id: u64 = id.parse().unwrap();
            let details = if id == 2 { json!({"details": ["owner = guest"]}) } else { json!({}) };
            (request, merged(&json!({"target": "api_key", "target_id": id}), &details))
        }
        "destroy_own_sessions" => (
            request,
            json!({"target": "user", "target_id": guest - 1, "target_name": "ann", "details": ["sessions = 1"]}),
        ),
        "destroy_user_session" => (request, json!({"target": "session", "details": ["owner = guest"]})),
        "destroy_user_sessions" => (
            request,
            json!({"target": "user", "target_id": guest, "target_name": "guest",
                "details": ["sessions = 1", "owner = guest"]}),
        ),
        "create_user_configuration" => (
            request.json(&json!({"key": "colour", "value": "a value"})),
            json!({"target": "configuration", "target_id": 3, "target_name": "colour", "details": ["owner = guest"]}),
        ),
        "update_user_configuration" => (
            request.json(&json!({"key": "renamed", "value": "a value"})),
            json!({"target": "configuration", "target_id": 2, "target_name": "theme",
                "details": ["key = renamed", "value", "owner = guest"]}),
        ),
        "destroy_user_configuration" => (
            request,
            json!({"target": "configuration", "target_id": 2, "target_name": "theme", "details": ["owner = guest"]}),
        ),
        "create_user_api_key" => (
            request.json(&json!({"name": "new", "api_key_scopes": []})),
            json!({"target": "api_key", "target_id": 3, "details": ["owner = guest"]}),
        ),
        "update_user_api_key" => (
            request.json(&json!({"name": "new"})),
            json!({"target": "api_key", "target_id": 2, "details": ["name", "owner = guest"]}),
        ),
        "destroy_user_api_key" => (request, json!({"target": "api_key", "target_id": 2, "details": ["owner = guest"]})),
        "create_user" => (
            request.json(&json!({"username": "new", "password": password_of("new"), "is_admin": true})),
            json!({"target": "user", "target_id": guest + 1, "target_name": "new", "details": ["is_admin = true"]}),
        ),
        "update_user" => (
            request.json(&json!({"email": "a@b", "is_admin": true, "password": password_of("other")})),
            json!({"target": "user", "target_id": guest, "target_name": "guest",
                "details": ["password", "email", "is_admin = true"]}),
        ),
        "destroy_locks" => (
            Request::new("DELETE", "/locks?username=Guest&address=192.0.2.7"),
            json!({"target": "user", "target_id": guest, "target_name": "guest", "details": ["address = 192.0.2.7"]}),
        ),
        "destroy_user" => (request, json!({"target": "user", "target_id": guest, "target_name": "guest"})),
        other => panic!("a new operation that changes something: {other}"),
    }
}

/// A row's request that changes nothing, and the status of its response.
fn reading(id: u64, row: &Operation) -> Option<(Request, u16)> {
    let path = row.path.replace("{user_id}", &id.to_string());
    let path = path.replace("{configuration_id}", "1").replace("{api_key_id}", "1");
    let path = if row.admits == Admits::Forwarded { format!("{path}?scope=any") } else { path };
    match row.id {
        // This server has no audience; `http::assertions` has one that is signed.
        "create_assertion" => Some((Request::new("POST", &path), 400)),
        "introspect" => Some((Request::new("POST", &path).form(&[("token", "a.b.c")]), 200)),
        "show_presented_api_key" => Some((Request::new("GET", &path), 404)),
        _ => (row.method == Method::GET).then(|| (Request::new("GET", &path), 200)),
    }
}

/// The members of both objects.
fn merged(object: &Value, others: &Value) -> Value {
    let members = object.as_object().into_iter().chain(others.as_object()).flatten();
    members.map(|(name, value)| (name.clone(), value.clone())).collect()
}

#[test]
fn every_operation_that_changes_something_leaves_one_entry_and_no_other_does() {
    for row in public_operations() {
        let (server, id) = with_ann();
        let ann = session_of_ann(&server);
        if let Some((request, status)) = reading(id, row) {
            let left = left_by(&server, || drop(ann.send(&request).expect(status)));
            assert_eq!(left, Vec::<Value>::new(), "{}", row.id);
            continue;
        }
        let (request, target) = change(&server, &ann, row);
        let left = left_by(&server, || assert!(ann.send(&request).status < 300, "{}", row.id));
        let [entry] = <[Value; 1]>::try_from(left).unwrap();
        let mut entry = lasting(entry);
        let is_sign_in = row.id == "sign_in";
        let mut wanted = json!({"action": format!("{} / {}", row.controller, row.action), "result": "done", "user_id": id,
            "username": "ann", "credential": if is_sign_in { "password" } else { "session" }, "address": "127.0.0.1", "count": 1});
        wanted = merged(&wanted, &target);
        if !["user", "null"].contains(&target["target"].as_str().unwrap_or("null")) {
            let owner = if row.path.contains("{user_id}/") { server.id_of("guest") } else { id };
            wanted = merged(&wanted, &json!({"target_owner_id": owner}));
        }
        let members = entry.as_object_mut().unwrap();
        assert_eq!(members.remove("session").is_some(), !is_sign_in, "{}", row.id);
        if wanted["target"] == "session" {
            assert!(members.remove("target_name").is_some_and(|jti| jti.as_str().unwrap().len() == 36), "{}", row.id);
        }
        assert_eq!(entry, wanted, "{}", row.id);
    }
}
