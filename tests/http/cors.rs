//! Pages of other origins that are let in.

use lodge::api::operations::{Answers, public_operations};
use serde_json::json;

use crate::harness::{Reply, Request, Server, ServerBuilder};

const PAGE: &str = "https://console.example.org";
const OTHER: &str = "http://[::1]:8080";

fn server() -> Server {
    ServerBuilder::new().flag("--cors-origin", &format!("{PAGE}, {OTHER}")).start()
}

/// The headers that speak to browsers of origins, with their values.
fn spoken(reply: &Reply) -> Vec<(String, String)> {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    let mut spoken: Vec<_> =
        headers.filter(|(name, _)| name.starts_with("access-control-") || name == "vary").collect();
    spoken.sort();
    spoken
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Requests of many outcomes, refusals among them.
fn requests() -> Vec<Request> {
    let sign_in = json!({"user": {"username": "admin", "password": "the keys to the house"}});
    vec![
        Request::new("GET", "/users/me"),
        Request::new("HEAD", "/users"),
        Request::whole("GET", "/healthz"),
        Request::whole("GET", "/openapi.json"),
        Request::new("POST", "/users/sign_in").json(&sign_in),
        Request::new("POST", "/users/sign_in").json(&json!({})),
        Request::new("GET", "/users/me").header("Authorization", "Basic x"),
        Request::new("GET", "/users/99"),
        Request::new("PATCH", "/users"),
        Request::new("POST", "/users").json(&json!({})),
        Request::new("POST", "/users").json_bytes("{"),
        Request::new("GET", &format!("/users?{}", "x".repeat(9000))),
        Request::new("OPTIONS", "/users"),
        Request::whole("GET", "/nowhere"),
    ]
}

#[test]
fn a_page_of_a_named_origin_may_read_every_answer_and_its_headers() {
    let server = server();

    for origin in [PAGE, OTHER] {
        for request in requests() {
            let reply = server.admin().try_send(&request.clone().header("Origin", origin)).unwrap();

            let expected = pairs(&[
                ("access-control-allow-origin", origin),
                ("access-control-expose-headers", "Authorization, Retry-After, X-Request-Id"),
                ("vary", "Origin"),
            ]);
            assert_eq!(spoken(&reply), expected, "{request:?}: {reply:?}");
        }
    }
}

#[test]
fn a_browser_that_asks_first_learns_the_methods_of_the_path_and_the_headers_it_may_send() {
    let server = server();

    for operation in public_operations().filter(|operation| operation.answers == Answers::Exactly) {
        let segments = operation.path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
        let request = Request::new("OPTIONS", &segments.collect::<Vec<_>>().join("/"));
        let request = request.header("Access-Control-Request-Method", operation.method.as_str());
        let request = request.header("Access-Control-Request-Headers", "authorization,content-type");

        let reply = server.anonymous().send(&request.header("Origin", PAGE)).expect(204);

        let methods = reply.header("allow").unwrap();
        assert!(methods.split(", ").any(|method| operation.method == method), "{reply:?}");
        let expected = pairs(&[
            ("access-control-allow-headers", "Authorization, Content-Type, User-Agent, X-Requested-With"),
            ("access-control-allow-methods", methods),
            ("access-control-allow-origin", PAGE),
            ("access-control-max-age", "600"),
            ("vary", "Origin"),
        ]);
        assert_eq!(spoken(&reply), expected, "{}", operation.id);
    }
}

#[test]
fn no_other_origin_is_allowed() {
    let server = server();
    let asked = Request::new("OPTIONS", "/users/me").header("Access-Control-Request-Method", "GET");

    for origin in [
        "null",
        "*",
        "",
        "https://console.example.org/",
        "https://console.example.org:443",
        "https://console.example.org.evil.example",
        "https://evil.example?https://console.example.org",
        "http://console.example.org",
        "https://CONSOLE.example.org",
        "https://sub.console.example.org",
        "https://console.example.org, http://[::1]:8080",
    ] {
        for request in requests().into_iter().chain([asked.clone()]) {
            let reply = server.admin().try_send(&request.clone().header("Origin", origin)).unwrap();

            assert_eq!(spoken(&reply), pairs(&[("vary", "Origin")]), "{origin}: {request:?}");
        }
    }
    let twice = Request::new("GET", "/users/me").header("Origin", PAGE).header("Origin", OTHER);
    assert_eq!(spoken(&server.admin().send(&twice)), pairs(&[("vary", "Origin")]));
    assert_eq!(spoken(&server.admin().get("/users/me")), pairs(&[("vary", "Origin")]));
}

#[test]
fn credentials_that_a_browser_adds_by_itself_are_never_allowed() {
    let server = server();

    for request in requests() {
        let reply = server.admin().try_send(&request.header("Origin", PAGE).header("Cookie", "a=b")).unwrap();

        assert_eq!(reply.header("access-control-allow-credentials"), None);
    }
}
