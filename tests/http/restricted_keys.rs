//! API keys never yield more than their scopes, nor more than their owner may do.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, basic},
    http::{
        api_keys::{ALL, Key, listed, scopes},
        expectations::invalid,
    },
};

const PASSWORD: &str = "a long and fine one";

fn lacks(scope: &str) -> Value {
    json!({"error": format!("This API key lacks the scope {scope}.")})
}

fn path_of(server: &Server, username: &str) -> String {
    format!("/users/{}", server.id_of(username))
}

/// The keys of that client, as a password sees them.
fn all_keys(client: &Client) -> Value {
    client.get(ALL).expect(200).json()
}

#[test]
fn a_key_opens_what_its_scopes_cover_and_nothing_else() {
    let server = Server::start();
    let calls = [
        ("/users", "users / index"),
        ("/users/1", "users / show"),
        ("/users/me", "users / show"),
        ("/users/me/configurations", "configurations / index"),
        ("/users/me/api_keys", "api_keys / index"),
        ("/users/-/systems", "users / systems"),
        ("/groups/-/systems", "groups / systems"),
    ];
    let holdings: [(&[&str], &[&str]); 9] = [
        (&[], &[]),
        (&["users / index"], &["/users"]),
        (&["users / show"], &["/users/1", "/users/me"]),
        (&["users / *"], &["/users", "/users/1", "/users/me", "/users/-/systems"]),
        (&["* / index"], &["/users", "/users/me/configurations", "/users/me/api_keys"]),
        (&["* / systems", "api_keys / index"], &["/users/-/systems", "/groups/-/systems", "/users/me/api_keys"]),
        (&["files / index", "user / show", "users_ / show"], &[]),
        (&["users / create", "users / update", "users / destroy"], &[]),
        (&["* / *"], &calls.map(|(path, _)| path)),
    ];
    for (held, opened) in holdings {
        let key = server.key("admin", held);
        for (path, scope) in calls {
            let reply = key.get(path);

            let expected = if opened.contains(&path) { 200 } else { 403 };
            assert_eq!(reply.status, expected, "{held:?} {path}");
            if expected == 403 {
                assert_eq!(reply.json(), lacks(scope), "{held:?} {path}");
            }
        }
    }
}

#[test]
fn a_key_never_exceeds_its_owner() {
    let server = Server::start();
    let key = server.key("ann", &["* / *"]);
    let own = path_of(&server, "ann");

    let refused = [
        key.get("/users"),
        key.get("/users/1"),
        key.get("/users/999"),
        key.post("/users", &json!({})),
        key.put("/users/1", &json!({})),
        key.put(&own, &json!({"is_admin": true})),
        key.delete(&own),
        key.get("/users/-/systems"),
        key.get("/groups/-/systems"),
    ];

    assert_eq!(refused.map(|reply| reply.status), [403; 9]);
    key.get(&own).expect(200);
    key.get("/users/me").expect(200);
}

#[test]
fn a_key_of_a_demoted_administrator_is_one_of_a_standard_user() {
    let server = Server::start();
    let path = path_of(&server, "ann");
    server.admin().put(&path, &json!({"is_admin": true})).expect(200);
    let key = server.key("ann", &["users / *"]);
    key.get("/users").expect(200);

    server.admin().put(&path, &json!({"is_admin": false})).expect(200);

    key.get("/users").expect(403);
    key.get("/users/1").expect(403);
    key.post("/users", &json!({"username": "eve", "password": PASSWORD})).expect(403);
    key.get(&path).expect(200);
}

#[test]
fn sign_out_by_a_key_ends_no_session() {
    let server = Server::start();
    let session = server.session("ann");
    let (key, other) = (server.key("ann", &["sessions / destroy"]), server.key("ann", &["sessions / create"]));

    key.delete("/users/sign_out").expect(204);
    let refused = other.delete("/users/sign_out").expect(403);

    assert_eq!(refused.json(), lacks("sessions / destroy"));
    session.get("/users/me").expect(200);
    key.delete("/users/sign_out").expect(204);
}

#[test]
fn a_restricted_key_sees_every_key_masked() {
    let server = Server::start();
    let ann = server.user("ann");
    let sibling = Key::create(&ann, &["users / show"]);
    for held in [&["api_keys / *", "users / show"][..], &["* / index", "* / show", "* / update", "users / *"]] {
        let restricted = Key::create(&ann, held);

        let index = all_keys(&restricted.client);
        let shown = [&sibling, &restricted].map(|key| restricted.client.get(&key.path()).expect(200).json());
        let updated = restricted.client.put(&sibling.path(), &json!({})).expect(200).json();

        let masked = [&sibling, &restricted].map(Key::masked);
        assert_eq!(index, json!({"api_keys": masked.each_ref().map(listed), "count": 2}));
        assert_eq!(shown, masked);
        assert_eq!(updated, masked[0]);
        ann.delete(&restricted.path()).expect(204);
    }
}

#[test]
fn a_password_a_session_and_full_access_see_whole_keys() {
    let server = Server::start();
    let ann = server.user("ann");
    let sibling = Key::create(&ann, &["users / show"]);
    let full = Key::create(&ann, &["files / index", "* / *"]);
    for client in [&ann, &server.session("ann"), &full.client] {
        let index = all_keys(client);
        let shown = client.get(&sibling.path()).expect(200).json();
        let updated = client.put(&sibling.path(), &json!({})).expect(200).json();

        assert_eq!(index, json!({"api_keys": [listed(&sibling.created), listed(&full.created)], "count": 2}));
        assert_eq!((shown, updated), (sibling.created.clone(), sibling.created.clone()));
    }
}

#[test]
fn a_restricted_key_creates_keys_within_its_scopes_and_sees_a_new_one_whole() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = Key::create(&ann, &["api_keys / *", "users / show", "* / index"]);
    let within: [&[&str]; 5] = [
        &[],
        &["users / show"],
        &["users / index", "* / index", "files / index"],
        &["api_keys / *"],
        &["api_keys / x"],
    ];
    for wanted in within {
        let child = Key::create(&restricted.client, wanted);

        assert_eq!(ann.get(&child.path()).expect(200).json(), child.created, "{wanted:?}");
        assert_eq!(restricted.client.get(&child.path()).expect(200).json(), child.masked(), "{wanted:?}");
        assert_eq!(child.created["api_key_scopes"], scopes(wanted));
    }
    Key::create(&restricted.client, &["users / show"]).client.get("/users/me").expect(200);
}

#[test]
fn a_restricted_key_gives_no_key_more_than_it_has() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = Key::create(&ann, &["api_keys / *", "users / show", "* / index"]);
    let sibling = Key::create(&ann, &["users / show"]);
    let before = all_keys(&ann);
    for beyond in ["* / *", "users / *", "users / update", "* / show", "api_keys_ / index_", "configurations / create"]
    {
        let body = json!({"name": "wide", "api_key_scopes": scopes(&["users / show", beyond])});

        let replies = [
            restricted.client.post(ALL, &body),
            restricted.client.put(&sibling.path(), &body),
            restricted.client.put(&restricted.path(), &body),
        ];

        for reply in replies {
            let problem = json!({"error": "invalid", "value": beyond});
            let expected = invalid("api_key_scopes", &problem, "Api key scopes is invalid");
            assert_eq!((reply.status, reply.json()), (422, expected), "{beyond}");
        }
    }
    assert_eq!(all_keys(&ann), before);
    assert_eq!(ann.get(&restricted.path()).json(), restricted.created);
    assert_eq!(ann.get(&sibling.path()).json(), sibling.created);
}

#[test]
fn a_restricted_key_leaves_a_broader_key_alone() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = Key::create(&ann, &["api_keys / *", "users / show"]);
    for held in [&["* / *"][..], &["users / *"], &["users / show", "users / index"], &["* / show"], &["files / x"]] {
        let broader = Key::create(&ann, held);

        let replies = [
            restricted.client.put(&broader.path(), &json!({"name": "mine"})),
            restricted.client.put(&broader.path(), &json!({"api_key_scopes": []})),
            restricted.client.put(&broader.path(), &json!({"api_key_scopes": "wrong"})),
            restricted.client.put(&broader.path(), &json!({})),
            restricted.client.delete(&broader.path()),
        ];

        assert_eq!(replies.map(|reply| reply.status), [403; 5], "{held:?}");
        assert_eq!(ann.get(&broader.path()).expect(200).json(), broader.created);
    }
}

#[test]
fn a_restricted_key_changes_and_removes_what_it_covers_itself_included() {
    let server = Server::start();
    let ann = server.user("ann");
    let restricted = Key::create(&ann, &["api_keys / *", "users / show"]);
    let covered = Key::create(&ann, &["users / show"]);
    let scopeless = Key::create(&ann, &[]);

    let renamed = restricted.client.put(&covered.path(), &json!({"name": "n"})).expect(200).json();
    let sent_back = restricted.client.put(&restricted.path(), &restricted.masked()).expect(200).json();
    let widened = restricted.client.put(&scopeless.path(), &json!({"api_key_scopes": scopes(&["users / show"])}));
    let shrunk = restricted.client.put(&restricted.path(), &json!({"api_key_scopes": scopes(&["api_keys / *"])}));

    assert_eq!(renamed["name"], "n");
    assert_eq!(sent_back, restricted.masked());
    assert_eq!(widened.expect(200).json()["api_key_scopes"], scopes(&["users / show"]));
    assert_eq!(shrunk.expect(200).json()["api_key_scopes"], scopes(&["api_keys / *"]));
    restricted.client.get("/users/me").expect(403);
    restricted.client.delete(&covered.path()).expect(403);
    restricted.client.delete(&restricted.path()).expect(204);
    restricted.client.get(ALL).expect(401);
    let covering = Key::create(&ann, &["api_keys / destroy", "users / show"]);
    covering.client.delete(&covered.path()).expect(204);
    covering.client.delete(&scopeless.path()).expect(204);
}

#[test]
fn a_restricted_key_does_not_touch_an_administrators_account() {
    let server = Server::start();
    let path = path_of(&server, "bob");
    server.admin().put(&path, &json!({"is_admin": true})).expect(200);
    let before = server.admin().get("/users").json();
    let restricted = server.key("admin", &["users / *", "* / update", "* / destroy"]);
    for account in ["/users/1", path.as_str()] {
        for body in [json!({}), json!({"email": "a@b"}), json!({"is_admin": false}), json!({"email": 7})] {
            let reply = restricted.put(account, &body);

            assert_eq!((reply.status, reply.json()), (403, lacks("* / *")), "{account} {body}");
        }
        let removed = restricted.delete(account);
        assert_eq!((removed.status, removed.json()), (403, lacks("* / *")));
    }
    assert_eq!(server.admin().get("/users").json(), before);
}

#[test]
fn a_restricted_key_does_not_change_an_identity() {
    let server = Server::start();
    let path = path_of(&server, "ann");
    let end = "2200-01-01T00:00:00Z";
    let given = json!({"user_id": 7, "email": "ann@home", "expired_at": end, "source_type": "web_app"});
    let before = server.admin().put(&path, &given).expect(200).json();
    let beyond = [
        json!({"password": PASSWORD}),
        json!({"password": "short"}),
        json!({"user_id": 0}),
        json!({"user_id": 8}),
        json!({"user_id": null}),
        json!({"user_id": "7"}),
        json!({"group_id": 0}),
        json!({"group_id": 8}),
        json!({"is_admin": true}),
        json!({"email": "a@b"}),
        json!({"email": "ANN@home"}),
        json!({"email": null}),
        json!({"email": "nowhere"}),
        json!({"username": "anna"}),
        json!({"username": "ANN"}),
        json!({"username": "admin"}),
        json!({"username": ""}),
        json!({"expired_at": "2300-01-01T00:00:00Z"}),
        json!({"expired_at": null}),
        json!({"suspended": true}),
        json!({"suspended": "yes"}),
        json!({"source_type": "cli_ldap"}),
        json!({"source_type": null}),
        json!({"email": "a@b", "is_admin": true}),
        json!({"email": "nowhere", "password": PASSWORD}),
    ];
    for restricted in [server.key("admin", &["users / *"]), server.key("ann", &["users / update", "users / show"])] {
        for body in &beyond {
            let reply = restricted.put(&path, body);

            assert_eq!((reply.status, reply.json()), (403, lacks("* / *")), "{body}");
            assert_eq!(restricted.get(&path).expect(200).json(), before, "{body}");
        }
        assert_eq!(restricted.put(&path, &before).expect(200).json(), before);
        assert_eq!(restricted.put(&path, &json!({"password": null, "group_id": null})).expect(200).json(), before);
    }
    server.user("ann").get("/users/me").expect(200);
}

#[test]
fn a_restricted_key_removes_a_standard_account() {
    let server = Server::start();
    let path = path_of(&server, "ann");
    let restricted = server.key("admin", &["users / *"]);

    restricted.delete(&path).expect(204);
    server.admin().get(&path).expect(404);
}

#[test]
fn a_restricted_key_creates_standard_accounts_that_are_not_root() {
    let server = Server::start();
    let restricted = server.key("admin", &["users / create"]);
    let beyond = [
        json!({"username": "eve", "password": PASSWORD, "is_admin": true}),
        json!({"username": "eve", "password": PASSWORD, "user_id": 0}),
        json!({"username": "eve", "password": PASSWORD, "group_id": 0}),
        json!({"username": "", "password": "short", "user_id": 0}),
    ];
    for body in beyond {
        let reply = restricted.post("/users", &body);

        assert_eq!((reply.status, reply.json()), (403, lacks("* / *")), "{body}");
    }
    let body = json!({"username": "eve", "password": PASSWORD, "user_id": 1000, "group_id": 1000, "is_admin": false});

    let eve = restricted.post("/users", &body).expect(201).json();

    let (id, created_at) = (&eve["id"], &eve["created_at"]);
    let expected = json!({
        "id": id, "user_id": 1000, "group_id": 1000, "username": "eve", "is_admin": false,
        "created_at": created_at, "updated_at": created_at
    });
    assert_eq!(eve, expected);
    assert_eq!(server.with(&basic("eve", PASSWORD)).get("/users/me").expect(200).json(), eve);
    restricted.post("/users", &json!({"username": "sue", "password": PASSWORD, "is_admin": null})).expect(201);
    restricted.post("/users", &json!({"username": "kim", "password": PASSWORD, "is_admin": "no"})).expect(422);
}

#[test]
fn a_restricted_key_creates_no_account_with_an_id_of_the_system() {
    let server = Server::start();
    let restricted = server.key("admin", &["users / create"]);
    let problem = json!({"error": "greater_than_or_equal_to", "count": 1000});
    for (attribute, sentence) in [("user_id", "User"), ("group_id", "Group")] {
        for id in [1, 27, 999] {
            let reply = restricted.post("/users", &json!({"username": "eve", "password": PASSWORD, attribute: id}));

            let expected = invalid(attribute, &problem, &format!("{sentence} must be greater than or equal to 1000"));
            assert_eq!((reply.status, reply.json()), (422, expected), "{attribute} {id}");
        }
    }
    let body = json!({"username": "eve", "password": PASSWORD, "user_id": 1, "group_id": 1});
    server.key("admin", &["* / *"]).post("/users", &body).expect(201);
}

#[test]
fn a_restricted_key_creates_no_account_that_impersonates_another_one() {
    let mut server = Server::start();
    let admin = server.admin();
    let restricted = server.key("admin", &["users / create", "users / destroy"]);
    let make = |client: &Client, username: &str, user_id: u32| {
        client.post("/users", &json!({"username": username, "password": PASSWORD, "user_id": user_id}))
    };
    let eve = make(&admin, "Eve", 1001).expect(201).id();
    let bob = make(&admin, "bob", 1002).expect(201).id();
    admin.put(&format!("/users/{bob}"), &json!({"username": "rob", "user_id": null})).expect(200);
    restricted.delete(&format!("/users/{eve}")).expect(204);
    let fresh = make(&restricted, "fresh", 1003).expect(201).id();
    restricted.delete(&format!("/users/{fresh}")).expect(204);

    let key = restricted.authorization.expect("a key is a credential");
    for _ in 0..2 {
        let restricted = server.with(&key);
        for username in ["eve", "EVE", "bob", "Rob", "fresh", "admin"] {
            let reply = make(&restricted, username, 1009);

            let problem = json!({"error": "taken", "value": username});
            let expected = invalid("username", &problem, "Username has already been taken");
            assert_eq!((reply.status, reply.json()), (422, expected), "{username}");
        }
        for user_id in [1001, 1002, 1003] {
            let reply = make(&restricted, "zoe", user_id);

            let problem = json!({"error": "taken", "value": user_id.to_string()});
            let expected = invalid("user_id", &problem, "User has already been taken");
            assert_eq!((reply.status, reply.json()), (422, expected), "{user_id}");
        }
        server.restart();
    }
    make(&server.admin(), "eve", 1001).expect(201);
    make(&server.key("admin", &["* / *"]), "bob", 1002).expect(201);
    make(&server.session("admin"), "fresh", 1001).expect(201);
}

#[test]
fn a_key_with_full_access_does_what_its_owner_may() {
    let server = Server::start();
    let full = server.key("admin", &["* / *"]);
    let path = path_of(&server, "ann");
    let everything = json!({"user_id": 0, "group_id": 0, "is_admin": true, "password": PASSWORD});

    let updated = full.put(&path, &everything).expect(200).json();

    assert_eq!([&updated["user_id"], &updated["group_id"], &updated["is_admin"]], [&json!(0), &json!(0), &json!(true)]);
    server.with(&basic("ann", PASSWORD)).get("/users").expect(200);
    full.delete(&path).expect(204);
    let wide = Key::create(&full, &["* / *"]);
    full.put(&wide.path(), &json!({"api_key_scopes": scopes(&["users / *", "* / *"])})).expect(200);
}
