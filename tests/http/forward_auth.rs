//! Forward authentication, as a proxy asks for it.

use std::{fs, iter};

use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Client, Reply, Request, Server, ServerBuilder, basic, is_root},
    http::{
        api_keys::{ALL, Key, scopes},
        audit::refusals,
        conversation::{Conversation, ask_raw},
        user_socket::answers,
    },
};

/// The headers of 200, in the order in which tests compare them.
const IDENTITY: [&str; 6] =
    ["Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "X-Lodge-User-Id", "X-Lodge-Key-Id"];
const BEARER: &str = r#"Bearer realm="Lodge""#;

/// A request for forward authentication with that query.
fn ask(query: &str) -> Request {
    Request::new("GET", &format!("/forward-auth?{query}"))
}

fn asked(client: &Client, query: &str) -> Reply {
    client.send(&ask(query))
}

/// The identity in a 200, which has each of its headers once.
#[track_caller]
fn identity(reply: &Reply) -> [String; 6] {
    assert_eq!((reply.status, reply.json()), (200, json!({})));
    // Nobody asks for an assertion here; a header that is missing lets the client's own through.
    assert_eq!(reply.all_headers("X-Lodge-Assertion"), [""], "{reply:?}");
    IDENTITY.map(|name| {
        let [value] = reply.all_headers(name)[..] else { panic!("{name} is not there once: {reply:?}") };
        value.to_owned()
    })
}

fn error(reply: &Reply) -> (u16, Value) {
    (reply.status, reply.json()["error"].clone())
}

/// A server that believes what this machine reports of a client's address.
fn with_trusted_proxy() -> Server {
    ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").start()
}

#[test]
fn a_caller_with_the_scopes_is_admitted_with_its_identity() {
    let server = Server::start();
    let ann = server.user("ann");
    let id = server.id_of("ann").to_string();
    let key = Key::create(&ann, &["files / index", "media / *"]);
    let by_key = ["ann", "", "ann", "", &id, "1"];

    for query in ["scope=files/index", "scope=files/index&scope=media/play", "scope=any", "scope=media/*&errors=403"] {
        assert_eq!(identity(&asked(&key.client, query)), by_key, "{query}");
    }
    for client in [ann, server.session("ann")] {
        assert_eq!(identity(&asked(&client, "scope=files/index")), ["ann", "", "ann", "", &id, ""]);
    }
    let admin = identity(&asked(&server.admin(), "scope=any&role=administrator"));
    assert_eq!(admin, ["admin", "", "admin", "admin", "1", ""]);
}

#[test]
fn an_email_address_that_is_no_header_value_is_left_empty() {
    let server = Server::start();
    let ann = server.user("ann");

    for (email, header) in [("ann@example.org", "ann@example.org"), ("ann@b\u{fc}cher.example", "")] {
        ann.put(&format!("/users/{}", server.id_of("ann")), &json!({"email": email})).expect(200);
        assert_eq!(identity(&asked(&ann, "scope=any"))[1], header, "{email}");
    }
}

#[test]
fn a_missing_scope_is_named_in_the_body_and_in_a_header() {
    let server = Server::start();
    let key = server.key("ann", &["files / show", "media / index"]);

    for (query, lacking) in [
        ("scope=files/index", "files/index"),
        ("scope=files/show&scope=files/*", "files/*"),
        ("scope=*/*&scope=files/index", "*/*"),
    ] {
        let reply = asked(&key, query);
        let spelled = lacking.replace('/', " / ");
        assert_eq!(error(&reply), (403, json!(format!("This API key lacks the scope {spelled}."))));
        assert_eq!(reply.all_headers("x-lodge-missing-scope"), [lacking]);
    }
    assert_eq!(asked(&server.key("ann", &[]), "scope=files/index").status, 403);
    assert_eq!(identity(&asked(&server.key("ann", &[]), "scope=any"))[0], "ann");
}

#[test]
fn a_role_narrows_every_kind_of_credential() {
    let server = Server::start();
    let query = "scope=files/index&role=administrator";

    for client in [server.user("ann"), server.session("ann"), server.key("ann", &["* / *"])] {
        let reply = asked(&client, query);
        assert_eq!(error(&reply), (403, json!("Only an administrator may do this.")));
        assert_eq!(reply.header("x-lodge-missing-scope"), None);
    }
    for client in [server.admin(), server.session("admin"), server.key("admin", &["* / *"])] {
        assert_eq!(identity(&asked(&client, query))[3], "admin");
    }
    // A service may take the group for all rights.
    assert_eq!(identity(&asked(&server.key("admin", &["files / index"]), query))[3], "");
    assert_eq!(asked(&server.key("admin", &["files / show"]), query).status, 403);
    // The role alone is nothing that a restricted key was given.
    let role_alone = "scope=any&role=administrator";
    assert_eq!(asked(&server.key("admin", &["files / index"]), role_alone).status, 403);
    assert_eq!(asked(&server.key("admin", &["* / *"]), role_alone).status, 200);
}

#[test]
fn a_query_that_cannot_be_understood_admits_nobody_and_is_logged() {
    let server = Server::start();

    for query in ["", "scope=", "scope=files", "scope=Files/index", "scope=any&typo=1", "scope=any&role=admin", "x"] {
        let reply = asked(&server.admin(), query);
        assert_eq!(reply.status, 403, "{query}");
        assert!(reply.text().contains("The proxy asks"), "{query}: {}", reply.text());
        assert_eq!(asked(&server.anonymous(), query).status, 401, "{query}");
    }
    assert_eq!(server.admin().get("/forward-auth").status, 403);
    server.wait_for_log(
        "WARN  lodge::api::context forward authentication admits nobody: The proxy asks without a scope.",
    );
}

#[test]
fn a_refused_credential_is_answered_with_a_challenge_for_tokens_alone() {
    let server = Server::start();
    let wrong = basic("ann", "not her password");
    let revoked = Key::create(&server.user("ann"), &["files / index"]);
    server.user("ann").delete(&revoked.path()).expect(204);
    let session = server.session("ann");
    session.delete("/users/sign_out").expect(204);
    let refused =
        [server.anonymous(), server.with(&wrong), server.with("Basic !"), server.with(""), revoked.client, session];

    for client in refused {
        for query in ["scope=files/index", "scope=any&errors=403"] {
            let reply = asked(&client, query);
            assert_eq!(
                (reply.status, reply.all_headers("www-authenticate")),
                (401, vec![BEARER]),
                "{:?}",
                client.authorization
            );
            assert!(IDENTITY.iter().all(|name| reply.header(name).is_none()), "{reply:?}");
        }
    }
}

#[test]
fn one_header_has_the_credential_and_the_others_are_not_read() {
    let server = Server::start();
    let [ann, ben] = ["ann", "ben"].map(|name| server.key(name, &["files / index"]).authorization.unwrap());
    let (bearer, by_password) = (format!("Bearer {ben}"), basic("admin", ADMIN_PASSWORD));
    let names = ["X-Lodge-Key", "Proxy-Authorization", "Authorization"];
    let who = |values: [Option<&str>; 3]| {
        let given = names.iter().zip(values).filter_map(|(name, value)| Some((name, value?)));
        // In the opposite order, which does not matter.
        let headers: Vec<_> = given.collect();
        let request = headers.iter().rev().fold(ask("scope=files/index"), |all, (name, value)| all.header(name, value));
        let reply = server.anonymous().send(&request);
        if reply.status == 200 { identity(&reply)[0].clone() } else { reply.status.to_string() }
    };
    let (ann, wrong) = (Some(ann.as_str()), Some("lodge_wrong"));
    let (bearer, admin) = (Some(bearer.as_str()), Some(by_password.as_str()));

    assert_eq!(who([ann, bearer, admin]), "ann");
    assert_eq!(who([ann, wrong, wrong]), "ann");
    assert_eq!(who([bearer, None, None]), "ben");
    assert_eq!(who([None, bearer, admin]), "ben");
    assert_eq!(who([None, admin, bearer]), "admin");
    assert_eq!(who([None, None, admin]), "admin");
    for first in [wrong, Some(""), Some("Bearer")] {
        assert_eq!(who([first, bearer, admin]), "401", "{first:?}");
        assert_eq!(who([None, first, admin]), "401", "{first:?}");
    }
}

#[test]
fn a_repeated_or_joined_credential_is_refused() {
    let server = Server::start();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let password = basic("admin", ADMIN_PASSWORD);

    for name in ["X-Lodge-Key", "Proxy-Authorization", "Authorization"] {
        for value in [key.clone(), format!("Bearer {key}"), password.clone()] {
            let once = ask("scope=any").header(name, &value);
            assert_eq!(server.anonymous().send(&once).status, 200, "{name}: {value}");
            assert_eq!(server.anonymous().send(&once.header(name, &value)).status, 401, "{name}: {value}");
            let joined =
                [format!("{value},{value}"), format!("{value}, {value}"), format!("{value},"), format!(",{value}")];
            for value in joined {
                assert_eq!(server.anonymous().send(&ask("scope=any").header(name, &value)).status, 401, "{value}");
            }
        }
    }
}

#[test]
fn every_method_and_every_path_below_is_answered_alike() {
    let server = Server::start();
    let key = server.key("ann", &["files / index"]);
    let below = ["", "/", "/x", "/../users", "/%2e%2e/users/1", "//a;b=c/%2F", "/users/me", "/%ff%00"];

    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "ANY"] {
        for path in below {
            let request = |query: &str| Request::new(method, &format!("/forward-auth{path}?{query}"));
            let [admitted, lacking] = ["scope=files/index", "scope=files/show"].map(|query| key.send(&request(query)));
            assert_eq!((admitted.status, admitted.header("remote-user")), (200, Some("ann")), "{method} {path}");
            assert_eq!((lacking.status, lacking.header("x-lodge-missing-scope")), (403, Some("files/show")));
            assert_eq!(server.anonymous().send(&request("scope=any")).status, 401, "{method} {path}");
            assert_eq!(admitted.header("allow"), None, "{method} {path}");
        }
    }
    for path in ["/forward-authx", "/forward%2dauth", "/Forward-Auth", "/x/forward-auth"] {
        assert_eq!(key.get(&format!("{path}?scope=any")).status, 404, "{path}");
    }
}

/// With 200 a tunnel would begin.
#[test]
fn connect_is_refused_for_good_whatever_the_credential() {
    let server = Server::start();
    let key = server.key("ann", &["* / *"]).authorization.unwrap();

    for target in ["/api/v2/forward-auth?scope=any", "/api/v2/forward-auth/files?scope=any&errors=403"] {
        let request = format!("CONNECT {target} HTTP/1.1\r\nHost: lodge\r\nX-Lodge-Key: {key}\r\n\r\n");

        let reply = ask_raw(server.address, request);

        assert_eq!((reply.status, reply.header("x-lodge-status")), (403, Some("501")), "{target}");
        assert_eq!((reply.header("remote-user"), reply.header("retry-after")), (None, None), "{target}");
    }
}

#[test]
fn the_answer_comes_from_the_head_alone_and_the_connection_stays_in_step() {
    let server = Server::start();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let start = |method: &str| {
        format!("{method} /api/v2/forward-auth?scope=files/index HTTP/1.1\r\nHost: lodge\r\nAuthorization: {key}\r\n")
    };
    let (get, upgrade) = (start("GET"), "Connection: Upgrade\r\nUpgrade: websocket\r\n");
    let mut conversation = Conversation::with(server.address);

    // Each ends before the next begins.
    for request in [
        format!("{get}\r\n"),
        format!("{}Content-Length: 5\r\n\r\nhello", start("PUT")),
        format!("{}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", start("POST")),
        format!("{get}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        format!("{get}{upgrade}\r\n"),
        format!("{}Content-Encoding: gzip\r\nContent-Type: x\r\nContent-Length: 2\r\n\r\n{{]", start("PUT")),
        format!("{get}\r\n{get}{upgrade}\r\n"),
    ] {
        let answers = request.matches("/forward-auth").count();
        conversation.say(&request);
        for _ in 0..answers {
            let reply = conversation.hear();
            assert_eq!((identity(&reply)[0].as_str(), reply.header("connection")), ("ann", None), "{request}");
        }
    }
}

#[test]
fn a_body_that_never_comes_is_not_waited_for() {
    let server = Server::start();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();

    for lines in
        ["Transfer-Encoding: chunked", "Content-Length: 1000000000", "Content-Length: 5\r\nExpect: 100-continue"]
    {
        let mut conversation = Conversation::with(server.address);
        conversation.say(format!(
            "PUT /api/v2/forward-auth?scope=any HTTP/1.1\r\nHost: lodge\r\nAuthorization: {key}\r\n{lines}\r\n\r\n"
        ));
        let reply = iter::repeat_with(|| conversation.hear()).find(|reply| reply.status != 100).unwrap();
        // What follows might be the body or another request: nothing more is read.
        assert_eq!((identity(&reply)[0].as_str(), reply.header("connection")), ("ann", Some("close")), "{lines}");
        conversation.say("GET /api/v2/users/me HTTP/1.1\r\nHost: lodge\r\n\r\n");
        assert_eq!(String::from_utf8_lossy(&conversation.hear_out()), "", "{lines}");
    }
}

#[test]
fn a_lockout_is_429_or_403_with_the_true_status() {
    let server = ServerBuilder::new().variable("LODGE_THROTTLE_AFTER", "3").start();
    server.user("ann");
    let wrong = server.with(&basic("ann", "not her password"));
    while asked(&wrong, "scope=any").status == 401 {}

    let (plain, forbidden) = (asked(&wrong, "scope=any"), asked(&wrong, "scope=any&errors=403"));

    assert_eq!((plain.status, plain.header("x-lodge-status")), (429, None));
    assert_eq!((forbidden.status, forbidden.header("x-lodge-status")), (403, Some("429")));
    assert!(plain.header("retry-after").is_some() && forbidden.header("retry-after").is_some());
}

#[test]
fn a_head_that_no_proxy_understands_the_refusal_of_is_403() {
    let server = Server::start();
    let (long_path, long_header) = ("x".repeat(9 << 10), "x".repeat(20 << 10));
    let path = Request::new("GET", &format!("/forward-auth/{long_path}?scope=any"));

    let reply = server.admin().send(&path);

    assert_eq!((reply.status, reply.header("x-lodge-status")), (403, Some("414")));
    let reply = server.admin().send(&ask("scope=any").header("X-Long", &long_header));
    assert_eq!((reply.status, reply.header("x-lodge-status")), (403, Some("431")));
}

#[test]
fn a_key_that_is_bound_to_networks_needs_a_trusted_proxy_that_reports_the_client() {
    let server = with_trusted_proxy();
    let ann = server.user("ann");
    let body =
        json!({"api_key_scopes": scopes(&["files / index"]), "allowed_networks": ["192.0.2.0/24", "127.0.0.0/8"]});
    let (bound, free) = (Key::from_body(&ann, &body), Key::create(&ann, &["files / index"]));
    let from = |client: &Client, headers: &[(&str, &str)]| {
        let request = headers.iter().fold(ask("scope=files/index"), |all, (name, value)| all.header(name, value));
        client.send(&request).status
    };
    let (inside, outside) = (("X-Forwarded-For", "192.0.2.7"), ("X-Forwarded-For", "198.51.100.7"));
    let contradiction = ("Forwarded", "for=192.0.2.8");

    assert_eq!(from(&bound.client, &[inside]), 200);
    assert_eq!(from(&bound.client, &[inside, ("Forwarded", "for=192.0.2.7")]), 200);
    for headers in [&[outside][..], &[], &[inside, contradiction], &[("X-Forwarded-For", "unknown")]] {
        assert_eq!(from(&bound.client, headers), 403, "{headers:?}");
        assert_eq!(from(&free.client, headers), 200, "{headers:?}");
    }
    assert_eq!(
        bound.client.get("/forward-auth?scope=any").json()["error"],
        "This API key may not be used from this address."
    );
    assert_eq!(refusals(&server, 5)[0]["action"], "credentials / check");
}

#[test]
fn a_key_that_is_bound_to_networks_is_refused_to_a_proxy_that_is_not_trusted() {
    let server = Server::start();
    let body = json!({"api_key_scopes": scopes(&["files / index"]), "allowed_networks": ["0.0.0.0/0"]});
    let bound = Key::from_body(&server.user("ann"), &body);

    let reply = bound.client.send(&ask("scope=files/index").header("X-Forwarded-For", "192.0.2.7"));

    assert_eq!(error(&reply), (403, json!("This API key may not be used from this address.")));
}

#[test]
fn a_key_remembers_the_scopes_that_other_services_asked_for() {
    let server = Server::start();
    let ann = server.user("ann");
    let key = Key::create(&ann, &["files / *"]);

    asked(&key.client, "scope=files/index&scope=files/show").expect(200);
    asked(&key.client, "scope=files/destroy&scope=media/play").expect(403);
    asked(&key.client, "scope=any").expect(200);

    let usage = ann.get(&format!("{ALL}/1/usage")).expect(200).json();
    let used: Vec<_> = usage["api_key_scopes"].as_array().unwrap().iter().map(|scope| &scope["action"]).collect();
    assert_eq!(used, ["index", "show"]);
}

#[test]
fn the_uid_of_a_proxy_on_a_socket_proves_nothing() {
    if !is_root("requests of another user") {
        return;
    }
    let builder = ServerBuilder::new();
    let socket = builder.data_dir().with_file_name("users.sock");
    let server = builder.flag("--user-socket", socket.to_str().unwrap()).start();
    fs::set_permissions(server.directory(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    server
        .admin()
        .post("/users", &json!({"username": "proxy", "password": "a proxy lives here", "user_id": 1}))
        .expect(201);
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let asked = "GET /api/v2/forward-auth?scope=any HTTP/1.1";

    let found =
        answers(&socket, 1, &["GET /api/v2/users/me HTTP/1.1", asked, &format!("{asked}\r\nX-Lodge-Key: {key}")]);

    let statuses: Vec<_> = found.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["200", "401", "200"], "{found:?}");
    assert!(found[2].contains("Remote-User: ann\r\n"), "{found:?}");
}

#[test]
fn the_log_has_neither_the_path_nor_the_query() {
    let server = Server::start();
    let request = Request::new("GET", "/forward-auth/secret-path?scope=files/hidden");

    server.admin().send(&request).expect(200);

    server.wait_for_log("method=GET route=/api/v2/forward-auth status=200");
    let log = server.log();
    assert!(!log.contains("secret-path") && !log.contains("hidden"), "{log}");
}

#[test]
fn below_a_base_path_it_is_the_same() {
    let server = ServerBuilder::new().flag("--base-path", "/accounts").start_unasked();
    let ask = |client: &Client, path: &str| {
        client.try_send(&Request::whole("GET", &format!("/accounts/api/v2/forward-auth{path}"))).unwrap()
    };

    let [admitted, refused] = [server.with(&basic("admin", ADMIN_PASSWORD)), server.anonymous()];

    assert_eq!(identity(&ask(&admitted, "/a/../b?scope=files/index"))[0], "admin");
    let without = ask(&refused, "?scope=any");
    assert_eq!((without.status, without.all_headers("www-authenticate")), (401, vec![BEARER]));
    let long = ask(&admitted, &format!("/{}?scope=any", "x".repeat(9 << 10)));
    assert_eq!((long.status, long.header("x-lodge-status")), (403, Some("414")));
}
