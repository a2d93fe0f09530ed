//! The console's page and files, as a browser asks for them.

use std::net::SocketAddr;

use lodge::console::{Asset, VERSION};

use super::conversation::ask_raw;
use crate::harness::{Reply, Request, Server, ServerBuilder};

fn ask(address: SocketAddr, method: &str, path: &str, headers: &str) -> Reply {
    ask_raw(address, format!("{method} {path} HTTP/1.1\r\nHost: {address}\r\n{headers}\r\n"))
}

fn stylesheet() -> String {
    format!("/assets/{}/style.css", *VERSION)
}

#[test]
fn the_page_is_asked_for_each_time_and_sent_when_it_has_changed() {
    let server = Server::start();

    for path in ["/", "/docs", "/?a=b"] {
        let page = ask(server.address, "GET", path, "").expect(200);
        let tag = page.header("etag").unwrap().to_owned();
        let again = ask(server.address, "GET", path, &format!("If-None-Match: \"other\", {tag}\r\n")).expect(304);

        assert_eq!(page.text(), *lodge::console::PAGE);
        assert_eq!((again.text(), again.header("etag")), (String::new(), Some(tag.as_str())));
        for reply in [page, again] {
            assert_eq!(reply.all_headers("cache-control"), ["no-cache"], "{reply:?}");
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
            assert_eq!(reply.header("referrer-policy"), Some("no-referrer"));
            assert!(reply.header("x-request-id").is_some());
        }
    }
}

#[test]
fn the_page_may_load_nothing_but_its_own_files_and_be_shown_by_no_other() {
    let server = Server::start();

    let page = ask(server.address, "GET", "/", "");

    let policies = page.all_headers("content-security-policy");
    let [policy] = policies[..] else { panic!("{policies:?}") };
    assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{policy}");
    for needed in
        ["frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'", "require-trusted-types-for 'script'"]
    {
        assert!(policy.contains(needed), "{policy}");
    }
    for refused in ["unsafe", "http", "*", "data:", "blob:"] {
        assert!(!policy.contains(refused), "{policy}");
    }
}

#[test]
fn a_file_is_kept_for_ever_and_compressed_where_the_browser_takes_it() {
    let server = Server::start();
    let file = Asset::at(&format!("{}/style.css", *VERSION)).unwrap();

    let gzipped = ask(server.address, "GET", &stylesheet(), "Accept-Encoding: br, gzip\r\n").expect(200);
    let plain = ask(server.address, "GET", &stylesheet(), "").expect(200);
    let refused = ask(server.address, "GET", &stylesheet(), "Accept-Encoding: gzip;q=0\r\n").expect(200);

    assert_eq!((gzipped.body.as_slice(), gzipped.header("content-encoding")), (file.gzipped(), Some("gzip")));
    assert_eq!((plain.body.as_slice(), plain.header("content-encoding")), (file.plain().as_slice(), None));
    assert_eq!(refused.body, plain.body);
    for reply in [gzipped, plain] {
        assert_eq!(reply.all_headers("cache-control"), ["public, max-age=31536000, immutable"]);
        assert_eq!(reply.header("content-type"), Some("text/css; charset=utf-8"));
        assert_eq!(reply.header("vary"), Some("Accept-Encoding"));
        assert_eq!(reply.all_headers("content-security-policy"), ["default-src 'none'; frame-ancestors 'none'"]);
    }
}

#[test]
fn head_has_the_headers_alone_and_other_methods_are_refused() {
    let server = Server::start();

    for path in ["/", "/docs", &stylesheet()] {
        let (get, head) =
            (ask(server.address, "GET", path, ""), server.anonymous().send(&Request::whole("HEAD", path)));
        assert_eq!((head.status, head.body.len()), (200, 0), "{path}");
        assert_eq!(head.header("content-length"), get.header("content-length"), "{path}");
        let options = server.anonymous().send(&Request::whole("OPTIONS", path)).expect(204);
        assert_eq!(options.header("allow"), Some("GET, HEAD, OPTIONS"), "{path}");
        assert_eq!(options.all_headers("cache-control"), ["no-store"], "{path}");
        for method in ["POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            let refused = server.anonymous().send(&Request::whole(method, path)).expect(405);
            assert_eq!(refused.header("allow"), Some("GET, HEAD, OPTIONS"), "{method} {path}");
            assert_eq!(refused.all_headers("cache-control"), ["no-store"], "{method} {path}");
        }
    }
}

#[test]
fn what_is_no_file_of_the_console_is_unknown() {
    let server = Server::start();
    let version = VERSION.as_str();

    for path in [
        "/assets",
        "/assets/",
        "/assets/style.css",
        "/assets/0000000000000000/style.css",
        "/docs/",
        "/docs/x",
        "/Docs",
        "/index.html",
        "/%64ocs",
        "//",
        "/assets//style.css",
    ] {
        server.anonymous().send(&Request::whole("GET", path)).expect(404);
    }
    for name in ["", "index.html", "../style.css", "style%2ecss", "style.css/", "lit-html.d.ts", "build.rs"] {
        server.anonymous().send(&Request::whole("GET", &format!("/assets/{version}/{name}"))).expect(404);
    }
}

#[test]
fn without_the_console_none_of_its_addresses_is_known() {
    let server = ServerBuilder::new().variable("LODGE_NO_CONSOLE", "true").start();

    for path in ["/", "/docs", &stylesheet()] {
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            server.anonymous().send(&Request::whole(method, path)).expect(404);
        }
    }
    server.anonymous().send(&Request::whole("GET", "/openapi.json")).expect(200);
}

#[test]
fn the_local_socket_has_no_console() {
    let server = Server::start();

    for path in ["/", "/docs", &stylesheet()] {
        server.local().send(&Request::whole("GET", path)).expect(404);
    }
}

#[test]
fn below_a_base_path_the_page_finds_its_files_beside_itself() {
    let server = ServerBuilder::new().flag("--base-path", "/accounts").start_unasked();

    for path in ["/accounts/", "/accounts/docs"] {
        let page = ask(server.address, "GET", path, "").expect(200).text();
        let link = page.split('"').find(|text| text.ends_with("/style.css")).unwrap();
        ask(server.address, "GET", &format!("/accounts/{link}"), "").expect(200);
    }
    ask(server.address, "GET", "/", "").expect(404);
}
