//! Signed assertions, as services get and check them.

mod forged;
mod keys;
mod verifiers;

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey};
use serde_json::{Value, json};

use crate::{
    harness::{Client, Reply, Request, Server, ServerBuilder},
    http::{
        api_keys::{Key, scopes},
        audit::entries,
    },
};

/// Where services find the public keys.
const JWKS: &str = "/.well-known/jwks.json";

/// A server that signs assertions for `files` and `https://media.example`.
fn server() -> Server {
    builder().start()
}

fn builder() -> ServerBuilder {
    ServerBuilder::new().flag("--assertion-audience", "files").flag("--assertion-audience", "https://media.example")
}

fn jwks(server: &Server) -> Reply {
    server.anonymous().send(&Request::whole("GET", JWKS))
}

fn keys(server: &Server) -> Vec<Value> {
    jwks(server).expect(200).json()["keys"].as_array().unwrap().clone()
}

/// The assertion in the response to a proxy, which has the header once.
#[track_caller]
fn proxied(client: &Client, query: &str) -> String {
    let reply = client.get(&format!("/forward-auth?{query}")).expect(200);
    let [value] = reply.all_headers("X-Lodge-Assertion")[..] else { panic!("it is not there once: {reply:?}") };
    value.to_owned()
}

/// The assertion that a caller asks for.
#[track_caller]
fn created(client: &Client, audience: &str) -> String {
    let created = client.post(&format!("/assertions?aud={audience}"), &json!({})).expect(201).json();
    created["assertion"].as_str().unwrap().to_owned()
}

fn part(token: &str, place: usize) -> Value {
    serde_json::from_slice(&bytes(token.split('.').nth(place).unwrap())).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    BASE64_URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The claims of a token whose signature one of the keys has made.
#[track_caller]
fn verified(keys: &[Value], token: &str) -> Value {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let header = part(token, 0);
    let key = keys.iter().find(|key| key["kid"] == header["kid"]).expect("the key is published");
    assert_eq!((&key["alg"], &key["use"]), (&header["alg"], &json!("sig")));
    let number = |name: &str| bytes(key[name].as_str().unwrap());
    let public = match header["alg"].as_str().unwrap() {
        "ES256" => UnparsedPublicKey::new(
            &ECDSA_P256_SHA256_FIXED as &dyn ring::signature::VerificationAlgorithm,
            [vec![4], number("x"), number("y")].concat(),
        ),
        "EdDSA" => UnparsedPublicKey::new(&ED25519 as _, number("x")),
        other => panic!("{other}"),
    };
    public.verify(message.as_bytes(), &bytes(signature)).expect("the signature is right");
    part(token, 1)
}

#[test]
fn an_assertion_states_who_the_caller_is_and_what_the_credential_may() {
    let server = server();
    let id = server.id_of("ann").to_string();
    let key = server.key("ann", &["files / index", "media / *", "assertions / create"]);
    let own = "files/index media/* assertions/create";
    let published = keys(&server);

    for (client, audience, name, scope, groups) in [
        (&key, "files", "ann", own, json!([])),
        (&key, "https://media.example", "ann", own, json!([])),
        (&server.user("ann"), "files", "ann", "*/*", json!([])),
        (&server.session("ann"), "files", "ann", "*/*", json!([])),
        (&server.admin(), "files", "admin", "*/*", json!(["admin"])),
        (&server.key("admin", &["* / *"]), "files", "admin", "*/*", json!(["admin"])),
    ] {
        let tokens = [proxied(client, &format!("scope=any&aud={audience}")), created(client, audience)];
        for token in tokens {
            assert_eq!(part(&token, 0)["typ"], "lodge-assertion+jwt");
            let claims = verified(&published, &token);
            let issued = claims["iat"].as_u64().unwrap();
            let sub = if name == "ann" { id.as_str() } else { "1" };
            let expected = json!({"iss": "lodge", "sub": sub, "preferred_username": name, "groups": groups, "scope": scope,
                "aud": audience, "iat": issued, "exp": issued + 60, "jti": claims["jti"]});
            assert_eq!(claims, expected);
        }
    }
    // A service may take the group for all rights.
    let restricted = proxied(&server.key("admin", &["files / index"]), "scope=any&aud=files");
    assert_eq!(verified(&published, &restricted)["groups"], json!([]));
}

#[test]
fn each_assertion_has_an_id_of_its_own() {
    let server = server();
    let admin = server.admin();

    let ids: BTreeSet<_> = (0..20).map(|_| part(&created(&admin, "files"), 1)["jti"].to_string()).collect();

    assert_eq!(ids.len(), 20);
}

#[test]
fn without_an_audience_or_with_one_that_is_none_a_proxy_gets_no_assertion_and_its_request_is_admitted() {
    let server = server();
    let key = server.key("ann", &["files / index"]);

    for query in [
        "",
        "&aud=",
        "&aud=Files",
        "&aud=files%20",
        "&aud=media",
        "&aud=https://media.example/",
        "&aud=files,https://media.example",
        "&aud=files&aud=files",
        "&aud=files&aud=https://media.example",
    ] {
        assert_eq!(proxied(&key, &format!("scope=files/index{query}")), "", "{query}");
    }
    server.wait_for_log("WARN  lodge::api::assertions forward authentication adds no assertion: the proxy's query");
    let warnings = server.whole_log().matches("adds no assertion").count();
    assert_eq!(warnings, 1, "once an hour");
}

#[test]
fn nothing_is_asserted_of_a_caller_who_is_refused() {
    let server = server();
    let key = server.key("ann", &["files / show"]);

    for (client, query) in [
        (&key, "scope=files/index"),
        (&key, "scope=any&role=administrator"),
        (&server.anonymous(), "scope=any"),
        (&server.admin(), "scope="),
    ] {
        let reply = client.get(&format!("/forward-auth?{query}&aud=files"));
        assert!([401, 403].contains(&reply.status), "{query}: {reply:?}");
        assert_eq!(reply.header("X-Lodge-Assertion"), None, "{query}");
    }
}

#[test]
fn a_caller_names_one_audience_that_there_is() {
    let server = server();
    let admin = server.admin();

    for query in
        ["", "?aud=", "?aud=media", "?aud=files&aud=files", "?aud=files&audience=x", "?aud=files&scope=files/index"]
    {
        let reply = admin.post(&format!("/assertions{query}"), &json!({})).expect(400);
        assert!(reply.json()["error"].is_string(), "{query}");
    }
    let body = admin.post("/assertions?aud=https://media.example", &json!({})).expect(201).json();
    assert_eq!(body["audience"], "https://media.example");
}

#[test]
fn a_key_needs_a_scope_to_ask_for_an_assertion_itself() {
    let server = server();

    let lacking = server.key("ann", &["files / *"]).post("/assertions?aud=files", &json!({})).expect(403);

    assert_eq!(lacking.json()["error"], "This API key lacks the scope assertions / create.");
    server.local().post("/assertions?aud=files", &json!({})).expect(403);
}

#[test]
fn a_key_that_is_bound_to_networks_is_asserted_where_it_may_be_used() {
    let server =
        ServerBuilder::new().flag("--assertion-audience", "files").flag("--trusted-proxy", "127.0.0.0/8").start();
    let body = json!({"api_key_scopes": scopes(&["files / index"]), "allowed_networks": ["192.0.2.0/24"]});
    let bound = Key::from_body(&server.user("ann"), &body).client;
    let from = |address: &str| {
        bound.send(&Request::new("GET", "/forward-auth?scope=any&aud=files").header("X-Forwarded-For", address))
    };

    assert!(!from("192.0.2.7").expect(200).header("X-Lodge-Assertion").unwrap().is_empty());
    assert_eq!(from("198.51.100.7").expect(403).header("X-Lodge-Assertion"), None);
}

#[test]
fn an_assertion_leaves_nothing_in_the_audit_log() {
    let server = server();
    let admin = server.admin();
    let before = entries(&server).len();

    created(&admin, "files");
    proxied(&admin, "scope=any&aud=files");

    assert_eq!(entries(&server).len(), before);
}
