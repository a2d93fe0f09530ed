//! What every answer has, and what none has.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Client, Reply, Request, Server};

/// Requests of every kind of outcome, each with its status.
fn outcomes() -> Vec<(u16, Request)> {
    let post = |path: &str, body: Value| Request::new("POST", path).json(&body);
    let configurations = "/users/me/configurations";
    vec![
        (200, Request::new("GET", "/users/me")),
        (200, Request::new("GET", "/openapi.json")),
        (200, Request::whole("GET", "/openapi.json")),
        (200, Request::whole("GET", "/healthz")),
        (200, Request::whole("GET", "/readyz")),
        (200, Request::new("HEAD", "/users")),
        (201, post(configurations, json!({"key": "theme"}))),
        (201, post("/users/sign_in", json!({"user": {"username": "ann", "password": "ann lives here"}}))),
        (204, Request::new("DELETE", "/users/me/configurations/theme")),
        (204, Request::new("OPTIONS", "/users")),
        (400, post(configurations, json!([]))),
        (400, Request::new("POST", configurations).json_bytes(b"{\"key\": \xff}")),
        (400, Request::new("GET", "/users?limit=-1")),
        (401, Request::new("GET", "/users/me").header("Authorization", "Basic x")),
        (401, post("/users/sign_in", json!({"user": {"username": "ann", "password": "wrong"}}))),
        (404, Request::new("GET", "/users/99")),
        (404, Request::new("GET", "/users/%ff")),
        (404, Request::new("GET", "/users/me/configurations/%zz")),
        (404, Request::new("GET", "/nowhere")),
        (404, Request::whole("GET", "/etc/passwd")),
        (405, Request::new("PUT", "/users/me")),
        (405, Request::whole("POST", "/healthz")),
        (413, Request::new("POST", configurations).json_bytes(vec![b' '; (512 << 10) + 1])),
        (414, Request::new("GET", &format!("/users?{}", "x".repeat(9000)))),
        (415, Request::new("POST", configurations).body("key=a")),
        (422, post(configurations, json!({"key": {"a": ["b"]}, "value": 7}))),
        (422, post("/users", json!({"username": "ann", "user_id": 1e300, "api_key_scopes": "x"}))),
        (431, Request::new("GET", "/users/me").header("X-Long", "x".repeat(17 << 10))),
    ]
}

/// The answers to all of them, to the administrator but for the one that has a credential of its own.
fn answers(server: &Server) -> Vec<(String, Reply)> {
    server.user("ann");
    let answer = |(status, request): (u16, Request)| {
        let has_own = request.headers.iter().any(|(name, _)| name == "Authorization");
        let client = if has_own { server.anonymous() } else { server.admin() };
        let reply = client.try_send(&request).unwrap();
        let exchange = format!("{} {:.40}: {} {}", request.method, request.path, reply.status, reply.text());
        assert_eq!(reply.status, status, "{exchange}");
        (exchange, reply)
    };
    outcomes().into_iter().map(answer).collect()
}

#[test]
fn every_answer_forbids_caching_sniffing_and_embedding() {
    let server = Server::start();

    for (exchange, reply) in answers(&server) {
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "default-src 'none'; frame-ancestors 'none'"),
            ("referrer-policy", "no-referrer"),
        ] {
            assert_eq!(reply.all_headers(name), [value], "{exchange}");
        }
    }
}

#[test]
fn no_response_names_its_server_or_opens_it_to_other_origins() {
    let server = Server::start();
    let forbidden = ["server", "x-powered-by", "via", "strict-transport-security", "set-cookie"];

    for (exchange, reply) in answers(&server) {
        for (name, _) in &reply.headers {
            let name = name.to_ascii_lowercase();
            assert!(!forbidden.contains(&name.as_str()) && !name.starts_with("access-control-"), "{name}: {exchange}");
        }
    }
}

#[test]
fn no_origin_is_allowed_by_a_request_or_a_preflight() {
    let server = Server::start();
    let asked = Request::new("OPTIONS", "/users/me").header("Access-Control-Request-Method", "GET");
    let asked = asked.header("Access-Control-Request-Headers", "authorization");

    for origin in ["https://evil.example", "null", "http://127.0.0.1", "http://localhost:3000", "*", ""] {
        for request in [asked.clone(), Request::new("GET", "/users/me"), Request::new("GET", "/users")] {
            let reply = server.admin().send(&request.header("Origin", origin));

            let exchange = format!("{reply:?}").to_ascii_lowercase();
            assert!(!exchange.contains("access-control") && !exchange.contains("evil"), "{origin}: {exchange}");
        }
    }
}

#[test]
fn every_answer_with_a_body_is_json_and_every_error_one_sentence() {
    let server = Server::start();

    for (exchange, reply) in answers(&server).into_iter().filter(|(_, reply)| !reply.body.is_empty()) {
        assert_eq!(reply.all_headers("content-type"), ["application/json"], "{exchange}");
        let body = reply.json();
        if reply.status >= 400 && reply.status != 422 {
            let members: Vec<_> = body.as_object().unwrap().keys().collect();
            assert_eq!(members, ["error"], "{exchange}");
            let sentence = body["error"].as_str().unwrap();
            assert!(sentence.ends_with('.') && sentence.starts_with(|first: char| first.is_uppercase()), "{exchange}");
        }
    }
}

#[test]
fn no_error_discloses_the_implementation_or_a_path() {
    let server = Server::start();
    let directory = server.directory().to_str().unwrap().to_owned();
    let inner = [
        &directory,
        "/src/",
        "/root",
        "/home",
        "/etc",
        "target/",
        ".rs",
        "::",
        "panic",
        "backtrace",
        "thread '",
        "serde",
        "actix",
        "sled",
        "tokio",
        "lodge::",
        "Result",
        "Option",
        "Err(",
        "expected",
        "line 1",
        "column",
        "tree",
        "errno",
        "scrypt",
        "utf8",
    ];

    for (exchange, reply) in answers(&server).into_iter().filter(|(_, reply)| reply.status >= 400) {
        for word in inner {
            assert!(!reply.text().contains(word), "{word}: {exchange}");
        }
    }
}

#[test]
fn every_answer_has_an_id_of_its_own_that_its_log_line_has_too() {
    let server = Server::start();

    let answers = answers(&server);

    let log = server.whole_log();
    let ids: BTreeSet<_> = answers.iter().map(|(_, reply)| reply.header("x-request-id").unwrap()).collect();
    assert_eq!(ids.len(), answers.len());
    for (exchange, reply) in &answers {
        assert_eq!(reply.all_headers("x-request-id").len(), 1, "{exchange}");
        let id = reply.header("x-request-id").unwrap();
        assert!(uuid::Uuid::try_parse(id).is_ok(), "{exchange}");
        let lines: Vec<_> = log.lines().filter(|line| line.contains(id)).collect();
        let [line] = lines[..] else { panic!("{exchange}: {lines:?}") };
        assert!(line.contains(&format!(" status={} ", reply.status)), "{exchange}: {line}");
    }
}

#[test]
fn the_id_of_a_request_is_not_the_clients_to_choose() {
    let server = Server::start();
    let chosen = "11111111-2222-4333-8444-555555555555";

    let reply = server.admin().send(&Request::new("GET", "/users/me").header("X-Request-Id", chosen)).expect(200);

    assert_ne!(reply.header("x-request-id"), Some(chosen));
    assert!(!server.whole_log().contains(chosen));
}

#[test]
fn a_log_line_names_the_caller_and_the_request_by_ids_and_route() {
    let server = Server::start();
    let ann = server.id_of("ann");
    let key = server.key("ann", &["configurations / show"]);
    let line_of = |client: &Client, path: &str| {
        let reply = client.get(path);
        let id = reply.header("x-request-id").unwrap().to_owned();
        server.whole_log().lines().find(|line| line.contains(&id)).unwrap().to_owned()
    };

    let by_key = line_of(&key, "/users/me/configurations/some%20key?x=y");
    let by_nobody = line_of(&server.anonymous(), "/users/me");
    let nowhere = line_of(&server.admin(), "/nowhere");

    assert!(by_key.contains(" route=/api/v2/users/me/configurations/{configuration_id} status=404 "), "{by_key}");
    assert!(by_key.ends_with(&format!(" user_id={ann} api_key_id=1")), "{by_key}");
    assert!(by_nobody.contains(" method=GET route=/api/v2/users/me status=401 "), "{by_nobody}");
    assert!(by_nobody.ends_with(" user_id=- api_key_id=-"), "{by_nobody}");
    assert!(nowhere.contains(" route=- status=404 "), "{nowhere}");
}
