//! What a service learns of a token that it was given (RFC 7662).

use std::{path::Path, process::Command};

use serde_json::{Value, json};

use crate::{
    harness::{
        ADMIN_PASSWORD, Client, Reply, Request, Server, ServerBuilder, basic, is_possible, password_of, run_with_input,
    },
    http::{
        api_keys::{ALL, Key, scopes},
        tokens::{Mint, claims_of},
    },
};

const SOON: &str = "2100-01-01T00:00:00.000Z";
const SOON_SECS: u64 = 4_102_444_800;
/// Python with Authlib, which `.ci/run` installs.
const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/oauth/bin/python");
const AUTHLIB: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/introspect.py");
const PAST: &str = "2020-01-01T00:00:00.000Z";

fn question(token: &str) -> Request {
    Request::new("POST", "/introspect").form(&[("token", token)])
}

/// A service with a key for nothing but this.
fn service(server: &Server) -> Client {
    server.key("service", &["introspection / create"])
}

#[track_caller]
fn asked(service: &Client, token: &str) -> Value {
    service.send(&question(token)).expect(200).json()
}

fn token_of(authorization: &str) -> &str {
    authorization.strip_prefix("Bearer ").unwrap_or(authorization)
}

/// An API key of this client's with these scopes and other members.
#[track_caller]
fn key_with(owner: &Client, allowed: &[&str], mut members: Value) -> Key {
    members["api_key_scopes"] = scopes(allowed);
    Key::from_body(owner, &members)
}

fn inactive() -> Value {
    json!({"active": false})
}

#[test]
fn a_good_api_key_is_described_with_its_scopes_and_its_end() {
    let server = Server::start();
    let (service, ann) = (service(&server), server.user("ann"));
    let sub = server.id_of("ann").to_string();
    let key = key_with(&ann, &["files / index", "media / *"], json!({"name": "backup", "expires_at": SOON}));
    let lasting = Key::create(&ann, &[]);

    let described = json!({"active": true, "sub": sub, "username": "ann", "scope": "files/index media/*",
        "client_id": key.created["id"].to_string(), "token_type": "Bearer", "exp": SOON_SECS});
    assert_eq!(asked(&service, key.text()), described);
    let described = json!({"active": true, "sub": sub, "username": "ann", "scope": "",
        "client_id": lasting.created["id"].to_string(), "token_type": "Bearer"});
    assert_eq!(asked(&service, lasting.text()), described);
}

#[test]
fn a_good_session_is_described_as_one_that_permits_everything() {
    let server = Server::start();
    let service = service(&server);
    let authorization = server.sign_in("ann");
    let claims = claims_of(&authorization);

    let described = json!({"active": true, "sub": claims["sub"], "username": "ann", "scope": "*/*",
        "token_type": "Bearer", "exp": claims["exp"], "iat": claims["iat"]});
    assert_eq!(asked(&service, token_of(&authorization)), described);
}

#[test]
fn the_end_of_the_account_is_the_end_of_its_tokens() {
    let server = Server::start();
    let service = service(&server);
    let session = server.sign_in("ann");
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let soon = claims_of(&session)["iat"].as_u64().unwrap() + 60;
    let account = format!("/users/{}", server.id_of("ann"));

    let end = lodge::clock::Timestamp::from_secs(soon).to_string();
    server.admin().put(&account, &json!({"expired_at": end})).expect(200);

    for token in [&key, token_of(&session)] {
        assert_eq!(asked(&service, token)["exp"], soon, "{token}");
    }
}

#[test]
fn whatever_is_not_good_is_inactive_and_nothing_else() {
    let server = Server::start();
    let (service, ann) = (service(&server), server.user("ann"));
    let (claims, mint) = (claims_of(&server.sign_in("ann")), Mint::of(&server));
    let with = |name: &str, value: Value| {
        let mut claims = claims.clone();
        claims[name] = value;
        mint.token(&claims)
    };
    let key = Key::create(&ann, &["* / *"]);
    let ended = key_with(&ann, &["* / *"], json!({"expires_at": PAST}));
    let removed = Key::create(&ann, &["* / *"]);
    ann.delete(&removed.path()).expect(204);
    let rotated = Key::create(&ann, &["* / *"]);
    ann.post(&format!("{}/rotate", rotated.path()), &json!({})).expect(201);
    let signed_out = server.session("ann");
    signed_out.delete("/users/sign_out").expect(204);
    let ann_basic = basic("ann", &password_of("ann"));

    for token in [
        "x",
        "a.b.c",
        "lodge_",
        " ",
        &key.text()[..70],
        &format!("{}x", key.text()),
        &key.text().to_uppercase(),
        &format!("Bearer {}", key.text()),
        &format!(" {}", key.text()),
        &format!("{}\n", key.text()),
        ended.text(),
        removed.text(),
        rotated.text(),
        token_of(signed_out.authorization.as_ref().unwrap()),
        &with("exp", claims["iat"].clone()),
        &with("jti", json!("00000000-0000-0000-0000-000000000000")),
        &with("sub", json!("2147483647")),
        &format!("{}.{}.", token_of(&mint.token(&claims)), "x"),
        &ann_basic,
        ann_basic.strip_prefix("Basic ").unwrap(),
        &format!("ann:{}", password_of("ann")),
        ADMIN_PASSWORD,
        &"x.y.".repeat(2000),
    ] {
        assert_eq!(asked(&service, token), inactive(), "{token}");
    }
    assert_eq!(asked(&service, &mint.token(&claims))["active"], true);
    assert_eq!(asked(&service, key.text())["active"], true);
}

#[test]
fn a_token_signed_with_a_key_of_any_other_kind_is_inactive() {
    let server = Server::start();
    let service = service(&server);
    let claims = claims_of(&server.sign_in("ann"));

    for header in [
        json!({"alg": "none", "typ": "JWT"}),
        json!({"alg": "ES256", "typ": "JWT", "kid": "1"}),
        json!({"alg": "EdDSA", "typ": "at+jwt", "kid": "1"}),
        json!({"alg": "HS512", "typ": "JWT"}),
        json!({"alg": "HS256", "typ": "JWT", "crit": ["exp"]}),
    ] {
        assert_eq!(asked(&service, &Mint::of(&server).with_header(&header, &claims)), inactive(), "{header}");
    }
}

#[test]
fn an_assertion_is_no_token_of_lodges() {
    let server = ServerBuilder::new().flag("--assertion-audience", "files").start();
    let (service, key) = (service(&server), server.key("ann", &["assertions / create"]));

    let created = key.post("/assertions?aud=files", &json!({})).expect(201).json();

    assert_eq!(asked(&service, created["assertion"].as_str().unwrap()), inactive());
}

#[test]
fn a_suspended_or_removed_account_has_no_good_token() {
    let server = Server::start();
    let service = service(&server);
    let tokens = [server.sign_in("ann"), server.key("ann", &["* / *"]).authorization.unwrap()];
    let account = format!("/users/{}", server.id_of("ann"));
    let active = || tokens.each_ref().map(|token| asked(&service, token_of(token))["active"].clone());

    server.admin().put(&account, &json!({"suspended": true})).expect(200);
    let suspended = tokens.each_ref().map(|token| asked(&service, token_of(token)));
    server.admin().put(&account, &json!({"suspended": false, "expired_at": PAST})).expect(200);
    let expired = tokens.each_ref().map(|token| asked(&service, token_of(token)));
    server.admin().put(&account, &json!({"expired_at": null})).expect(200);
    let resumed = active();
    server.admin().delete(&account).expect(204);

    assert_eq!((suspended, expired), ([inactive(), inactive()], [inactive(), inactive()]));
    assert_eq!((resumed, active()), ([json!(true), json!(true)], [json!(false), json!(false)]));
}

#[test]
fn a_former_value_is_good_until_its_overlap_ends_and_no_longer() {
    let server = Server::start();
    let service = service(&server);
    let ann = server.user("ann");
    let key = key_with(&ann, &["files / index"], json!({"expires_at": SOON}));

    let rotated = ann.post(&format!("{}/rotate", key.path()), &json!({"overlap": 60})).expect(201).json();

    let (former, current) = (asked(&service, key.text()), asked(&service, rotated["key"].as_str().unwrap()));
    assert_eq!((&former["active"], &current["exp"]), (&json!(true), &json!(SOON_SECS)));
    assert!(former["exp"].as_u64().unwrap() < SOON_SECS, "{former}");
}

/// The address of the one who presented it is not known, and the service's own is another's.
#[test]
fn a_key_that_is_bound_to_networks_is_inactive_even_if_the_service_is_within_them() {
    let server = Server::start();
    let service = service(&server);
    let key = key_with(&server.user("ann"), &["files / index"], json!({"allowed_networks": ["127.0.0.0/8", "::/0"]}));

    assert_eq!(asked(&service, key.text()), inactive());
    key.client.get("/users/me/scopes").expect(200);
}

#[test]
fn asking_is_no_use_of_the_token_and_a_use_of_the_scope_of_the_one_who_asks() {
    let server = Server::start();
    let ann = server.user("ann");
    let service = Key::create(&ann, &["introspection / create"]);
    let key = Key::create(&ann, &["files / index"]);
    let usage = |key: &Key| ann.get(&format!("{}/usage", key.path())).expect(200).json();

    assert_eq!(asked(&service.client, key.text())["active"], true);

    assert_eq!(usage(&key), json!({"observed_since": usage(&key)["observed_since"], "api_key_scopes": []}));
    assert_eq!(usage(&service)["api_key_scopes"][0]["controller"], "introspection");
}

#[test]
fn asking_about_anything_is_no_attempt_at_an_account_and_leaves_no_lock_and_no_entry() {
    let server = Server::start();
    let service = service(&server);
    let before = server.admin().get("/audit").expect(200).json()["count"].clone();
    let unknown = "lodge_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    // More than any lock takes.
    for _ in 0..120 {
        assert_eq!(asked(&service, unknown), inactive());
        assert_eq!(asked(&service, &basic("ann", "a wrong password")), inactive());
    }

    assert_eq!(server.admin().get("/locks").expect(200).json()["count"], 0);
    assert_eq!(server.admin().get("/audit").expect(200).json()["count"], before);
    server.user("ann").get("/users/me").expect(200);
}

#[test]
fn a_service_that_asks_about_too_many_wrong_tokens_waits_with_them_alone() {
    let server = Server::start();
    let (flooded, other) = (service(&server), server.key("other", &["introspection / create"]));
    let key = server.key("ann", &["files / index"]).authorization.unwrap();

    let first_refused = (0..1100).map(|_| flooded.send(&question("wrong"))).find(|reply| reply.status != 200);

    let refused = first_refused.expect("there is a limit");
    assert_eq!((refused.status, refused.json()["error"].is_string()), (429, true));
    assert!(refused.header("retry-after").unwrap().parse::<u64>().is_ok_and(|secs| (1..=60).contains(&secs)));
    assert_eq!(asked(&flooded, &key)["active"], true);
    assert_eq!(asked(&other, "wrong"), inactive());
    assert_eq!(server.admin().get("/locks").expect(200).json()["count"], 0);
    assert_eq!(server.whole_log().matches("asks about too many tokens that are not good").count(), 1);
}

#[test]
fn a_question_without_a_token_is_malformed_and_other_members_make_no_difference() {
    let server = Server::start();
    let service = service(&server);
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let send = |fields: &[(&str, &str)]| service.send(&Request::new("POST", "/introspect").form(fields));

    for fields in [&[][..], &[("token", "")], &[("Token", &key)], &[("token_type_hint", "access_token")]] {
        let reply = send(fields).expect(400);
        assert_eq!(reply.json(), json!({"error": "The form has no token."}), "{fields:?}");
    }
    for hint in ["access_token", "refresh_token", "", "no such kind"] {
        let reply = send(&[("token", &key), ("token_type_hint", hint), ("client_id", "7"), ("client_secret", "x")]);
        assert_eq!(reply.expect(200).json()["active"], true, "{hint}");
    }
    let in_query: Reply = service.send(&Request::new("POST", &format!("/introspect?token={key}")).form(&[]));
    assert_eq!(in_query.status, 400);
}

#[test]
fn authlib_learns_the_same_with_a_key_and_with_a_password() {
    let missing = (!Path::new(PYTHON).exists()).then_some("Authlib is missing below target/ci/oauth");
    if !is_possible("authlib_learns_the_same", missing) {
        return;
    }
    let server = Server::start();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let service = service(&server);
    let (session, wrong) = (server.sign_in("ann"), "a wrong+token/with=signs & blanks".to_owned());
    let tokens = [key, token_of(&session).to_owned(), wrong];
    let described = tokens.each_ref().map(|token| asked(&service, token));
    assert_eq!((&described[0]["active"], &described[1]["active"]), (&json!(true), &json!(true)));

    for as_service in
        [json!({"key": service.authorization}), json!({"username": "service", "password": password_of("service")})]
    {
        let mut question = as_service;
        question["url"] = json!(format!("http://{}/api/v2/introspect", server.address));
        question["tokens"] = json!(tokens);
        let output = run_with_input(Command::new(PYTHON).arg(AUTHLIB), &question.to_string()).expect(0);

        let learnt: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(learnt, described);
    }
}

#[test]
fn a_token_that_is_revoked_is_inactive_from_the_response_on() {
    let server = Server::start();
    let (service, ann) = (service(&server), server.user("ann"));

    for _ in 0..20 {
        let key = Key::create(&ann, &["files / index"]);
        let session = server.session("ann");
        let token = session.authorization.clone().unwrap();
        assert_eq!(asked(&service, key.text())["active"], true);
        assert_eq!(asked(&service, token_of(&token))["active"], true);

        ann.put(&key.path(), &json!({"api_key_scopes": []})).expect(200);
        assert_eq!(asked(&service, key.text())["scope"], "");
        ann.delete(&key.path()).expect(204);
        session.delete("/users/sign_out").expect(204);

        assert_eq!(asked(&service, key.text()), inactive());
        assert_eq!(asked(&service, token_of(&token)), inactive());
    }
    assert_eq!(ann.get(ALL).expect(200).json()["count"], 0);
}
