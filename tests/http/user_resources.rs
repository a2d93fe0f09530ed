//! API keys and configurations of users, in the hands of administrators.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server},
    http::{api_keys::scopes, expectations::invalid},
};

/// The path of Ann's API keys, or of Ann's configurations.
fn of_ann(server: &Server, resources: &str) -> String {
    format!("/users/{}/{resources}", server.id_of("ann"))
}

#[track_caller]
fn full_access_is_missing(reply: &Value) {
    assert_eq!(*reply, json!({"error": "This API key lacks the scope * / *."}));
}

fn masked(key: &str) -> String {
    format!("lodge_********{}", &key[key.len() - 4..])
}

#[test]
fn only_the_answer_that_makes_a_key_for_a_user_shows_it() {
    let (server, wanted) = (Server::start(), json!({"name": "backup", "api_key_scopes": scopes(&["users / show"])}));
    let (admin, all) = (server.admin(), of_ann(&server, "api_keys"));

    let created = admin.post(&all, &wanted).expect(201).json();

    let key = created["key"].as_str().unwrap();
    assert_eq!(server.with(key).get("/users/me").expect(200).json()["username"], "ann");
    let mut shown = created.clone();
    shown["key"] = json!(masked(key));
    let this = format!("{all}/{}", created["id"]);
    assert_eq!(admin.get(&this).expect(200).json(), shown);
    assert_eq!(admin.put(&this, &json!({})).expect(200).json(), shown);
    assert_eq!(admin.get(&all).expect(200).json()["api_keys"][0]["key"], masked(key));
    let own = server.user("ann").get(&format!("/users/me/api_keys/{}", created["id"])).expect(200).json();
    assert_eq!(own, created);
}

#[test]
fn ones_own_keys_are_masked_too_where_keys_of_any_user_are() {
    let server = Server::start();
    let created = server.admin().post("/users/me/api_keys", &json!({})).expect(201).json();

    let shown = server.admin().get("/users/1/api_keys/1").expect(200).json();

    assert_eq!(shown["key"], masked(created["key"].as_str().unwrap()));
}

#[test]
fn an_administrator_changes_and_removes_the_keys_of_a_user() {
    let server = Server::start();
    let key = server.key("ann", &["users / show"]);
    let (admin, this) = (server.admin(), format!("{}/1", of_ann(&server, "api_keys")));

    admin.put(&this, &json!({"api_key_scopes": scopes(&["files / index"])})).expect(200);
    key.get("/users/me").expect(403);
    admin.delete(&this).expect(204);
    key.get("/users/me").expect(401);
    admin.delete(&this).expect(404);
}

#[test]
fn a_restricted_key_gives_no_scope_to_a_key_of_another_user() {
    let server = Server::start();
    let (all, key) = (of_ann(&server, "api_keys"), server.key("admin", &["user_api_keys / *", "files / *"]));
    let scoped = json!({"api_key_scopes": scopes(&["files / index"])});
    let refusal = json!({"error": "invalid", "value": "files / index"});

    let refused = key.post(&all, &scoped).expect(422).json();
    assert_eq!(refused, invalid("api_key_scopes", &refusal, "Api key scopes is invalid"));
    let bare = key.post(&all, &json!({"name": "bare"})).expect(201).json();
    let refused = key.put(&format!("{all}/{}", bare["id"]), &scoped).expect(422).json();
    assert_eq!(refused, invalid("api_key_scopes", &refusal, "Api key scopes is invalid"));

    server.key("ann", &["files / index"]);
    let uncovered = json!({"error": "This API key does not cover the scopes of that API key."});
    assert_eq!(key.put(&format!("{all}/3"), &json!({"name": "mine"})).expect(403).json(), uncovered);
    key.delete(&format!("{all}/3")).expect(204);
}

#[test]
fn a_restricted_key_changes_nothing_of_an_administrator() {
    let server = Server::start();
    server.admin().post("/users/me/configurations", &json!({"key": "theme"})).expect(201);
    let key = server.key("admin", &["user_api_keys / *", "user_configurations / *"]);
    let keys_before = server.admin().get("/users/me/api_keys").json();

    for (list, record, body) in [
        ("/users/1/api_keys", "/users/1/api_keys/1", json!({"name": "mine"})),
        ("/users/1/configurations", "/users/1/configurations/theme", json!({"key": "mine"})),
    ] {
        full_access_is_missing(&key.post(list, &body).expect(403).json());
        full_access_is_missing(&key.put(record, &body).expect(403).json());
        full_access_is_missing(&key.delete(record).expect(403).json());
        key.get(list).expect(200);
        key.get(record).expect(200);
    }

    assert_eq!(server.admin().get("/users/me/api_keys").json(), keys_before);
    assert_eq!(server.admin().get("/users/me/configurations/theme").expect(200).json()["value"], "");
}

#[test]
fn an_administrator_has_every_operation_on_the_configurations_of_a_user() {
    let server = Server::start();
    let (ann, all) = (server.user("ann"), of_ann(&server, "configurations"));
    let key = server.key("admin", &["user_configurations / *"]);

    for (number, administrator) in [server.admin(), server.session("admin"), key].iter().enumerate() {
        let name = format!("a/{number}");
        let this = format!("{all}/a%2F{number}");
        administrator.post(&all, &json!({"key": name, "value": "dark"})).expect(201);
        administrator.put(&this, &json!({"value": "light"})).expect(200);
        let shown = administrator.get(&this).expect(200).json();
        assert_eq!(ann.get(&format!("/users/me/configurations/{}", shown["id"])).expect(200).json(), shown);
        assert_eq!(administrator.get(&all).expect(200).json(), json!({"configurations": [shown], "count": 1}));
        administrator.delete(&this).expect(204);
        assert_eq!(ann.get("/users/me/configurations").json()["count"], 0);
    }
    assert_eq!(server.admin().get("/users/me/configurations").json()["count"], 0);
}

#[test]
fn the_bounds_of_a_user_hold_for_administrators_too() {
    let builder = crate::harness::ServerBuilder::new();
    let server = builder.variable("LODGE_MAX_API_KEYS", "1").variable("LODGE_MAX_CONFIGURATIONS", "1").start();
    for (resources, body) in [("api_keys", json!({})), ("configurations", json!({"key": "a"}))] {
        let all = of_ann(&server, resources);
        server.admin().post(&all, &body).expect(201);
        server.admin().post(&all, &json!({"key": "b"})).expect(422);
    }
}

#[test]
fn records_of_another_user_are_not_found_among_those_of_the_user_in_the_path() {
    let server = Server::start();
    server.key("ben", &[]);
    server.user("ben").post("/users/me/configurations", &json!({"key": "theme"})).expect(201);
    let admin = server.admin();

    for path in [of_ann(&server, "api_keys"), of_ann(&server, "configurations")] {
        each_is_not_found(&admin, &format!("{path}/1"));
    }
    each_is_not_found(&admin, "/users/2147483647/api_keys/1");
    for list in ["api_keys", "configurations", "sessions"] {
        for id in ["2147483647", "0", "me2", "sign_in", "%ff"] {
            admin.get(&format!("/users/{id}/{list}")).expect(404);
        }
    }
}

#[track_caller]
fn each_is_not_found(admin: &Client, path: &str) {
    admin.get(path).expect(404);
    admin.put(path, &json!({})).expect(404);
    admin.delete(path).expect(404);
}
