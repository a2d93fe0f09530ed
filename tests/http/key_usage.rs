//! What is known of the use of API keys, and what a key learns of itself.

use serde_json::{Value, json};

use crate::{
    harness::{Server, ServerBuilder},
    http::api_keys::{ALL, Key, scopes},
};

/// The scopes in a usage as `controller / action`, and whether each has a time.
fn used(usage: &Value) -> Vec<String> {
    let used = usage["api_key_scopes"].as_array().unwrap().iter();
    used.map(|scope| {
        assert!(scope["last_used_at"].is_string(), "{scope}");
        format!("{} / {}", scope["controller"].as_str().unwrap(), scope["action"].as_str().unwrap())
    })
    .collect()
}

/// Whether the text is a time at the beginning of a minute.
fn is_a_minute(time: &Value) -> bool {
    time.as_str().is_some_and(|time| time.ends_with(":00.000Z"))
}

#[test]
fn the_scopes_that_a_key_uses_are_listed_and_those_that_it_only_has_are_not() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show", "configurations / *", "api_keys / index"]);
    let path = format!("{}/usage", key.path());
    let unused = ann.get(&path).expect(200).json();

    key.client.get("/users/me").expect(200);
    key.client.get("/users/me/configurations").expect(200);
    key.client.get("/users").expect(403);

    let usage = ann.get(&path).expect(200).json();
    assert_eq!(used(&usage), ["configurations / index", "users / show"]);
    assert_eq!(usage["last_address"], "127.0.0.1");
    assert!(is_a_minute(&usage["last_used_at"]), "{usage}");
    assert_eq!(unused, json!({"observed_since": usage["observed_since"], "api_key_scopes": []}));
    assert!(usage["observed_since"].is_string(), "{usage}");
}

#[test]
fn a_key_that_permits_everything_has_used_what_it_was_used_for() {
    let server = Server::start();
    let admin = server.admin();
    let key = Key::create(&admin, &["* / *"]);

    key.client.get("/users/1").expect(200);
    key.client.get("/audit").expect(200);

    let usage = admin.get(&format!("{}/usage", key.path())).expect(200).json();
    assert_eq!(used(&usage), ["audit / index", "users / show"]);
}

#[test]
fn the_last_use_is_included_where_it_is_asked_for_and_nowhere_else() {
    let server = Server::start();
    let ann = server.user("ann");
    let (key, unused) = (Key::create(&ann, &["users / show"]), Key::create(&ann, &[]));
    let before = (ann.get(ALL).json(), ann.get(&key.path()).json());
    key.client.get("/users/me").expect(200);

    let included = ann.get(&format!("{}?include=activity", key.path())).expect(200).json();
    let list = ann.get(&format!("{ALL}?include=activity&limit=2")).expect(200).json();

    assert!(is_a_minute(&included["last_used_at"]), "{included}");
    assert_eq!(list["api_keys"][0]["last_used_at"], included["last_used_at"]);
    assert_eq!(list["api_keys"][1], json!({"id": 2, "key": unused.text()}));
    assert_eq!((ann.get(ALL).json(), ann.get(&key.path()).json()), before);
}

#[test]
fn what_was_used_is_known_after_a_stop_and_goes_with_the_key() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show"]);
    key.client.get("/users/me").expect(200);
    let path = format!("{}/usage", key.path());
    let before = ann.get(&path).expect(200).json();

    server.restart();

    assert_eq!(server.user("ann").get(&path).expect(200).json(), before);
    server.user("ann").delete(&key.path()).expect(204);
    server.user("ann").get(&path).expect(404);
}

#[test]
fn a_key_learns_of_itself_without_a_scope_and_no_other_credential_does() {
    let server = ServerBuilder::new().start();
    let ann = server.user("ann");
    let members =
        json!({"name": "backup", "expires_at": "2100-01-01T00:00:00.000Z", "allowed_networks": ["127.0.0.0/8"]});
    let (plain, limited) = (Key::create(&ann, &["files / index"]), Key::from_body(&ann, &members));
    let show = |key: &Key| key.client.get("/users/me/api_key").expect(200).json();

    assert_eq!(show(&plain), json!({"id": 1, "api_key_scopes": scopes(&["files / index"])}));
    let expected = json!({"id": 2, "name": "backup", "expires_at": "2100-01-01T00:00:00.000Z",
        "allowed_networks": ["127.0.0.0/8"], "api_key_scopes": []});
    assert_eq!(show(&limited), expected);
    ann.get("/users/me/api_key").expect(404);
    server.session("ann").get("/users/me/api_key").expect(404);
    server.anonymous().get("/users/me/api_key").expect(401);
}

#[test]
fn an_administrator_sees_the_usage_of_a_users_key() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show"]);
    key.client.get("/users/me").expect(200);
    let path = format!("/users/{}/api_keys/{}/usage", server.id_of("ann"), key.created["id"]);

    assert_eq!(used(&server.admin().get(&path).expect(200).json()), ["users / show"]);
    ann.get(&path).expect(403);
}
