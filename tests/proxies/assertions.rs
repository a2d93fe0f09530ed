//! The assertion of the caller reaches the service, and no other one does.

use serde_json::json;

use super::{key_with, program::Proxy};
use crate::harness::{Server, ServerBuilder};

const AUDIENCE: &str = "https://files.example:8443/a";
/// What a client sends in the place of Lodge's.
const CLAIM: &str = "X-Lodge-Assertion: a.b.c\r\n";

fn server() -> Server {
    let builder = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8");
    builder.flag("--assertion-audience", AUDIENCE).start()
}

/// A key's value whose assertion is about as long as a header may be.
fn long_key(server: &Server) -> String {
    let index = json!({"controller": "files", "action": "index"});
    let scopes = (0..95).map(|number| json!({"controller": format!("controller_{number:03}"), "action": "index"}));
    let scopes: Vec<_> = scopes.chain([index]).collect();
    let body = json!({"api_key_scopes": scopes});
    server.user("ann").post("/users/me/api_keys", &body).expect(201).json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn the_service_gets_lodges_assertion_and_never_the_clients() {
    let server = server();
    let short = key_with(&server, "files / index", json!({})).authorization.unwrap();
    let long = long_key(&server);
    let proxies = Proxy::start_all_with("the_service_gets_lodges_assertion", &server, &["--audience", AUDIENCE]);

    for proxy in &proxies {
        for key in [&short, &long] {
            for claim in ["", CLAIM, &CLAIM.repeat(2)] {
                let answer = proxy.send(&format!("GET /files/a HTTP/1.1\r\nX-Lodge-Key: {key}\r\n{claim}"), "");
                assert_eq!(answer.status, 200, "{}: {answer:?}\n{}", proxy.name, proxy.log());
                let received = proxy.received();
                let assertion = received.read_loosely("X-Lodge-Assertion");
                assert_eq!(
                    (assertion.split('.').count(), assertion.get(..3)),
                    (3, Some("eyJ")),
                    "{}: {received:?}",
                    proxy.name
                );
            }
        }
        for claim in
            ["X_Lodge_Assertion: a.b.c\r\n", "Connection: close, X-Lodge-Assertion\r\nX-Lodge-Assertion: a.b.c\r\n"]
        {
            let answer = proxy.send(&format!("GET /files/a HTTP/1.1\r\nX-Lodge-Key: {short}\r\n{claim}"), "");
            assert!([200, 400].contains(&answer.status), "{}: {answer:?}", proxy.name);
            for received in proxy.service.take() {
                assert_ne!(received.read_loosely("X-Lodge-Assertion"), "a.b.c", "{}: {received:?}", proxy.name);
            }
        }
    }
}

#[test]
fn without_an_audience_the_service_gets_none() {
    let server = server();
    let key = key_with(&server, "files / index", json!({})).authorization.unwrap();
    let proxies = Proxy::start_all("without_an_audience", &server);

    for proxy in &proxies {
        let answer = proxy.send(&format!("GET /files/a HTTP/1.1\r\nX-Lodge-Key: {key}\r\n{CLAIM}"), "");
        assert_eq!(answer.status, 200, "{}: {answer:?}\n{}", proxy.name, proxy.log());
        assert_eq!(proxy.received().read_loosely("X-Lodge-Assertion"), "", "{}", proxy.name);
    }
}
