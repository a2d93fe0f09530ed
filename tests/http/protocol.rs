//! Methods, paths, heads of requests and of answers.

use std::collections::BTreeSet;

use lodge::api::operations::{Answers, Operation, PREFIX, public_operations};
use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Client, Reply, Request, Server, basic, exchange_raw},
    http::conversation::{Conversation, ask_raw},
};

const DOCUMENTS: [&str; 4] = ["/healthz", "/readyz", "/openapi.json", "/api/v2/openapi.json"];

/// The administrator, with a configuration and an API key of its own, each with the id 1.
fn furnished(server: &Server) -> Client {
    let admin = server.admin();
    admin.post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);
    admin.post("/users/me/api_keys", &json!({"name": "backup"})).expect(201);
    admin
}

/// The path with the id 1 in the place of its parameter.
fn concrete(path: &str) -> String {
    let segments = path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
    PREFIX.to_owned() + &segments.collect::<Vec<_>>().join("/")
}

/// The operations that have one method and one path.
fn exact_operations() -> impl Iterator<Item = &'static Operation> {
    public_operations().filter(|operation| operation.answers == Answers::Exactly)
}

/// Every path that there is, but for those that have every method, with the methods that it has.
fn paths() -> Vec<(String, BTreeSet<String>)> {
    let templates: BTreeSet<_> = exact_operations().map(|operation| operation.path).collect();
    let of_operations = templates.into_iter().map(|path| {
        let operations = exact_operations().filter(|operation| operation.path == path);
        (concrete(path), operations.map(|operation| operation.method.to_string()).collect::<BTreeSet<_>>())
    });
    let of_documents = DOCUMENTS.map(|path| (path.to_owned(), BTreeSet::from(["GET".to_owned()])));
    of_operations.chain(of_documents).collect()
}

/// The methods in the `Allow` header of a path that has these ones.
fn allowed(methods: &BTreeSet<String>) -> BTreeSet<String> {
    let head = methods.contains("GET").then(|| "HEAD".to_owned());
    methods.iter().cloned().chain(head).chain(["OPTIONS".to_owned()]).collect()
}

fn allow(reply: &Reply) -> BTreeSet<String> {
    assert_eq!(reply.all_headers("allow").len(), 1, "{reply:?}");
    reply.header("allow").unwrap().split(',').map(|method| method.trim().to_owned()).collect()
}

/// The headers of an answer without those that differ from one answer to the next.
fn steady_headers(reply: &Reply) -> BTreeSet<(String, String)> {
    let headers = reply.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone()));
    headers.filter(|(name, _)| name != "x-request-id" && name != "date").collect()
}

/// A request of the administrator for the current user, with these further header lines.
fn me_with(lines: &str) -> String {
    let authorization = basic("admin", ADMIN_PASSWORD);
    format!("GET /api/v2/users/me HTTP/1.1\r\nAuthorization: {authorization}\r\n{lines}\r\n")
}

#[test]
fn head_answers_as_get_does_but_without_the_body() {
    let server = Server::start();
    let admin = furnished(&server);
    let readable = paths().into_iter().filter(|(_, methods)| methods.contains("GET"));

    for (path, _) in readable {
        for client in [&admin, &server.anonymous()] {
            let get = client.send(&Request::whole("GET", &path));
            let head = client.send(&Request::whole("HEAD", &path));

            let mut headers = steady_headers(&get);
            if is_list(&get) || (get.status == 200 && path.ends_with("/metrics")) {
                // It is not made for its length, or has another one each time.
                headers.retain(|(name, _)| name != "content-length");
            }
            assert_eq!(head.status, get.status, "{path}");
            assert_eq!(steady_headers(&head), headers, "{path}");
            assert_eq!(head.text(), "", "{path}");
        }
    }
}

fn is_list(reply: &Reply) -> bool {
    reply.status == 200 && serde_json::from_str(&reply.text()).is_ok_and(|body: Value| body["count"].is_u64())
}

#[test]
fn head_is_an_unknown_method_where_get_is_none() {
    let server = Server::start();

    let reply = server.anonymous().send(&Request::new("HEAD", "/users/sign_in")).expect(405);

    assert_eq!(allow(&reply), BTreeSet::from(["OPTIONS".to_owned(), "POST".to_owned()]));
}

#[test]
fn options_lists_the_methods_of_a_path_and_nothing_else() {
    let server = Server::start();
    let admin = furnished(&server);

    for (path, methods) in paths() {
        for client in [&admin, &server.anonymous()] {
            let reply = client.send(&Request::whole("OPTIONS", &path)).expect(204);

            assert_eq!(allow(&reply), allowed(&methods), "{path}");
            assert_eq!(reply.text(), "", "{path}");
        }
    }
}

#[test]
fn a_method_that_a_path_does_not_have_is_refused_with_those_that_it_has() {
    let server = Server::start();
    let admin = furnished(&server);
    let long = "X".repeat(100);
    let methods = ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE", "PROPFIND", &long];

    for (path, known) in paths() {
        for method in methods.iter().filter(|method| !known.contains(**method)) {
            for client in [&admin, &server.anonymous()] {
                let reply = client.send(&Request::whole(method, &path)).expect(405);

                assert_eq!(allow(&reply), allowed(&known), "{method} {path}");
                assert_eq!(
                    reply.json(),
                    json!({"error": "This path does not support this method."}),
                    "{method} {path}"
                );
            }
        }
    }
}

#[test]
fn methods_are_case_sensitive() {
    let server = Server::start();

    for method in ["get", "Get", "hEAD", "options"] {
        assert_eq!(server.admin().try_send(&Request::new(method, "/users/me")).unwrap().status, 405, "{method}");
    }
}

#[test]
fn a_tunnel_is_refused() {
    let server = Server::start();

    for target in ["/api/v2/users", "/healthz", "127.0.0.1:22", "example.com:443"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");

        let reply = ask_raw(server.address, request);

        assert_eq!((reply.status, reply.json()["error"].is_string()), (501, true), "{target}");
    }
}

#[test]
fn a_path_is_found_as_it_is_written_or_not_at_all_and_nobody_learns_more() {
    let server = Server::start();
    let clients = [server.anonymous(), furnished(&server), server.user("ann"), server.with("Bearer of.bad.news")];
    let strange = [
        "//",
        "/api",
        "/api/v2",
        "/api/v2/",
        "/api/v1/users",
        "/api/v2users",
        "//api/v2/users",
        "/api//v2/users",
        "/api/v2//users",
        "/api/v2/users/",
        "/api/v2/users//me",
        "/api/v2/users/me/",
        "/api/v2/users/1/2",
        "/api/v2/users/me/api_keys/",
        "/api/v2/users/me/api_keys//",
        "/api/v2/users/me/configurations/",
        "/api/v2/users/me/configurations/1/",
        "/api/v2/users/-/systems/",
        "/api/v2/users/%2d/systems",
        "/api/v2/users/%6de/api_keys",
        "/api/v2/groups",
        "/api/v2/./users",
        "/api/v2/x/../users",
        "/api/v2/users/1/../me/api_keys",
        "/api/v2/%2e%2e/v2/users",
        "/api/v2/%2e/users",
        "/api/v2/%75sers",
        "/api%2fv2/users",
        "/api/v2%2fusers",
        "/%61pi/v2/users",
        "/API/V2/users",
        "/api/v2/Users",
        "/api/v2/users;a=b",
        "/api/v2/users;",
        "/api/v2/users%00",
        "/api/v2/users%20",
        "/api/v2/users%3f",
        "/api/v2/users.json",
        "/api/v2/users&limit=1",
        "/healthz/",
        "/healthz/x",
        "/Healthz",
        "/readyz%20",
        "/openapi.json/",
        "/openapi.yaml",
        "/api/v2/openapi%2ejson",
        "/api/v2/healthz",
        "/favicon.ico",
    ];

    for path in strange {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            for client in &clients {
                let reply = client.send(&Request::whole(method, path)).expect(404);

                let body = if method == "HEAD" { "" } else { r#"{"error":"Not found."}"# };
                assert_eq!(reply.text(), body, "{method} {path}");
                assert_eq!(reply.header("www-authenticate"), None, "{method} {path}");
            }
        }
    }
}

#[test]
fn an_escaped_me_is_never_the_current_user() {
    let server = Server::start();
    let admin = server.admin();

    for path in ["/users/%6de", "/users/m%65", "/users/%6D%65", "/users/%256de", "/users/ME", "/users/me%00"] {
        admin.get(path).expect(404);
        admin.put(path, &json!({"email": "a@example.com"})).expect(404);
        admin.delete(path).expect(404);
        server.anonymous().get(path).expect(401);
    }
    admin.get("/users/me").expect(200);
}

#[test]
fn a_request_that_names_its_host_not_exactly_once_is_refused_and_the_name_is_never_repeated() {
    let server = Server::start();

    for lines in ["", "Host: evil.example\r\nHost: evil.example\r\n", "Host: evil.example\r\nhost: 127.0.0.1\r\n"] {
        let reply = ask_raw(server.address, me_with(lines));

        assert_eq!(reply.status, 400, "{lines:?}");
        assert!(!format!("{reply:?}").contains("evil"), "{reply:?}");
    }
}

#[test]
fn the_host_that_a_request_names_is_never_repeated() {
    let server = Server::start();
    let hosts = "Host: evil.example\r\nX-Forwarded-Host: evil.example\r\nForwarded: host=evil.example\r\n";

    for path in ["/api/v2/users/me", "/api/v2/users", "/nowhere", "/openapi.json", "/api/v2/users/sign_in"] {
        let reply = ask_raw(server.address, format!("GET {path} HTTP/1.1\r\n{hosts}\r\n"));

        assert!(!format!("{reply:?}{}", reply.text()).contains("evil"), "{path}: {reply:?}");
    }
}

#[test]
fn a_request_with_an_absolute_address_is_that_for_its_path() {
    let server = Server::start();
    let authorization = basic("admin", ADMIN_PASSWORD);
    let request =
        |target: &str| format!("GET {target} HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}\r\n\r\n");

    let absolute = ask_raw(server.address, request("http://lodge/api/v2/users/me"));
    let strange = ask_raw(server.address, request("http://lodge/api/v2/users/"));

    assert_eq!((absolute.status, absolute.json()), (200, server.admin().get("/users/me").json()));
    assert_eq!(strange.status, 404);
}

#[test]
fn heads_that_are_too_large_are_refused_and_those_that_are_not_are_read() {
    let server = Server::start();
    let send = |request: Request| server.admin().try_send(&request).unwrap().status;
    let headers = |length| Request::new("GET", "/users/me").header("X-Long", "x".repeat(length));
    let many = |count: usize| {
        let request = Request::new("GET", "/users/me");
        (0..count).fold(request, |request, number| request.header(&format!("X-{number}"), "x"))
    };
    let query = |length| Request::new("GET", &format!("/users/me?{}", "x".repeat(length)));
    let path = |length| Request::new("GET", &format!("/users/me/configurations/{}", "x".repeat(length)));

    assert_eq!([headers(15_000), many(60), query(8_000)].map(send), [200; 3]);
    assert_eq!(send(path(8_000)), 404);
    for status in [headers(16 << 10), headers(100_000), headers(1 << 20), many(1_000)].map(send) {
        assert!([400, 431].contains(&status), "{status}");
    }
    for status in [query(8 << 10), path(8 << 10), query(15_000)].map(send) {
        assert!([400, 414].contains(&status), "{status}");
    }
    for status in [query(100_000), path(1 << 20)].map(send) {
        assert!([400, 414, 431].contains(&status), "{status}");
    }
}

#[test]
fn a_request_that_is_not_http_is_refused() {
    let server = Server::start();

    for request in [
        "GARBAGE\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /healthz HTTP/9.9\r\nHost: lodge\r\n\r\n",
        "GET /health\u{e9}z\0 HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nBroken\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nX-Nul: a\0b\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: -1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: +1\r\n\r\nx",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n",
    ] {
        let reply = exchange_raw(server.address, request.as_bytes()).unwrap();

        let reply = String::from_utf8_lossy(&reply);
        assert!(reply.starts_with("HTTP/1.1 400 "), "{request:?}: {reply}");
    }
}

#[test]
fn whatever_the_client_accepts_the_response_is_json() {
    let server = Server::start();
    let me = server.admin().get("/users/me").json();

    for accept in ["text/html", "application/xml;q=0.9", "", "*/*", "///;;q=x", "application/json;q=0", "\u{e9}"] {
        let request = Request::new("GET", "/users/me").header("Accept", accept);

        assert_eq!(server.admin().send(&request).expect(200).json(), me, "{accept:?}");
    }
    for (name, value) in [("Accept-Language", "tlh"), ("Accept-Charset", "utf-16"), ("Accept-Encoding", "gzip, br")] {
        let reply = server.admin().send(&Request::new("GET", "/users/me").header(name, value)).expect(200);

        assert_eq!((reply.json(), reply.header("content-encoding")), (me.clone(), None), "{name}");
    }
}

#[test]
fn unsupported_features_are_ignored() {
    let server = Server::start();
    let me = server.admin().get("/users/me").expect(200);

    for lines in [
        "Connection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MTIzNDU2Nzg5MDEyMzQ1Ng==\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: TLS/1.0\r\n",
        "Range: bytes=0-3\r\n",
        "Range: bytes=99999-\r\n",
        "If-None-Match: *\r\n",
        "If-Match: \"x\"\r\n",
        "If-Modified-Since: Fri, 01 Jan 2100 00:00:00 GMT\r\n",
        "TE: trailers\r\n",
        "Cookie: session=x\r\n",
    ] {
        let reply = ask_raw(server.address, me_with(&format!("Host: lodge\r\n{lines}")));

        assert_eq!((reply.status, reply.json()), (200, me.json()), "{lines}");
        for name in ["upgrade", "accept-ranges", "content-range", "etag", "set-cookie"] {
            assert_eq!(reply.header(name), None, "{lines}");
        }
    }
}

#[test]
fn a_body_after_an_upgrade_header_ends_after_its_length() {
    let server = Server::start();
    let (authorization, body) = (server.admin().authorization.unwrap(), r#"{"key": "theme", "value": "dark"}"#);
    let path = "/api/v2/users/me/configurations";
    let headers = format!("Host: lodge\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    let upgrade = format!("Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: {}\r\n", body.len());

    let reply = ask_raw(server.address, format!("POST {path} HTTP/1.1\r\n{headers}{upgrade}\r\n{body}"));

    assert_eq!((reply.status, reply.json()), (201, json!({"id": 1, "key": "theme", "value": "dark"})));
}

#[test]
fn the_method_is_the_one_in_the_request_line() {
    let server = Server::start();
    let id = server.id_of("ann");

    for name in ["X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"] {
        let request = Request::new("GET", &format!("/users/{id}?_method=DELETE")).header(name, "DELETE");

        assert_eq!(server.admin().send(&request).expect(200).json()["username"], "ann", "{name}");
    }
    let posted = Request::new("POST", &format!("/users/{id}")).header("X-HTTP-Method-Override", "PUT");
    server.admin().send(&posted.json(&json!({"email": "ann@example.com"}))).expect(405);
    assert_eq!(server.user("ann").get("/users/me").json().get("email"), None);
}

#[test]
fn accepting_goes_on_after_the_server_was_out_of_file_descriptors() {
    let server = Server::start();
    let health = "GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n";
    let mut earlier = Conversation::with(server.address);
    earlier.say(health);
    earlier.hear();
    let pid = Pid::from_raw(i32::try_from(server.pid()).unwrap());
    let none = Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) };

    let before = prlimit(pid, Resource::Nofile, none).unwrap();
    let mut waiting: Vec<_> = (0..20).map(|_| Conversation::with(server.address)).collect();
    for conversation in &mut waiting {
        conversation.say(health);
    }
    earlier.say(health);
    let meanwhile = earlier.hear();
    prlimit(pid, Resource::Nofile, before).unwrap();

    assert_eq!(meanwhile.status, 200);
    for mut conversation in waiting {
        assert_eq!(conversation.hear().status, 200);
    }
}
