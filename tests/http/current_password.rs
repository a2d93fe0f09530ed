//! The current password, which users give to change their own password or e-mail address where the installation asks for it.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Server, ServerBuilder, basic, password_of},
    http::{audit::refusals, expectations::invalid},
};

const NEW: &str = "a house with a view";

fn asking() -> Server {
    ServerBuilder::new().variable("LODGE_REQUIRE_CURRENT_PASSWORD", "true").start()
}

/// The path of Ann's account, and credentials of every kind of Ann's.
fn ann(server: &Server) -> (String, [Client; 3]) {
    let clients = [server.user("ann"), server.session("ann"), server.key("ann", &["* / *"])];
    (format!("/users/{}", server.id_of("ann")), clients)
}

fn missing() -> Value {
    invalid("current_password", &json!({"error": "blank"}), "Current password can't be blank")
}

fn wrong() -> Value {
    invalid("current_password", &json!({"error": "invalid"}), "Current password is invalid")
}

#[test]
fn a_user_gives_the_current_password_with_a_new_one_and_with_another_address() {
    let server = asking();
    let (path, clients) = ann(&server);

    for client in &clients {
        for change in [json!({"password": NEW}), json!({"email": "ann@home"})] {
            let with = |password: Value| {
                let mut body = change.clone();
                body["current_password"] = password;
                client.put(&path, &body)
            };
            assert_eq!(client.put(&path, &change).expect(422).json(), missing());
            assert_eq!(with(json!(null)).expect(422).json(), missing());
            assert_eq!(with(json!("")).expect(422).json(), wrong());
            assert_eq!(with(json!(7)).expect(422).json(), wrong());
        }
    }
    let [by_password, by_session, by_key] = &clients;
    let current = json!(password_of("ann"));
    by_key.put(&path, &json!({"email": "ann@home", "current_password": current})).expect(200);
    by_password.put(&path, &json!({"email": null, "current_password": current})).expect(200);
    by_session.put(&path, &json!({"password": NEW, "current_password": current})).expect(200);
    server.with(&basic("ann", NEW)).get("/users/me").expect(200);
}

#[test]
fn a_wrong_password_changes_nothing_and_counts_as_a_failed_sign_in_does() {
    let server = asking();
    let (path, [_, session, _]) = ann(&server);
    let guess = json!({"email": "mine@home", "current_password": "not that one"});

    for _ in 0..5 {
        assert_eq!(session.put(&path, &guess).expect(422).json(), wrong());
    }
    let locked = session.put(&path, &json!({"email": "mine@home", "current_password": password_of("ann")})).expect(429);

    assert!(locked.header("retry-after").is_some());
    let sign_in = json!({"user": {"username": "ann", "password": password_of("ann")}});
    server.anonymous().post("/users/sign_in", &sign_in).expect(429);
    assert_eq!(session.get("/users/me").expect(200).json().get("email"), None);
}

#[test]
fn a_wrong_password_is_in_the_audit_log() {
    let server = asking();
    let (path, [_, session, _]) = ann(&server);

    session.put(&path, &json!({"password": NEW, "current_password": "not that one"})).expect(422);

    let entry = &refusals(&server, 1)[0];
    assert_eq!([&entry["action"], &entry["username"], &entry["credential"]], ["users / update", "ann", "password"]);
}

#[test]
fn other_changes_and_other_accounts_need_no_current_password() {
    let server = asking();
    let (path, [user, ..]) = ann(&server);
    let shown = user.get(&path).expect(200).json();

    user.put(&path, &json!({"username": "ann", "email": null})).expect(200);
    user.put(&path, &shown).expect(200);
    server.admin().put(&path, &json!({"password": NEW, "email": "ann@home"})).expect(200);
    let unchanged = server.with(&basic("ann", NEW)).put(&path, &json!({"email": "ann@home"}));
    assert_eq!(unchanged.expect(200).json()["email"], "ann@home");
    assert_eq!(server.admin().put("/users/1", &json!({"email": "root@home"})).expect(422).json(), missing());
}

#[test]
fn it_is_reported_with_what_else_is_wrong_and_costs_no_guess_then() {
    let server = asking();
    let (path, [user, ..]) = ann(&server);

    let reply = user.put(&path, &json!({"password": "short"})).expect(422).json();
    assert_eq!(
        reply["messages"],
        json!(["Password is too short (minimum is 8 bytes)", "Current password can't be blank"])
    );
    for _ in 0..7 {
        let reply =
            user.put(&path, &json!({"password": "short", "current_password": "not that one"})).expect(422).json();
        assert_eq!(reply["messages"], json!(["Password is too short (minimum is 8 bytes)"]));
    }
}

#[test]
fn an_installation_that_does_not_ask_does_not_know_the_member() {
    let server = Server::start();
    let (path, [user, ..]) = ann(&server);

    user.put(&path, &json!({"email": "ann@home", "current_password": 7})).expect(200);
}
