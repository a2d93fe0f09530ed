//! A rotated API key has a new value; the old one ends at once, or stays valid for a while.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Reply, Request, Server, ServerBuilder},
    http::api_keys::{ALL, Key, scopes},
};

/// Whom the value of a rotated key brings in.
fn client_of(server: &Server, rotated: &Value) -> Client {
    server.with(rotated["key"].as_str().unwrap())
}

#[track_caller]
fn rotate(by: &Client, key: &Key, body: &Value) -> Value {
    by.post(&format!("{}/rotate", key.path()), body).expect(201).json()
}

fn status(client: &Client) -> u16 {
    client.get("/users/me").status
}

#[test]
fn a_rotated_key_is_the_same_with_another_value_and_the_old_value_is_refused_after_the_answer() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let members = json!({"name": "backup", "api_key_scopes": scopes(&["users / show"]), "expires_at": "2100-01-01T00:00:00.000Z"});
    let key = Key::from_body(&ann, &members);
    assert_eq!(status(&key.client), 200);

    let path = format!("{}/rotate", key.path());
    let rotated = ann.send(&Request::new("POST", &path)).expect(201).json();

    assert_eq!(status(&key.client), 401);
    assert_eq!(status(&client_of(&server, &rotated)), 200);
    assert_ne!(rotated["key"], key.created["key"]);
    let with_the_old_value = |mut shown: Value| {
        shown["key"] = key.created["key"].clone();
        shown
    };
    assert_eq!(with_the_old_value(rotated.clone()), key.created);
    assert_eq!(ann.get(&key.path()).json(), rotated);
    server.restart();
    assert_eq!((status(&client_of(&server, &key.created)), status(&client_of(&server, &rotated))), (401, 200));
}

#[test]
fn an_old_value_stays_valid_for_the_overlap_and_the_one_before_it_ends() {
    let server = Server::start();
    let ann = server.user("ann");
    let first = Key::create(&ann, &["users / show"]);

    let second = rotate(&ann, &first, &json!({"overlap": 3600}));
    assert_eq!((status(&first.client), status(&client_of(&server, &second))), (200, 200));
    let third = rotate(&ann, &first, &json!({"overlap": 3600}));

    let values = [first.created.clone(), second, third.clone()].map(|value| status(&client_of(&server, &value)));
    assert_eq!(values, [401, 200, 200]);
    let fourth = rotate(&ann, &first, &json!({"overlap": 0}));
    assert_eq!([third, fourth].map(|value| status(&client_of(&server, &value))), [401, 200]);
    assert_eq!(ann.get(ALL).json()["count"], 1);
}

#[test]
fn an_old_value_is_ended_by_itself_and_the_new_one_stays() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["users / show"]);
    let new = rotate(&ann, &key, &json!({"overlap": 3600}));
    let values = |server: &Server| [&key.created, &new].map(|value| status(&client_of(server, value)));
    assert_eq!(values(&server), [200, 200]);
    let ends = ann.get(&key.path()).json()["former_value_expires_at"].clone();
    assert_eq!((ends.is_string(), &ends), (true, &new["former_value_expires_at"]));

    for _ in 0..2 {
        ann.delete(&format!("{}/former_value", key.path())).expect(204);
    }

    assert_eq!(values(&server), [401, 200]);
    let shown = ann.get(&key.path()).json();
    assert_eq!((shown.get("former_value_expires_at"), &shown["key"]), (None, &new["key"]));
    server.restart();
    assert_eq!(values(&server), [401, 200]);
    server.user("ann").delete("/users/me/api_keys/2147483647/former_value").expect(404);
}

#[test]
fn an_old_value_is_ended_by_those_who_may_remove_the_key() {
    let server = Server::start();
    let (ann, admin) = (server.user("ann"), server.admin());
    let key = Key::create(&ann, &["users / show"]);
    let path = format!("{}/former_value", key.path());
    let of_ann = format!("/users/{}/api_keys/{}/former_value", server.id_of("ann"), key.created["id"]);
    rotate(&ann, &key, &json!({"overlap": 3600}));

    server.key("ann", &["api_keys / rotate", "users / show"]).delete(&path).expect(403);
    server.key("ann", &["api_keys / destroy_former_value"]).delete(&path).expect(403);
    server.key("admin", &["api_keys / *"]).delete(&of_ann).expect(403);
    server.user("ben").delete(&path).expect(404);
    server.user("ben").delete(&of_ann).expect(403);
    assert_eq!(status(&key.client), 200);

    server.key("ann", &["api_keys / destroy_former_value", "users / show"]).delete(&path).expect(204);
    assert_eq!(status(&key.client), 401);
    for by in [admin, server.key("admin", &["user_api_keys / destroy_former_value"])] {
        let again = client_of(&server, &ann.get(&key.path()).json());
        rotate(&ann, &key, &json!({"overlap": 3600}));
        by.delete(&of_ann).expect(204);
        assert_eq!(status(&again), 401);
    }
}

#[test]
fn a_key_that_is_removed_or_ended_loses_both_values() {
    let server = Server::start();
    let ann = server.user("ann");
    let remove = |key: &Key| ann.delete(&key.path()).expect(204);
    let end = |key: &Key| ann.put(&key.path(), &json!({"expires_at": "2020-01-01T00:00:00Z"})).expect(200);
    for revoke in [&remove as &dyn Fn(&Key) -> Reply, &end] {
        let key = Key::create(&ann, &["users / show"]);
        let rotated = client_of(&server, &rotate(&ann, &key, &json!({"overlap": 60})));
        assert_eq!((status(&key.client), status(&rotated)), (200, 200));

        revoke(&key);

        assert_eq!((status(&key.client), status(&rotated)), (401, 401));
    }
}

#[test]
fn an_overlap_is_a_number_of_seconds_up_to_the_setting() {
    let server = ServerBuilder::new().flag("--key-overlap-max", "1h").start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &[]);
    let path = format!("{}/rotate", key.path());

    for (overlap, problem) in [
        (json!(-1), json!({"error": "greater_than_or_equal_to", "count": 0})),
        (json!(3601), json!({"error": "less_than_or_equal_to", "count": 3600})),
        (json!(u64::MAX), json!({"error": "less_than_or_equal_to", "count": 3600})),
        (json!(1.5), json!({"error": "invalid", "value": "1.5"})),
        (json!("60"), json!({"error": "invalid", "value": "60"})),
    ] {
        let reply = ann.post(&path, &json!({"overlap": overlap})).expect(422).json();
        assert_eq!(reply["details"], json!({"overlap": [problem]}), "{overlap}");
    }
    assert_eq!(ann.get(&key.path()).json(), key.created);
    for body in [json!({"overlap": 3600}), json!({"overlap": null}), json!({})] {
        ann.post(&path, &body).expect(201);
    }
    ann.send(&Request::new("POST", &path).header("Content-Type", "application/json")).expect(201);
    ann.send(&Request::new("POST", &path).header("Content-Type", "text/plain").body("{}")).expect(415);
}

#[test]
fn a_setting_of_0_forbids_every_overlap() {
    let server = ServerBuilder::new().flag("--key-overlap-max", "0s").start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &[]);

    ann.post(&format!("{}/rotate", key.path()), &json!({"overlap": 1})).expect(422);
    rotate(&ann, &key, &json!({"overlap": 0}));
}

#[test]
fn a_key_rotates_itself_and_the_answer_is_good() {
    let server = Server::start();
    let key = Key::create(&server.user("ann"), &["api_keys / rotate", "users / show"]);

    let rotated = client_of(&server, &rotate(&key.client, &key, &json!({"overlap": 60})));

    assert_eq!((status(&key.client), status(&rotated)), (200, 200));
    rotated.post(&format!("{}/rotate", key.path()), &json!({})).expect(201);
    assert_eq!((status(&key.client), status(&rotated)), (401, 401));
}

#[test]
fn a_restricted_key_rotates_only_keys_within_its_scopes_end_and_networks() {
    let server = Server::start();
    let ann = server.user("ann");
    let limits = |end: &str, network: &str| json!({"expires_at": end, "allowed_networks": [network]});
    let key = |allowed: &[&str], mut members: Value| {
        members["api_key_scopes"] = scopes(allowed);
        Key::from_body(&ann, &members)
    };
    let (soon, later) = ("2100-01-01T00:00:00Z", "2200-01-01T00:00:00Z");
    let by = key(&["api_keys / rotate", "users / *"], limits(soon, "127.0.0.0/8")).client;

    for beyond in [
        key(&["files / index"], limits(soon, "127.0.0.0/8")),
        key(&["users / show"], limits(later, "127.0.0.0/8")),
        key(&["users / show"], limits(soon, "0.0.0.0/0")),
        key(&["users / show"], json!({"expires_at": soon})),
        key(&["users / show"], json!({"allowed_networks": ["127.0.0.1"]})),
    ] {
        let reply = by.post(&format!("{}/rotate", beyond.path()), &json!({})).expect(403);
        let error = "This API key does not cover the scopes, the expiry and the networks of that API key.";
        assert_eq!(reply.json(), json!({"error": error}));
        assert_eq!(ann.get(&beyond.path()).json(), beyond.created);
    }
    let within = key(&["users / show"], limits(soon, "127.0.0.1"));
    rotate(&by, &within, &json!({}));
}

#[test]
fn an_old_value_in_its_overlap_gives_nothing_that_lasts_longer() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["api_keys / *", "users / show"]);
    rotate(&ann, &key, &json!({"overlap": 3600}));
    let presented = key.client.get("/users/me/api_key").expect(200).json();

    let made = key.client.post(ALL, &json!({"api_key_scopes": scopes(&["users / show"])})).expect(201).json();

    assert_eq!(made["expires_at"], presented["expires_at"]);
    assert!(presented["expires_at"].is_string(), "{presented}");
    key.client.post(&format!("{}/rotate", key.path()), &json!({})).expect(403);
    key.client.post(ALL, &json!({"expires_at": "2200-01-01T00:00:00Z"})).expect(422);
}

#[test]
fn an_administrator_rotates_a_users_key_and_a_restricted_key_sees_none_of_it() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.user("ann"));
    let key = Key::create(&ann, &[]);
    let path = format!("/users/{}/api_keys/{}/rotate", server.id_of("ann"), key.created["id"]);
    let restricted = server.key("admin", &["user_api_keys / rotate"]);

    let seen = admin.post(&path, &json!({})).expect(201).json();
    let masked = restricted.post(&path, &json!({})).expect(201).json();

    assert_eq!(status(&client_of(&server, &seen)), 401, "rotated away meanwhile");
    let value = ann.get(&key.path()).json()["key"].as_str().unwrap().to_owned();
    assert_eq!(masked["key"], format!("lodge_********{}", &value[value.len() - 4..]));
    ann.put(&key.path(), &json!({"api_key_scopes": scopes(&["users / show"])})).expect(200);
    restricted.post(&path, &json!({})).expect(403);
    server.user("ben").post(&path, &json!({})).expect(403);
}

#[test]
fn an_old_value_in_its_overlap_sees_and_gives_no_new_value_with_full_access_either() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["* / *"]);
    let rotated = rotate(&ann, &key, &json!({"overlap": 3600}));
    let text = rotated["key"].as_str().unwrap();
    let masked = json!(format!("lodge_********{}", &text[text.len() - 4..]));

    let (list, shown) = (key.client.get(ALL).json(), key.client.get(&key.path()).json());

    assert_eq!([&list["api_keys"][0]["key"], &shown["key"]], [&masked; 2]);
    key.client.post(&format!("{}/rotate", key.path()), &json!({})).expect(403);
    key.client.put(&key.path(), &json!({"allowed_networks": ["127.0.0.0/8"]})).expect(200);
    key.client.put(&key.path(), &json!({"allowed_networks": null})).expect(422);
    assert_eq!(client_of(&server, &rotated).get(&key.path()).json()["key"], rotated["key"]);
}

#[test]
fn a_key_with_full_access_rotates_keys_within_its_end_and_networks_alone() {
    let server = Server::start();
    let admin = server.admin();
    let limits = json!({"api_key_scopes": scopes(&["* / *"]), "expires_at": "2100-01-01T00:00:00Z"});
    let limited = Key::from_body(&admin, &limits);
    let unlimited = Key::create(&admin, &["* / *"]);
    let of_ann = Key::create(&server.user("ann"), &["users / show"]);
    let path = format!("/users/{}/api_keys/{}/rotate", server.id_of("ann"), of_ann.created["id"]);

    for path in [&format!("{}/rotate", unlimited.path()), &path] {
        limited.client.post(path, &json!({})).expect(403);
    }

    rotate(&limited.client, &limited, &json!({"overlap": 60}));
    unlimited.client.post(&path, &json!({})).expect(201);
}
