//! A base path, which a reverse proxy does not remove.

use super::conversation::ask_raw;
use crate::harness::{Reply, Request, Server, ServerBuilder};

fn below_accounts() -> Server {
    ServerBuilder::new().variable("LODGE_BASE_PATH", "/accounts").start_unasked()
}

fn get(server: &Server, path: &str) -> Reply {
    server.admin().send(&Request::whole("GET", path))
}

#[test]
fn everything_is_below_the_base_path_and_health_at_both_places() {
    let server = below_accounts();

    for path in ["/accounts/api/v2/users/me", "/accounts/openapi.json", "/accounts/api/v2/openapi.json"] {
        get(&server, path).expect(200);
    }
    for path in ["/healthz", "/readyz", "/accounts/healthz", "/accounts/readyz"] {
        get(&server, path).expect(200);
    }
    for path in [
        "/api/v2/users/me",
        "/openapi.json",
        "/api/v2/openapi.json",
        "/",
        "/accountsx/api/v2/users/me",
        "/accounts/accounts/api/v2/users/me",
        "//accounts/api/v2/users/me",
        "/Accounts/api/v2/users/me",
        "/%61ccounts/api/v2/users/me",
        "/accounts/../api/v2/users/me",
    ] {
        let reply = get(&server, path).expect(404);
        assert_eq!(reply.json()["error"], "Not found.", "{path}");
    }
    let wrong = server.admin().send(&Request::whole("PUT", "/accounts/api/v2/users/me")).expect(405);
    assert_eq!(wrong.header("allow"), Some("GET, HEAD, OPTIONS"));
    server.anonymous().send(&Request::whole("GET", "/accounts/api/v2/users/me")).expect(401);
}

#[test]
fn the_base_path_without_its_slash_leads_to_the_page_and_to_nothing_else() {
    let server = below_accounts();

    for (method, path) in [("GET", "/accounts"), ("HEAD", "/accounts"), ("GET", "/accounts?a=b")] {
        let reply = server.anonymous().send(&Request::whole(method, path)).expect(308);
        let headers = ["location", "cache-control", "content-length"].map(|name| reply.header(name));
        assert_eq!(headers, [Some("/accounts/"), Some("no-store"), Some("0")], "{method} {path}");
    }
    ask_raw(server.address, format!("GET /accounts/ HTTP/1.1\r\nHost: {}\r\n\r\n", server.address)).expect(200);
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        server.admin().send(&Request::whole(method, "/accounts")).expect(404);
    }
    let without_console =
        ServerBuilder::new().variable("LODGE_BASE_PATH", "/accounts").variable("LODGE_NO_CONSOLE", "true");
    let without_console = without_console.start_unasked();
    get(&without_console, "/accounts").expect(404);
}

#[test]
fn the_document_names_the_base_path() {
    let server = below_accounts();

    let document = get(&server, "/accounts/openapi.json").expect(200).json();

    assert_eq!(document["servers"][0]["url"], "{url}/accounts/api/v2");
    let at_the_root = Server::start();
    let mut same = get(&at_the_root, "/openapi.json").expect(200).json();
    assert_eq!(same["servers"][0]["url"], "{url}/api/v2");
    same["servers"] = document["servers"].clone();
    assert_eq!(document, same);
}

#[test]
fn commands_and_the_local_socket_know_no_base_path() {
    let server = below_accounts();
    let local = server.local();

    local.get("/users").expect(200);
    local.send(&Request::whole("GET", "/accounts/api/v2/users")).expect(404);
    for command in [&["user", "list"][..], &["status"], &["health"]] {
        let output = server.command(command).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
    let elsewhere = ServerBuilder::new();
    let at_its_address = elsewhere.command(&["health", "--listen", &server.address.to_string()]).output().unwrap();
    assert_eq!(at_its_address.status.code(), Some(0), "{at_its_address:?}");
}

#[test]
fn a_base_path_that_is_none_is_refused_and_an_empty_variable_is_none() {
    let refused = |value: &str| {
        let builder = ServerBuilder::new();
        let mut command = builder.command(&["settings", "check"]);
        command.env("LODGE_BASE_PATH", value).output().unwrap()
    };

    for value in ["accounts", "/", "/accounts/", "/a b", "/a/../b", "/a%20b"] {
        let output = refused(value);
        let sentence = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{value}: {sentence}");
        assert!(sentence.contains(&format!("--base-path: `{value}` is not a path such as /accounts")), "{sentence}");
    }
    assert_eq!(refused("").status.code(), Some(0));
}
