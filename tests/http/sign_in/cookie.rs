//! The cookie at forward authentication, and nowhere else.

use lodge::api::operations::{Admits, PREFIX, public_operations};
use serde_json::json;

use super::{builder, signed_in};
use crate::{
    harness::{Reply, Request, Server, ServerBuilder, basic},
    http::audit::refusals,
};

/// What a proxy reports of a request to a service on this machine.
const REPORTED: [(&str, &str); 4] = [
    ("X-Forwarded-Method", "GET"),
    ("X-Forwarded-Proto", "http"),
    ("X-Forwarded-Host", "127.0.0.1:8080"),
    ("X-Forwarded-Uri", "/files/a"),
];

/// The answer to a request for any good credential, with that cookie and these headers in place of those of the same name.
fn asked(server: &Server, cookie: &str, others: &[(&str, &str)]) -> Reply {
    let is_other = |name: &str| others.iter().any(|(other, _)| *other == name);
    let kept = REPORTED.iter().filter(|(name, _)| !is_other(name));
    let request = Request::new("GET", "/forward-auth?scope=any").header("Cookie", cookie);
    let request = kept.chain(others).fold(request, |request, (name, value)| request.header(name, value));
    server.anonymous().send(&request)
}

#[test]
fn the_cookie_stands_for_its_session_until_that_is_ended() {
    let server = builder().start();
    let cookie = signed_in(&server);

    let admitted = asked(&server, &cookie, &[]).expect(200);
    assert_eq!((admitted.header("remote-user"), admitted.header("remote-groups")), (Some("admin"), Some("admin")));
    assert_eq!(admitted.header("set-cookie"), None);
    let sessions = server.admin().get("/users/me/sessions").json();
    let id = sessions["sessions"][0]["id"].as_str().unwrap().to_owned();
    assert_eq!(sessions["count"], 1);

    server.admin().delete(&format!("/users/me/sessions/{id}")).expect(204);

    assert_eq!(asked(&server, &cookie, &[]).status, 401);
}

#[test]
fn no_operation_of_the_api_takes_the_cookie_for_a_credential() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let mut tried = 0;

    for operation in public_operations() {
        let is_open = match operation.admits {
            Admits::Anonymous | Admits::Forwarded => true,
            Admits::Authenticated
            | Admits::Caller
            | Admits::SelfOrAdministrator
            | Admits::Administrator
            | Admits::UserAdministrator
            | Admits::Local => false,
        };
        let path = operation.path.split('/').map(|part| if part.starts_with('{') { "1" } else { part });
        let path = format!("{PREFIX}{}", path.collect::<Vec<_>>().join("/"));
        let request = Request::whole(operation.method.as_str(), &path).header("Cookie", &cookie);
        if !is_open {
            assert_eq!(server.anonymous().send(&request).status, 401, "{operation:?}");
            tried += 1;
        }
    }
    assert!(tried > 40, "{tried}");
    // Nor are the console and the documents another thing with it.
    for path in ["/", "/openapi.json", "/healthz"] {
        let [with, without] = [Some(&cookie), None].map(|cookie| {
            let request = Request::whole("GET", path);
            server
                .anonymous()
                .try_send(&cookie.into_iter().fold(request, |request, cookie| request.header("Cookie", cookie)))
        });
        assert_eq!(with.unwrap().body, without.unwrap().body, "{path}");
    }
}

#[test]
fn a_cookie_counts_only_without_another_credential() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let ann = server.key("ann", &["files / index"]).authorization.unwrap();

    for name in ["X-Lodge-Key", "Proxy-Authorization", "Authorization"] {
        assert_eq!(asked(&server, &cookie, &[(name, &ann)]).header("remote-user"), Some("ann"), "{name}");
        for wrong in ["lodge_wrong", "", &basic("ann", "a guess")] {
            let reply = asked(&server, &cookie, &[(name, wrong)]);
            assert_eq!((reply.status, reply.header("x-lodge-sign-in")), (401, None), "{name} {wrong}");
        }
    }
}

#[test]
fn a_cookie_that_is_not_there_once_as_it_was_set_is_none() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let (name, token) = cookie.split_once('=').unwrap();
    let key = server.key("ann", &["* / *"]).authorization.unwrap();

    assert_eq!(asked(&server, &format!("a=b; {cookie};c=d"), &[]).status, 200);
    for wrong in [
        format!("{cookie}; {cookie}"),
        format!("{cookie}; {name}=x.y.z"),
        format!("{cookie}, a=b"),
        format!("a=b, {cookie}"),
        format!("{name}=\"{token}\""),
        format!("{name}=Bearer {token}"),
        format!("{name}={}", &token[1..]),
        format!("{name}={token}x"),
        format!("{name}={key}"),
        format!("{name}={}", basic("admin", "x")),
        format!("__Host-{cookie}"),
        format!("__Secure-{cookie}"),
        name.to_owned(),
        String::new(),
    ] {
        assert_eq!(asked(&server, &wrong, &[]).status, 401, "{wrong}");
    }
}

#[test]
fn a_cookie_beside_a_second_header_with_cookies_is_none() {
    let server = builder().start();
    let cookie = signed_in(&server);

    for second in [&cookie, "a=b"] {
        assert_eq!(asked(&server, &cookie, &[("Cookie", second)]).status, 401, "{second}");
    }
}

#[test]
fn a_cookie_that_other_hosts_could_set_counts_on_this_machine_alone() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let prefixed = format!("__Host-{cookie}");

    for others in [
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "127.0.0.1:8080")],
        [("X-Forwarded-Proto", "http"), ("X-Forwarded-Host", "files.example.org")],
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "files.example.org")],
    ] {
        assert_eq!(asked(&server, &cookie, &others).status, 401, "{others:?}");
        assert_eq!(asked(&server, &prefixed, &others).status, 200, "{others:?}");
    }
    let domain =
        ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").flag("--cookie-domain", "example.org").start();
    let token = domain.sign_in("admin").split_once(' ').unwrap().1.to_owned();
    for (name, status) in [("__Secure-lodge_session", 200), ("__Host-lodge_session", 401), ("lodge_session", 401)] {
        assert_eq!(asked(&domain, &format!("{name}={token}"), &[]).status, status, "{name}");
    }
}

#[test]
fn a_request_that_can_change_something_comes_from_a_page_of_the_same_origin() {
    let server = builder().start();
    let cookie = signed_in(&server);
    let post = ("X-Forwarded-Method", "POST");
    let own = ("Origin", "http://127.0.0.1:8080");
    let refused = "This request does not come from a page of the same origin.";

    for others in [
        &[post, own][..],
        &[post, ("Sec-Fetch-Site", "same-origin")],
        &[("Sec-Fetch-Site", "cross-site")],
        &[("X-Forwarded-Method", "HEAD")],
        &[("X-Original-Method", "GET")],
        &[("Sec-WebSocket-Key", "x"), own],
    ] {
        assert_eq!(asked(&server, &cookie, others).status, 200, "{others:?}");
    }
    let cases = [
        &[post][..],
        &[("X-Forwarded-Method", "DELETE")],
        &[("X-Forwarded-Method", "BREW")],
        &[("X-Forwarded-Method", "GET,GET")],
        &[("X-Original-Method", "POST")],
        &[post, ("Origin", "null")],
        &[post, ("Origin", "http://127.0.0.1:8081")],
        &[post, ("Origin", "https://127.0.0.1:8080")],
        &[post, own, own],
        &[post, ("Sec-Fetch-Site", "same-site"), own],
        &[post, ("Sec-Fetch-Site", "none")],
        &[("Sec-WebSocket-Key", "x")],
        &[("Sec-WebSocket-Version", "13")],
        &[("Upgrade", "websocket")],
        &[("Sec-Fetch-Mode", "websocket"), ("Sec-Fetch-Site", "same-site")],
    ];
    for others in cases {
        let reply = asked(&server, &cookie, others);
        assert_eq!((reply.status, reply.json()["error"].as_str()), (403, Some(refused)), "{others:?}");
        assert_eq!(reply.header("x-lodge-sign-in"), None);
    }
    let entries = refusals(&server, cases.len() as u64);
    assert_eq!(entries[0]["action"], "credentials / check");
    // Other credentials are sent by no browser of its own accord.
    let session = server.session("admin").authorization.unwrap();
    assert_eq!(asked(&server, "", &[post, ("Authorization", &session)]).status, 200);
}

#[test]
fn a_method_that_no_trusted_proxy_reports_can_change_something() {
    let server = ServerBuilder::new().flag("--sign-in-targets", "https://files.example.org").start();
    let token = server.sign_in("admin").split_once(' ').unwrap().1.to_owned();
    let cookie = format!("__Host-lodge_session={token}");

    assert_eq!(asked(&server, &cookie, &[]).status, 403);
    assert_eq!(asked(&server, &cookie, &[("Origin", "http://127.0.0.1:8080")]).status, 403);
    assert_eq!(asked(&server, &cookie, &[("Sec-Fetch-Site", "same-origin")]).status, 200);
}

#[test]
fn a_service_gets_the_other_cookies_from_the_answer() {
    let server = builder().start();
    let cookie = signed_in(&server);

    let reply = asked(&server, &format!("a=b; {cookie}; c=\"d\""), &[]).expect(200);

    assert_eq!(reply.all_headers("cookie"), ["a=b; c=\"d\""]);
    assert_eq!(asked(&server, &cookie, &[]).all_headers("cookie"), [""]);
    let key = server.key("ann", &[]).authorization.unwrap();
    assert_eq!(asked(&server, &cookie, &[("X-Lodge-Key", &key), ("Cookie", "a=b")]).all_headers("cookie"), ["a=b"]);
    let without = Server::start();
    let request = Request::new("GET", "/forward-auth?scope=any").header("Cookie", "a=b");
    assert_eq!(without.admin().send(&request).expect(200).header("cookie"), None);
}

#[test]
fn without_a_page_a_cookie_is_no_credential() {
    let server = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").start();
    let token = server.sign_in("admin").split_once(' ').unwrap().1.to_owned();

    for name in ["__Host-lodge_session", "__Secure-lodge_session", "lodge_session"] {
        let reply = asked(&server, &format!("{name}={token}"), &[]);
        assert_eq!((reply.status, reply.json()["error"].clone()), (401, json!("A credential is needed.")), "{name}");
    }
}
