//! Accounts: who may see and change which, the last administrator, and what goes with a deleted one.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, basic, password_of},
    http::expectations::{at_once, invalid},
};

/// Paths of users that cannot exist, for any caller.
const NOBODY: [&str; 17] = [
    "/users/999",
    "/users/0",
    "/users/-1",
    "/users/00",
    "/users/01",
    "/users/+1",
    "/users/1.0",
    "/users/1e1",
    "/users/0x1",
    "/users/2147483648",
    "/users/4294967297",
    "/users/99999999999999999999",
    "/users/%00",
    "/users/1%20",
    "/users/%ff",
    "/users/m%65",
    "/users/admin",
];

/// Makes an administrator, who comes in by password.
fn administrator(server: &Server, username: &str) -> Client {
    let id = server.id_of(username);
    server.admin().put(&format!("/users/{id}"), &json!({"is_admin": true})).expect(200);
    server.user(username)
}

fn frozen() -> Value {
    invalid("is_admin", &json!({"error": "frozen"}), "Is admin is frozen")
}

#[test]
fn a_standard_user_changes_its_own_email_and_password() {
    let server = Server::start();
    let ann = server.user("ann");
    let path = format!("/users/{}", server.id_of("ann"));
    let mut record = ann.get(&path).expect(200).json();
    record["email"] = json!("ann@home");
    record["password"] = json!("she moved to town");

    let updated = ann.put(&path, &record).expect(200).json();

    assert_eq!(updated["email"], "ann@home");
    assert_eq!(server.with(&basic("ann", "she moved to town")).get("/users/me").expect(200).json(), updated);
    ann.get("/users/me").expect(401);
}

#[test]
fn a_standard_user_changes_nothing_else_of_itself() {
    let server = Server::start();
    let (ann, path) = (server.user("ann"), format!("/users/{}", server.id_of("ann")));
    let before = server.admin().put(&path, &json!({"user_id": 7, "group_id": 8})).expect(200).json();
    let beyond = [
        json!({"is_admin": true}),
        json!({"user_id": 0}),
        json!({"user_id": null}),
        json!({"user_id": -1}),
        json!({"group_id": 0}),
        json!({"group_id": ""}),
        json!({"username": "bob"}),
        json!({"username": "ANN"}),
        json!({"username": "admin"}),
        json!({"expired_at": "2300-01-01T00:00:00Z"}),
        json!({"expired_at": "never"}),
        json!({"suspended": true}),
        json!({"suspended": 7}),
        json!({"source_type": "cli_ldap"}),
        json!({"source_type": 7}),
        json!({"email": "ann@home", "is_admin": true}),
        json!({"password": "she moved to town", "user_id": 9}),
        json!({"email": "nowhere", "group_id": 9}),
    ];
    for body in beyond {
        let reply = ann.put(&path, &body);

        assert_eq!(reply.status, 403, "{body}");
        assert_eq!(ann.get(&path).expect(200).json(), before, "{body}");
    }
}

#[test]
fn a_standard_user_learns_nothing_of_other_ids() {
    let server = Server::start();
    let ann = server.user("ann");
    let bob = format!("/users/{}", server.id_of("bob"));
    let refused = ann.get("/users/1").expect(403).json();
    for path in NOBODY.iter().copied().chain(["/users/1", bob.as_str()]) {
        let replies = [ann.get(path), ann.put(path, &json!({"email": 7})), ann.delete(path)];

        for reply in replies {
            assert_eq!((reply.status, reply.json()), (403, refused.clone()), "{path}");
        }
    }
    server.user("bob").get("/users/me").expect(200);
}

#[test]
fn a_standard_user_neither_lists_nor_creates_nor_removes_accounts() {
    let server = Server::start();
    let ann = server.user("ann");
    let own = format!("/users/{}", server.id_of("ann"));

    let replies = [ann.get("/users"), ann.post("/users", &json!({"username": ""})), ann.delete(&own)];

    assert_eq!(replies.map(|reply| reply.status), [403, 403, 403]);
    assert_eq!(server.admin().get("/users?limit=0").json(), json!({"users": [], "count": 2}));
}

#[test]
fn an_invalid_id_is_reported_like_an_unknown_one() {
    let server = Server::start();
    let admin = server.admin();
    let missing = admin.get("/users/999").expect(404).json();
    for path in NOBODY {
        let replies = [admin.get(path), admin.put(path, &json!({"email": 7})), admin.delete(path)];

        for reply in replies {
            assert_eq!((reply.status, reply.json()), (404, missing.clone()), "{path}");
        }
    }
}

#[test]
fn the_last_administrator_is_neither_removed_nor_demoted() {
    let server = Server::start();
    let admin = server.admin();
    server.user("ann");

    let removed = admin.delete("/users/1");
    let demoted = admin.put("/users/1", &json!({"is_admin": false}));
    let cleared = admin.put("/users/1", &json!({"is_admin": null}));

    for reply in [removed, demoted, cleared] {
        assert_eq!((reply.status, reply.json()), (422, frozen()));
    }
    assert_eq!(admin.get("/users/me").expect(200).json()["is_admin"], true);
}

#[test]
fn a_demotion_of_the_last_administrator_is_reported_with_other_violations() {
    let server = Server::start();

    let reply = server.admin().put("/users/1", &json!({"is_admin": false, "email": "nowhere"})).expect(422);

    let expected = json!({
        "details": {"email": [{"error": "invalid", "value": "nowhere"}], "is_admin": [{"error": "frozen"}]},
        "messages": ["Email is invalid", "Is admin is frozen"],
    });
    assert_eq!(reply.json(), expected);
}

#[test]
fn the_last_administrator_who_never_expires_gets_no_end_and_stays() {
    let server = Server::start();
    let admin = server.admin();
    administrator(&server, "ann");
    let path = format!("/users/{}", server.id_of("ann"));
    let end = json!({"expired_at": "2300-01-01T00:00:00Z"});
    admin.put(&path, &end).expect(200);
    let frozen_end = invalid("expired_at", &json!({"error": "frozen"}), "Expired at is frozen");

    let replies = [admin.put("/users/1", &end), admin.put("/users/1", &json!({"is_admin": false}))];
    let both = admin.put("/users/1", &json!({"expired_at": "2300-01-01T00:00:00Z", "is_admin": false})).expect(422);
    let removed = admin.delete("/users/1");

    assert_eq!(replies.map(|reply| (reply.status, reply.json())), [(422, frozen_end), (422, frozen())]);
    assert_eq!(both.json()["messages"], json!(["Is admin is frozen", "Expired at is frozen"]));
    assert_eq!((removed.status, removed.json()), (422, frozen()));
    admin.put(&path, &json!({"expired_at": null})).expect(200);
    admin.put("/users/1", &end).expect(200);
    admin.delete("/users/1").expect(204);
    assert_eq!(server.user("ann").delete(&path).expect(422).json(), frozen());
}

#[test]
fn the_last_administrator_who_is_not_suspended_is_not_suspended_and_stays() {
    let server = Server::start();
    let admin = server.admin();
    administrator(&server, "ann");
    let path = format!("/users/{}", server.id_of("ann"));
    let suspended = json!({"suspended": true});
    admin.put(&path, &suspended).expect(200);
    let frozen_state = invalid("suspended", &json!({"error": "frozen"}), "Suspended is frozen");

    let replies = [admin.put("/users/1", &suspended), admin.put("/users/1", &json!({"is_admin": false}))];
    let all = json!({"expired_at": "2300-01-01T00:00:00Z", "is_admin": false, "suspended": true});
    let all = admin.put("/users/1", &all).expect(422);
    let removed = admin.delete("/users/1");

    assert_eq!(replies.map(|reply| (reply.status, reply.json())), [(422, frozen_state), (422, frozen())]);
    let messages = json!(["Is admin is frozen", "Suspended is frozen", "Expired at is frozen"]);
    assert_eq!(all.json()["messages"], messages);
    assert_eq!((removed.status, removed.json()), (422, frozen()));
    admin.put(&path, &json!({"suspended": false})).expect(200);
    admin.put("/users/1", &suspended).expect(200);
    admin.get("/users/me").expect(401);
    assert_eq!(server.user("ann").delete(&path).expect(422).json(), frozen());
}

#[test]
fn an_administrator_who_is_not_the_last_removes_itself() {
    let server = Server::start();
    let ann = administrator(&server, "ann");
    let path = format!("/users/{}", server.id_of("ann"));

    ann.delete(&path).expect(204);

    ann.get("/users/me").expect(401);
    server.admin().get(&path).expect(404);
    assert_eq!(server.admin().delete("/users/1").expect(422).json(), frozen());
}

#[test]
fn a_demoted_administrator_is_a_standard_user_from_then_on() {
    let server = Server::start();
    administrator(&server, "ann");
    let (session, key) = (server.session("ann"), server.key("ann", &["* / *"]));
    session.get("/users").expect(200);
    let path = format!("/users/{}", server.id_of("ann"));

    server.admin().put(&path, &json!({"is_admin": false})).expect(200);

    for ann in [server.user("ann"), session, key] {
        ann.get("/users").expect(403);
        ann.get("/users/1").expect(403);
        assert_eq!(ann.get("/users/me").expect(200).json()["is_admin"], false);
    }
}

/// Two administrators demote each other at once, twenty times; `after` gets the statuses and who is left.
fn demote_each_other(server: &Server, mut after: impl FnMut([u16; 2], &Client)) {
    let clients = [server.session("admin"), administrator(server, "ann")];
    let paths = ["/users/1".to_owned(), format!("/users/{}", server.id_of("ann"))];
    for _ in 0..20 {
        let statuses = at_once(2, |number| clients[number].put(&paths[1 - number], &json!({"is_admin": false})).status);

        let left = &clients[usize::from(statuses[0] != 200)];
        after([statuses[0], statuses[1]], left);
        for path in &paths {
            left.put(path, &json!({"is_admin": true})).expect(200);
        }
    }
}

#[test]
fn two_administrators_who_demote_each_other_at_once_never_leave_none() {
    let server = Server::start();

    demote_each_other(&server, |statuses, left| {
        assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
        let users = left.get("/users").expect(200).json()["users"].clone();
        assert_eq!(users.as_array().unwrap().iter().filter(|user| user["is_admin"] == true).count(), 1);
    });
}

#[test]
fn an_administrator_who_is_demoted_while_asking_may_not_but_is_still_known() {
    let server = Server::start();

    demote_each_other(&server, |mut statuses, _| {
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 403]);
    });
}

#[test]
fn administrators_who_all_remove_themselves_at_once_leave_one() {
    let server = Server::start();
    let names = ["ann", "bob", "eve", "sue"];
    let clients = names.map(|name| (administrator(&server, name), format!("/users/{}", server.id_of(name))));
    let admin = (server.session("admin"), "/users/1".to_owned());
    let all: Vec<_> = clients.into_iter().chain([admin]).collect();

    let replies = at_once(all.len(), |number| all[number].0.delete(&all[number].1));

    let mut statuses: Vec<_> = replies.iter().map(|reply| reply.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 204, 204, 204, 422]);
    let left = replies.iter().position(|reply| reply.status == 422).unwrap();
    assert_eq!(all[left].0.get("/users").expect(200).json()["count"], 1);
}

#[test]
fn what_a_removed_user_had_is_gone_and_its_namesake_sees_none_of_it() {
    let mut server = Server::start();
    let ann = server.user("ann");
    let old_id = server.id_of("ann");
    let configuration = ann.post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);
    let key = server.key("ann", &["* / *"]);
    let session = server.session("ann");

    server.admin().delete(&format!("/users/{old_id}")).expect(204);

    let credentials = [ann, key, session].map(|client| client.authorization.unwrap());
    for credential in &credentials {
        server.with(credential).get("/users/me").expect(401);
    }
    server.restart();
    let namesake = json!({"username": "ann", "password": password_of("ann")});
    let new_id = server.admin().post("/users", &namesake).expect(201).id();
    assert_ne!(new_id, old_id);
    let [by_password, by_key, by_session] = credentials.map(|credential| server.with(&credential));
    assert_eq!(by_password.get("/users/me").expect(200).id(), new_id);
    by_key.get("/users/me").expect(401);
    by_session.get("/users/me").expect(401);
    let configurations = by_password.get("/users/me/configurations").json();
    assert_eq!(configurations, json!({"configurations": [], "count": 0}));
    assert_eq!(by_password.get("/users/me/api_keys").json(), json!({"api_keys": [], "count": 0}));
    by_password.get(&format!("/users/me/configurations/{}", configuration.id())).expect(404);
    by_password.post("/users/me/configurations", &json!({"key": "theme"})).expect(201);
}
