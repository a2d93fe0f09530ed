//! A right that is taken away is gone for every request that begins after the answer, however many are on their way.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::json;

use crate::harness::{Client, Request, Server, ServerBuilder, basic, password_of, repetitions};

/// How often each right is taken away, unless `LODGE_TEST_RACES` is set.
const RACES: usize = 10;
/// How many ask at once.
const ASKERS: usize = 2;
/// How many of an asker's requests begin after the right is gone.
const LATE: usize = 2;
/// How often the server is killed after each answer.
const KILLS: usize = 5;

/// A right of a client.
struct Right {
    client: Client,
    path: &'static str,
    /// What refuses it once it is gone.
    refusal: u16,
}

fn races() -> usize {
    repetitions("LODGE_TEST_RACES", RACES)
}

/// A server that refuses a revoked credential and never locks its holder out, and whose users may have a key for each race.
fn start() -> Server {
    let builder = ServerBuilder::new().variable("LODGE_MAX_API_KEYS", "100000");
    builder.variable("LODGE_THROTTLE_AFTER", "0").start()
}

/// Uses the right all the time while `revoke` takes it away; returns how many late requests were not refused.
fn race(right: &Right, revoke: impl FnOnce()) -> usize {
    let is_gone = AtomicBool::new(false);
    let asked = Request::new("GET", right.path);
    assert_eq!(right.client.try_send(&asked).unwrap().status, 200, "the right is there at first");
    thread::scope(|scope| {
        let ask = || {
            let (mut late, mut passed) = (0, 0);
            while late < LATE {
                let is_late = is_gone.load(Ordering::SeqCst);
                let status = right.client.try_send(&asked).unwrap().status;
                assert!([200, right.refusal].contains(&status), "{status}");
                late += usize::from(is_late);
                passed += usize::from(is_late && status == 200);
            }
            passed
        };
        let askers: Vec<_> = (0..ASKERS).map(|_| scope.spawn(ask)).collect();
        revoke();
        is_gone.store(true, Ordering::SeqCst);
        askers.into_iter().map(|requester| requester.join().unwrap()).sum()
    })
}

/// Takes a right away again and again; `grant` gives it each time, `revoke` takes it.
fn race_often<T>(server: &mut Server, grant: impl Fn(&Server) -> (Right, T), revoke: impl Fn(&Server, T)) {
    let mut passed = 0;
    for _ in 0..races() {
        let (right, granted) = grant(server);
        passed += race(&right, || revoke(server, granted));
    }
    assert_eq!(passed, 0, "requests passed that began after the answer");
    for _ in 0..KILLS {
        let (right, granted) = grant(server);
        revoke(server, granted);
        server.kill();
        server.start_again();
        let right = Right { client: server.with(right.client.authorization.as_deref().unwrap()), ..right };
        assert_eq!(right.client.get(right.path).status, right.refusal, "also after a kill after the answer");
    }
}

#[test]
fn a_session_that_is_closed_admits_nobody() {
    let mut server = start();
    server.user("ann");
    let grant = |server: &Server| {
        let client = server.session("ann");
        (Right { client: client.clone(), path: "/users/me", refusal: 401 }, client)
    };
    race_often(&mut server, grant, |_, session| drop(session.delete("/users/sign_out").expect(204)));
}

#[test]
fn a_user_who_is_deleted_is_not_admitted() {
    let mut server = start();
    let grant = |server: &Server| {
        let ann = json!({"username": "ann", "password": password_of("ann")});
        let id = server.admin().post("/users", &ann).expect(201).id();
        let client = server.with(&basic("ann", &password_of("ann")));
        (Right { client, path: "/users/me", refusal: 401 }, id)
    };
    race_often(&mut server, grant, |server, id| drop(server.admin().delete(&format!("/users/{id}")).expect(204)));
}

#[test]
fn a_demoted_administrator_has_no_rights_of_one() {
    let mut server = start();
    let ann = server.id_of("ann");
    let as_administrator = move |server: &Server, is_admin: bool| {
        server.admin().put(&format!("/users/{ann}"), &json!({"is_admin": is_admin})).expect(200);
    };
    let grant = |server: &Server| {
        as_administrator(server, true);
        (Right { client: server.user("ann"), path: "/users?limit=1", refusal: 403 }, ())
    };
    race_often(&mut server, grant, |server, ()| as_administrator(server, false));
}

#[test]
fn an_account_that_is_suspended_is_refused_at_once() {
    let mut server = start();
    let ann = server.id_of("ann");
    let with = move |server: &Server, suspended: bool| {
        server.admin().put(&format!("/users/{ann}"), &json!({"suspended": suspended})).expect(200);
    };
    let key = server.key("ann", &["users / show"]).authorization.unwrap();
    let credentials: [&dyn Fn(&Server) -> Client; 3] =
        [&|server| server.user("ann"), &|server| server.session("ann"), &|server| server.with(&key)];
    for credential in credentials {
        let grant = |server: &Server| {
            with(server, false);
            (Right { client: credential(server), path: "/users/me", refusal: 401 }, ())
        };
        race_often(&mut server, grant, |server, ()| with(server, true));
    }
}

#[test]
fn a_session_that_is_ended_from_elsewhere_is_refused_at_once() {
    let mut server = start();
    server.user("ann");
    let grant = |server: &Server| (Right { client: server.session("ann"), path: "/users/me", refusal: 401 }, ());
    race_often(&mut server, grant, |server, ()| drop(server.user("ann").delete("/users/me/sessions").expect(204)));
}

#[test]
fn a_key_that_lost_a_scope_is_refused_at_once() {
    let mut server = start();
    let key = server.key("ann", &[]);
    let with_scopes = |server: &Server, scopes: serde_json::Value| {
        server.user("ann").put("/users/me/api_keys/1", &json!({"api_key_scopes": scopes})).expect(200);
    };
    let grant = |server: &Server| {
        with_scopes(server, json!([{"controller": "users", "action": "show"}]));
        let client = server.with(key.authorization.as_deref().unwrap());
        (Right { client, path: "/users/me", refusal: 403 }, ())
    };
    race_often(&mut server, grant, |server, ()| with_scopes(server, json!([])));
}

/// A key of Ann's that may read her account, and its path.
fn granted_key(server: &Server, refusal: u16) -> (Right, String) {
    let scopes = json!([{"controller": "users", "action": "show"}]);
    let made = server.user("ann").post("/users/me/api_keys", &json!({"api_key_scopes": scopes})).expect(201).json();
    let client = server.with(made["key"].as_str().unwrap());
    (Right { client, path: "/users/me", refusal }, format!("/users/me/api_keys/{}", made["id"]))
}

#[test]
fn a_value_that_is_rotated_away_is_refused_at_once() {
    let mut server = start();
    let rotate = |server: &Server, path: String| {
        server.user("ann").post(&format!("{path}/rotate"), &json!({"overlap": 0})).expect(201);
    };
    race_often(&mut server, |server| granted_key(server, 401), rotate);
}

#[test]
fn an_old_value_that_is_ended_is_refused_at_once() {
    let mut server = start();
    let grant = |server: &Server| {
        let (right, path) = granted_key(server, 401);
        server.user("ann").post(&format!("{path}/rotate"), &json!({"overlap": 3600})).expect(201);
        (right, path)
    };
    let end = |server: &Server, path: String| {
        server.user("ann").delete(&format!("{path}/former_value")).expect(204);
    };
    race_often(&mut server, grant, end);
}

#[test]
fn a_key_that_is_ended_is_refused_at_once() {
    let mut server = start();
    let end = |server: &Server, path: String| {
        server.user("ann").put(&path, &json!({"expires_at": "2020-01-01T00:00:00Z"})).expect(200);
    };
    race_often(&mut server, |server| granted_key(server, 401), end);
}

#[test]
fn a_key_that_lost_a_network_is_refused_at_once() {
    let mut server = start();
    let narrow = |server: &Server, path: String| {
        server.user("ann").put(&path, &json!({"allowed_networks": ["192.0.2.0/24"]})).expect(200);
    };
    race_often(&mut server, |server| granted_key(server, 403), narrow);
}

#[test]
fn a_key_that_is_destroyed_admits_nobody() {
    let mut server = start();
    let destroy = |server: &Server, path: String| drop(server.user("ann").delete(&path).expect(204));
    race_often(&mut server, |server| granted_key(server, 401), destroy);
}

#[test]
fn a_password_that_was_changed_admits_nobody_and_ends_sessions() {
    let mut server = start();
    let ann = server.id_of("ann");
    let with_password = move |server: &Server, password: &str| {
        server.admin().put(&format!("/users/{ann}"), &json!({"password": password})).expect(200);
    };
    let revoke = |server: &Server, ()| with_password(server, "another one for ann");
    let by_password = |server: &Server| {
        with_password(server, &password_of("ann"));
        (Right { client: server.user("ann"), path: "/users/me", refusal: 401 }, ())
    };
    race_often(&mut server, by_password, revoke);
    let by_session = |server: &Server| {
        with_password(server, &password_of("ann"));
        (Right { client: server.session("ann"), path: "/users/me", refusal: 401 }, ())
    };
    race_often(&mut server, by_session, revoke);
}
