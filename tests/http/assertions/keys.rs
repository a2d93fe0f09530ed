//! The keys that assertions are checked with.

use std::fs;

use serde_json::json;

use super::{JWKS, builder, created, jwks, keys, proxied, server, verified};
use crate::{
    harness::{Request, Server, run},
    http::audit::entries,
};

#[test]
fn the_public_keys_may_be_kept_for_five_minutes() {
    let server = server();

    let reply = jwks(&server).expect(200);

    assert_eq!(reply.all_headers("cache-control"), ["public, max-age=300"]);
    assert_eq!(reply.all_headers("content-security-policy"), ["default-src 'none'; frame-ancestors 'none'"]);
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let keys = reply.json()["keys"].clone();
    let members: Vec<_> = keys[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["kty", "crv", "x", "y", "use", "alg", "kid"], "nothing of the private key");
    assert_eq!((keys.as_array().unwrap().len(), &keys[0]["alg"]), (1, &json!("ES256")));
    let send = |method: &str| server.anonymous().send(&Request::whole(method, JWKS));
    assert_eq!(send("HEAD").expect(200).body, b"");
    assert_eq!(send("POST").expect(405).header("allow"), Some("GET, HEAD, OPTIONS"));
    send("OPTIONS").expect(204);
}

#[test]
fn without_an_audience_there_are_no_keys_and_no_assertions() {
    let server = Server::start();

    for method in ["GET", "HEAD", "POST", "OPTIONS"] {
        server.anonymous().send(&Request::whole(method, JWKS)).expect(404);
    }
    assert_eq!(proxied(&server.admin(), "scope=any&aud=files"), "");
    server.admin().post("/assertions?aud=files", &json!({})).expect(400);
    assert!(!entries(&server).iter().any(|entry| entry["action"] == "assertion_keys / rotate"));
}

#[test]
fn the_keys_are_below_the_base_path() {
    let server = builder().flag("--base-path", "/accounts").start_unasked();
    let get = |path: &str| server.anonymous().try_send(&Request::whole("GET", path)).unwrap();

    assert_eq!(get(&format!("/accounts{JWKS}")).expect(200).json()["keys"].as_array().unwrap().len(), 1);
    get(JWKS).expect(404);
}

#[test]
fn an_issuer_and_an_algorithm_are_settings() {
    let server =
        builder().flag("--assertion-algorithm", "EdDSA").flag("--assertion-issuer", "https://lodge.example").start();
    let published = keys(&server);
    let members: Vec<_> = published[0].as_object().unwrap().keys().cloned().collect();
    assert_eq!(members, ["kty", "crv", "x", "use", "alg", "kid"]);

    let claims = verified(&published, &created(&server.admin(), "files"));

    assert_eq!((&claims["iss"], &published[0]["crv"]), (&json!("https://lodge.example"), &json!("Ed25519")));
}

#[test]
fn a_key_is_recorded_once_and_outlives_a_restart() {
    let mut server = server();
    let published = keys(&server);
    let token = created(&server.admin(), "files");

    server.restart();

    assert_eq!(keys(&server), published);
    verified(&keys(&server), &token);
    let entries = entries(&server);
    let made: Vec<_> = entries.iter().filter(|entry| entry["action"] == "assertion_keys / rotate").collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(made[0]["details"], json!([format!("signing = {}", published[0]["kid"].as_str().unwrap())]));
    assert_eq!((&made[0]["credential"], &made[0]["result"]), (&json!("server"), &json!("done")));
}

#[test]
fn a_new_secret_makes_a_new_key_and_the_old_one_is_gone() {
    let mut server = server();
    let before = keys(&server);
    assert!(server.stop().success());
    run(&mut server.command(&["secret", "rotate", "--keep-keys", "--yes"])).expect(0);

    server.start_again();

    let after = keys(&server);
    assert_eq!(after.len(), 1);
    assert_ne!(after[0]["kid"], before[0]["kid"]);
    verified(&after, &created(&server.admin(), "files"));
    assert!(!server.log().contains("under another secret"), "{}", server.log());
}

#[test]
fn keys_that_were_sealed_under_another_secret_are_replaced_and_the_start_succeeds() {
    let mut server = server();
    let before = keys(&server);
    assert!(server.stop().success());
    fs::write(server.data_dir().join("secret"), [9; 32]).unwrap();

    server.start_again();

    let after = keys(&server);
    assert_ne!(after[0]["kid"], before[0]["kid"]);
    verified(&after, &created(&server.admin(), "files"));
    server.wait_for_log("keys of assertions were made under another secret and are replaced");
}

#[test]
fn a_restored_store_makes_keys_of_its_own() {
    let mut server = server();
    let before = keys(&server);
    let backup = server.directory().join("accounts.backup");
    let backup = backup.to_str().unwrap();
    run(&mut server.command(&["backup", backup, "--with-secret"])).expect(0);
    assert!(server.stop().success());
    run(&mut server.command(&["restore", backup])).expect(0);

    server.start_again();

    let after = keys(&server);
    assert_eq!(after.len(), 1);
    assert_ne!(after[0]["kid"], before[0]["kid"]);
    run(&mut server.command(&["verify"])).expect(0);
}
