//! An assertion is no credential for Lodge, and nothing that looks like one is.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::hmac;
use serde_json::{Value, json};

use super::{bytes, created, keys, part, server};
use crate::{
    harness::{Request, Server},
    http::tokens::claims_of,
};

#[track_caller]
fn assert_refused(server: &Server, what: &str, token: &str) {
    for (name, value) in [
        ("Authorization", format!("Bearer {token}")),
        ("Authorization", token.to_owned()),
        ("X-Lodge-Key", format!("Bearer {token}")),
        ("Proxy-Authorization", format!("Bearer {token}")),
    ] {
        for path in ["/users/me", "/forward-auth?scope=any"] {
            let reply = server.anonymous().send(&Request::new("GET", path).header(name, &value));
            assert_eq!(reply.status, 401, "{what}: {name} at {path}: {token}");
        }
    }
    let asked = Request::new("POST", "/assertions?aud=files").header("Authorization", format!("Bearer {token}"));
    assert_eq!(server.anonymous().send(&asked).status, 401, "{what}");
    let alone = Request::new("GET", "/forward-auth?scope=any&aud=files").header("X-Lodge-Assertion", token);
    assert_eq!(server.anonymous().send(&alone).status, 401, "{what}");
    let introspected = Request::new("POST", "/introspect").form(&[("token", token)]);
    assert_eq!(server.admin().send(&introspected).expect(200).json(), json!({"active": false}), "{what}");
}

fn unsigned(header: &Value, claims: &Value) -> String {
    let [header, claims] = [header, claims].map(|part| BASE64_URL_SAFE_NO_PAD.encode(part.to_string()));
    format!("{header}.{claims}")
}

fn signed_with(secret: &[u8], header: &Value, claims: &Value) -> String {
    let message = unsigned(header, claims);
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
    format!("{message}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[test]
fn an_assertion_is_no_credential_for_lodge() {
    let server = server();
    let token = created(&server.session("ann"), "files");
    assert_refused(&server, "as it is", &token);

    // With the claims of a session that is good.
    let mut claims = claims_of(&server.sign_in("ann"));
    claims["aud"] = json!("files");
    let header = part(&token, 0);
    let signature = token.rsplit('.').next().unwrap();
    assert_refused(&server, "with a session's claims", &format!("{}.{signature}", unsigned(&header, &claims)));
    for algorithm in ["none", "None", "NONE"] {
        let header = json!({"alg": algorithm, "typ": "lodge-assertion+jwt", "kid": header["kid"]});
        assert_refused(&server, algorithm, &format!("{}.", unsigned(&header, &claims)));
        assert_refused(&server, algorithm, &format!("{}.{signature}", unsigned(&header, &claims)));
    }
}

#[test]
fn the_public_key_is_no_key_for_hs256() {
    let server = server();
    let key = keys(&server).remove(0);
    let [x, y] = ["x", "y"].map(|name| bytes(key[name].as_str().unwrap()));
    let claims = claims_of(&server.sign_in("ann"));
    let point = [&[4], x.as_slice(), &y].concat();
    let texts = [key.to_string().into_bytes(), key["x"].as_str().unwrap().as_bytes().to_vec()];

    for secret in [point, [x.clone(), y].concat(), x, Vec::new()].into_iter().chain(texts) {
        for header in [json!({"alg": "HS256", "typ": "JWT"}), json!({"alg": "HS256", "kid": key["kid"], "jwk": key})] {
            assert_refused(&server, "HS256", &signed_with(&secret, &header, &claims));
        }
    }
}
