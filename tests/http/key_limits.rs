//! API keys that end, and API keys that may be used from some networks alone.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Request, Server, ServerBuilder},
    http::{
        api_keys::{ALL, Key, listed, scopes},
        audit::refusals,
    },
};

const SOON: &str = "2100-01-01T00:00:00.000Z";
const LATER: &str = "2200-01-01T00:00:00.000Z";
const PAST: &str = "2020-01-01T00:00:00.000Z";

/// A server that believes what this machine reports of a client's address.
fn behind_a_proxy() -> Server {
    ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").start()
}

fn from(client: &Client, address: &str) -> u16 {
    client.send(&Request::new("GET", "/users/me").header("X-Forwarded-For", address)).status
}

/// A key of this client's with these scopes and other members.
#[track_caller]
fn key_with(owner: &Client, allowed: &[&str], mut members: Value) -> Key {
    members["api_key_scopes"] = scopes(allowed);
    Key::from_body(owner, &members)
}

#[test]
fn expiry_and_networks_are_answered_where_they_are_set_and_nowhere_else() {
    let server = Server::start();
    let ann = server.user("ann");
    let plain = Key::create(&ann, &["users / show"]);
    let limited =
        key_with(&ann, &["users / show"], json!({"expires_at": SOON, "allowed_networks": ["127.0.0.0/8", "::1"]}));

    assert_eq!(plain.created, json!({"id": 1, "key": plain.text(), "api_key_scopes": scopes(&["users / show"])}));
    let expected = json!({"id": 2, "key": limited.text(), "api_key_scopes": scopes(&["users / show"]),
        "expires_at": SOON, "allowed_networks": ["127.0.0.0/8", "::1/128"]});
    assert_eq!(limited.created, expected);
    assert_eq!(ann.get(&limited.path()).expect(200).json(), expected);
    assert_eq!(ann.get(ALL).json()["api_keys"], json!([listed(&plain.created), listed(&expected)]));
    assert_eq!(limited.client.get("/users/me").status, 200);
    let cleared = ann.put(&limited.path(), &json!({"expires_at": null, "allowed_networks": null})).expect(200).json();
    assert_eq!(cleared, json!({"id": 2, "key": limited.text(), "api_key_scopes": scopes(&["users / show"])}));
}

#[test]
fn wrong_ends_and_networks_are_invalid() {
    let server = Server::start();
    let ann = server.user("ann");
    for wrong in [json!("tomorrow"), json!(7), json!(["2100-01-01T00:00:00Z"])] {
        let reply = ann.post(ALL, &json!({"expires_at": wrong})).expect(422);
        assert_eq!(reply.json()["details"]["expires_at"][0]["error"], "invalid", "{wrong}");
    }
    for (wrong, code) in [
        (json!("127.0.0.1"), "invalid"),
        (json!(["127.0.0.1/8"]), "invalid"),
        (json!(["127.0.0.1", 7]), "invalid"),
        (json!(["localhost"]), "invalid"),
        (json!([]), "blank"),
        (json!(vec!["127.0.0.1"; 65]), "too_long"),
    ] {
        let reply = ann.post(ALL, &json!({"allowed_networks": wrong})).expect(422);
        assert_eq!(reply.json()["details"]["allowed_networks"][0]["error"], code, "{wrong}");
    }
    assert_eq!(ann.get(ALL).json()["count"], 0);
}

#[test]
fn an_expired_key_is_refused_as_a_destroyed_one() {
    let server = Server::start();
    let ann = server.user("ann");
    let (ended, destroyed) = (Key::create(&ann, &["* / *"]), Key::create(&ann, &["* / *"]));
    for key in [&ended, &destroyed] {
        key.client.get("/users/me").expect(200);
    }

    ann.put(&ended.path(), &json!({"expires_at": PAST})).expect(200);
    ann.delete(&destroyed.path()).expect(204);

    let [ended_reply, destroyed_reply] = [&ended, &destroyed].map(|key| key.client.get("/users/me").expect(401));
    assert_eq!(ended_reply.json(), destroyed_reply.json());
    assert_eq!(ended_reply.header("www-authenticate"), destroyed_reply.header("www-authenticate"));
    ann.put(&ended.path(), &json!({"expires_at": SOON})).expect(200);
    ended.client.get("/users/me").expect(200);
}

#[test]
fn a_key_is_forbidden_from_elsewhere_and_the_audit_log_has_it() {
    let server = behind_a_proxy();
    let key = key_with(
        &server.user("ann"),
        &["users / show"],
        json!({"allowed_networks": ["192.0.2.0/24", "2001:db8::/32"]}),
    );

    for (address, status) in [
        ("192.0.2.7", 200),
        ("192.0.3.7", 403),
        ("2001:db8::7", 200),
        ("2001:db9::7", 403),
        ("::ffff:192.0.2.9", 200),
        ("0.0.0.0", 403),
        ("192.0.2.255", 200),
    ] {
        assert_eq!(from(&key.client, address), status, "{address}");
    }

    let refused = key.client.get("/users/me").expect(403);
    assert_eq!(refused.json(), json!({"error": "This API key may not be used from this address."}));
    let entries = refusals(&server, 4);
    let of_key = entries.iter().filter(|entry| entry["api_key_id"] == 1 && entry["action"] == "credentials / check");
    let addresses: Vec<_> = of_key.map(|entry| entry["address"].clone()).collect();
    for address in [json!("192.0.3.7"), json!("2001:db9::7"), json!("127.0.0.1"), Value::Null] {
        assert!(addresses.contains(&address), "{address}: {entries:?}");
    }
}

#[test]
fn a_key_from_elsewhere_does_nothing_on_any_kind_of_operation() {
    let server = behind_a_proxy();
    let admin = server.admin();
    let key = key_with(&admin, &["* / *"], json!({"allowed_networks": ["192.0.2.0/24"]}));

    for (method, path) in [
        ("GET", "/users/me/scopes"),
        ("GET", "/users/me/api_key"),
        ("GET", "/users"),
        ("GET", "/users/1"),
        ("GET", "/users/1/api_keys"),
        ("POST", "/users/me/api_keys"),
        ("DELETE", "/users/sign_out"),
    ] {
        assert_eq!(key.client.send(&Request::new(method, path)).status, 403, "{method} {path}");
    }
    assert_eq!(admin.get(ALL).json()["count"], 1);
}

#[test]
fn a_key_gives_others_no_later_end_and_no_other_networks_than_its_own() {
    let server = Server::start();
    let ann = server.user("ann");
    let own = json!({"expires_at": SOON, "allowed_networks": ["127.0.0.0/9", "127.128.0.0/9"]});
    let limits = |key: &Value| json!({"expires_at": key["expires_at"], "allowed_networks": key["allowed_networks"]});
    for allowed in ["api_keys / *", "* / *"] {
        let maker = key_with(&ann, &[allowed], own.clone());
        let made = |members: Value| maker.client.post(ALL, &members);

        let nothing_asked = json!({"expires_at": null, "allowed_networks": null});
        assert_eq!(limits(&made(json!({})).expect(201).json()), own);
        assert_eq!(limits(&made(nothing_asked).expect(201).json()), own);
        let nearer = json!({"expires_at": "2099-01-01T00:00:00.000Z", "allowed_networks": ["127.0.0.0/8"]});
        assert_eq!(limits(&made(nearer.clone()).expect(201).json()), nearer);
        for (attribute, value) in [
            ("expires_at", json!(LATER)),
            ("allowed_networks", json!(["126.0.0.0/8"])),
            ("allowed_networks", json!(["127.0.0.1", "0.0.0.0/0"])),
        ] {
            let reply = made(json!({attribute: value})).expect(422).json();
            assert_eq!(reply["details"][attribute][0]["error"], "invalid", "{reply}");
        }
    }
}

#[test]
fn a_restricted_key_brings_an_end_forward_and_never_pushes_it_back() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = Key::create(&ann, &["api_keys / update", "users / show"]);
    let other = key_with(&ann, &["users / show"], json!({"expires_at": SOON}));
    let update = |end: Value| restricted.client.put(&other.path(), &json!({"expires_at": end}));

    for end in [json!(LATER), Value::Null] {
        let reply = update(end).expect(422).json();
        assert_eq!(reply["details"]["expires_at"][0]["error"], "invalid", "{reply}");
    }
    assert_eq!(update(json!("2099-01-01T00:00:00.000Z")).expect(200).json()["expires_at"], "2099-01-01T00:00:00.000Z");
    update(json!(SOON)).expect(422);
    ann.put(&other.path(), &json!({"expires_at": LATER})).expect(200);
}

#[test]
fn a_restricted_key_gives_nothing_to_a_key_that_may_be_used_from_elsewhere() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = key_with(&ann, &["api_keys / update", "users / *"], json!({"allowed_networks": ["127.0.0.0/8"]}));
    let everywhere = Key::create(&ann, &["users / show"]);
    let elsewhere = key_with(&ann, &["users / show"], json!({"allowed_networks": ["192.0.2.0/24"]}));
    let refused = |key: &Key, change: Value, attribute: &str| {
        let reply = restricted.client.put(&key.path(), &change).expect(422).json();
        assert_eq!(reply["details"][attribute][0]["error"], "invalid", "{change}: {reply}");
    };

    refused(&everywhere, json!({"api_key_scopes": scopes(&["users / index"])}), "api_key_scopes");
    refused(&elsewhere, json!({"api_key_scopes": scopes(&["users / index"])}), "api_key_scopes");
    refused(&elsewhere, json!({"allowed_networks": ["192.0.2.0/24", "127.0.0.1"]}), "allowed_networks");
    refused(&elsewhere, json!({"allowed_networks": null}), "allowed_networks");
    let both = json!({"allowed_networks": ["127.0.0.1"], "api_key_scopes": scopes(&["users / index"])});
    restricted.client.put(&everywhere.path(), &both).expect(200);
    restricted.client.put(&elsewhere.path(), &json!({"allowed_networks": ["192.0.2.7"]})).expect(200);
    restricted.client.put(&elsewhere.path(), &json!({"allowed_networks": ["127.0.0.0/8"]})).expect(200);
}

#[test]
fn a_key_with_full_access_and_limits_neither_lifts_them_nor_reads_keys_beyond_them() {
    let server = Server::start();
    let admin = server.admin();
    let unlimited = Key::create(&admin, &["* / *"]);
    let of_ann = key_with(&server.user("ann"), &["users / show"], json!({"expires_at": SOON}));
    let path_of_ann = format!("/users/{}/api_keys/{}", server.id_of("ann"), of_ann.created["id"]);
    for (attribute, value) in [("expires_at", json!(SOON)), ("allowed_networks", json!(["127.0.0.0/8"]))] {
        let limited = key_with(&admin, &["* / *"], json!({attribute: value}));

        let reply = limited.client.put(&limited.path(), &json!({attribute: null})).expect(422).json();

        assert_eq!(reply["details"][attribute][0]["error"], "invalid", "{reply}");
        assert_eq!(admin.get(&limited.path()).json(), limited.created);
        let [own, beyond] = [&limited, &unlimited].map(|key| limited.client.get(&key.path()).json());
        assert_eq!([own, beyond], [limited.created.clone(), unlimited.masked()]);
        assert_eq!(unlimited.client.get(&limited.path()).json(), limited.created);
    }
    let limited = key_with(&admin, &["* / *"], json!({"expires_at": SOON}));
    limited.client.put(&path_of_ann, &json!({"expires_at": null})).expect(422);
    unlimited.client.put(&path_of_ann, &json!({"expires_at": null})).expect(200);
}

#[test]
fn a_key_with_full_access_and_limits_makes_no_way_in_that_outlives_them() {
    let server = Server::start();
    let (admin, ann) = (server.admin(), server.user("ann"));
    let path = |username: &str| format!("/users/{}", server.id_of(username));
    let refused = json!({"error": "An API key with an expiry or networks may not do this."});
    for (number, limit) in
        [json!({"expires_at": SOON}), json!({"allowed_networks": ["127.0.0.0/8"]})].into_iter().enumerate()
    {
        let limited = key_with(&admin, &["* / *"], limit.clone()).client;
        let of_ann = key_with(&ann, &["* / *"], limit).client;
        let password = json!({"password": "a house with a view"});
        for change in [&password, &json!({"username": "eve"}), &json!({"email": "eve@example.org"})] {
            assert_eq!(limited.put(&path("admin"), change).expect(403).json(), refused, "{change}");
            assert_eq!(limited.put(&path("ann"), change).expect(403).json(), refused, "{change}");
        }
        for change in [&password, &json!({"email": "eve@example.org"}), &json!({"password": 7})] {
            assert_eq!(of_ann.put(&path("ann"), change).expect(403).json(), refused, "{change}");
        }
        for change in [json!({"is_admin": true}), json!({"user_id": 1000}), json!({"group_id": 1000})] {
            assert_eq!(limited.put(&path("ann"), &change).expect(403).json(), refused, "{change}");
        }
        let new = |username: &str, is_admin: bool| json!({"username": username, "password": "a house with a view", "is_admin": is_admin});
        assert_eq!(limited.post("/users", &new("eve", true)).expect(403).json(), refused);
        let username = format!("fresh{number}");
        let fresh = limited.post("/users", &new(&username, false)).expect(201).id();
        let change = |change| limited.put(&format!("/users/{fresh}"), &change);
        for allowed in [json!({"suspended": true}), json!({"expired_at": LATER}), json!({"expired_at": SOON})] {
            change(allowed).expect(200);
        }
        for reinstating in [json!({"suspended": false}), json!({"expired_at": LATER}), json!({"expired_at": null})] {
            assert_eq!(change(reinstating).expect(403).json(), refused);
        }
        limited.delete(&format!("/users/{fresh}")).expect(204);
        limited.post("/users", &new(&username, false)).expect(422);
    }
    Key::create(&admin, &["* / *"]).client.put(&path("ann"), &json!({"email": "ann@example.org"})).expect(200);
}

#[test]
fn violations_of_ends_and_networks_come_after_those_of_names() {
    let reply =
        Server::start().user("ann").post(ALL, &json!({"allowed_networks": ["y"], "expires_at": "x", "name": "a\u{7}"}));

    let messages = ["Name is invalid", "Expires at is invalid", "Allowed networks is invalid"];
    assert_eq!((reply.status, &reply.json()["messages"]), (422, &json!(messages)));
}
