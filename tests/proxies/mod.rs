//! Forward authentication through real proxies, each with the configuration that `lodge proxy-config` prints for it.

mod assertions;
mod program;
mod service;
mod sign_in;

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use serde_json::{Value, json};

use self::{
    program::Proxy,
    service::{Received, WEBSOCKET},
};
use crate::harness::{Client, Server, ServerBuilder, basic, repetitions};

/// How often a key is taken away at each proxy, unless `LODGE_TEST_RACES` is set.
const RACES: usize = 20;
/// How many of an asker's requests begin after the key is gone.
const LATE: usize = 2;

/// The headers of an identity.
const IDENTITY: [&str; 6] =
    ["Remote-User", "Remote-Email", "Remote-Name", "Remote-Groups", "X-Lodge-User-Id", "X-Lodge-Key-Id"];
/// What a client may claim about itself, and about its request.
const CLAIMS: &str = "Remote-User: admin\r\nremote_user: admin\r\nRemote-Groups: admin\r\nREMOTE_GROUPS: admin\r\n\
                      Remote_Email: admin@example.org\r\nX-Lodge-User-Id: 1\r\nX_Lodge_User_Id: 1\r\nX-Lodge_User-Id: 1\r\n\
                      X-Forwarded-Uri: /admin\r\nX-Original-URL: /admin\r\nX-Rewrite-URL: /admin\r\nX_Original_URL: /admin\r\n\
                      X_Rewrite_URL: /admin\r\n";

/// A server that believes the proxies on this machine, whose users may have a key for each race.
fn server() -> Server {
    let builder = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.0/8").variable("LODGE_MAX_API_KEYS", "10000");
    builder.start()
}

/// A key of Ann's with these scopes and other members.
fn key_with(server: &Server, scope: &str, mut members: Value) -> Client {
    let (controller, action) = scope.split_once(" / ").unwrap();
    members["api_key_scopes"] = json!([{"controller": controller, "action": action}]);
    let created = server.user("ann").post("/users/me/api_keys", &members).expect(201).json();
    server.with(created["key"].as_str().unwrap())
}

/// Fails unless the service has received an identity, and that it is Ann's.
#[track_caller]
fn assert_is_ann(server: &Server, received: &Received, proxy: &Proxy) {
    let ann = server.id_of("ann").to_string();
    let read: Vec<_> = IDENTITY.iter().take(5).map(|name| received.read_loosely(name)).collect();
    assert_eq!(read, ["ann", "", "ann", "", &ann], "{}: {received:?}", proxy.name);
}

#[test]
fn what_lodge_admits_reaches_the_service_with_the_callers_identity_and_without_its_credential() {
    let server = server();
    let key = server.key("ann", &["files / index"]);
    let proxies = Proxy::start_all("what_lodge_admits", &server);

    for proxy in &proxies {
        for client in [&key, &server.session("ann"), &server.user("ann")] {
            for name in ["X-Lodge-Key", "Authorization"] {
                let answer = proxy.get(name, client);
                assert_eq!(answer.status, 200, "{}: {answer:?}\n{}", proxy.name, proxy.log());
                let received = proxy.received();
                assert_is_ann(&server, &received, proxy);
                assert_eq!(received.target, "/files/a");
                let credentials = ["x-lodge-key", "proxy-authorization", "authorization"];
                assert!(credentials.iter().all(|name| received.all(name).is_empty()), "{}: {received:?}", proxy.name);
            }
        }
        let admin = proxy.get("Authorization", &server.admin());
        assert_eq!(admin.status, 200, "{}: {admin:?}", proxy.name);
        assert_eq!(proxy.received().read_loosely("Remote-Groups"), "admin");
    }
}

#[test]
fn bodies_and_upgrades_pass_and_the_clients_query_is_not_lodges() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let lacking = server.key("ann", &["media / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("bodies_and_upgrades_pass", &server);

    for proxy in &proxies {
        let head =
            |method: &str, target: &str, key: &str| format!("{method} {target} HTTP/1.1\r\nX-Lodge-Key: {key}\r\n");
        let chunked = head("PUT", "/files/a", &key) + "Transfer-Encoding: chunked\r\n";
        assert_eq!(proxy.send(&chunked, "5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n").status, 200, "{}", proxy.name);
        assert_eq!(proxy.received().body, "hello!", "{}", proxy.name);
        let measured = head("POST", "/files", &key) + "Content-Length: 5\r\n";
        assert_eq!(proxy.send(&measured, "hello").status, 200, "{}", proxy.name);
        assert_eq!(proxy.received().body, "hello", "{}", proxy.name);

        let switched = proxy.send(&(head("GET", "/files/socket", &key) + WEBSOCKET), "");
        assert!(switched.status == 101 && switched.text.ends_with("\r\n\r\nhello"), "{}: {switched:?}", proxy.name);
        assert_is_ann(&server, &proxy.received(), proxy);
        let refused = head("GET", "/files/socket", &lacking) + &WEBSOCKET.replace(": Upgrade", ": Upgrade, close");
        assert_eq!(proxy.send(&refused, "").status, 403, "{}", proxy.name);

        assert_eq!(proxy.send(&head("GET", "/files?scope=any&errors=403", &key), "").status, 200, "{}", proxy.name);
        assert_eq!(proxy.received().target, "/files?scope=any&errors=403", "{}", proxy.name);
        assert_eq!(proxy.send(&head("GET", "/files?scope=any", &lacking), "").status, 403, "{}", proxy.name);
        assert_eq!(proxy.send(&head("GET", "/filesystem", &key), "").status, 404, "{}", proxy.name);
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
    }
}

#[test]
fn a_client_switches_to_a_web_socket_and_to_nothing_else() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("a_client_switches", &server);
    let offers = [
        "Upgrade: h2c\r\n",
        "Upgrade: h2c\r\nUpgrade: websocket\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: websocket, h2c\r\n",
    ];

    for proxy in &proxies {
        for offer in offers {
            let head = format!("GET /files/ HTTP/1.1\r\nX-Lodge-Key: {key}\r\n{offer}");
            let switch = "Connection: Upgrade, HTTP2-Settings, close\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n";
            proxy.send(&(head + switch), "");
            let received = proxy.service.take();
            let offered = |received: &Received| received.all("upgrade").concat().to_ascii_lowercase();
            assert!(!received.iter().any(|one| offered(one).contains("h2c")), "{} {offer:?}: {received:?}", proxy.name);
        }
    }
}

#[test]
fn what_lodge_refuses_never_reaches_the_service() {
    let server = server();
    let [revoked, session] = [server.key("ann", &["files / index"]), server.session("ann")];
    server.user("ann").delete("/users/me/api_keys/1").expect(204);
    session.delete("/users/sign_out").expect(204);
    let good = server.key("ann", &["files / index"]).authorization.unwrap();
    let refused = [
        (401, "no credential", server.anonymous()),
        (401, "a wrong key", server.with("lodge_wrong")),
        (401, "a wrong password", server.with(&basic("ann", "not her password"))),
        (401, "a revoked key", revoked),
        (401, "a closed session", session),
        (401, "an expired key", key_with(&server, "files / index", json!({"expires_at": "2020-01-01T00:00:00.000Z"}))),
        (403, "a key without the scope", server.key("ann", &["files / show"])),
        (
            403,
            "a key from elsewhere",
            key_with(&server, "files / index", json!({"allowed_networks": ["203.0.113.0/24"]})),
        ),
    ];
    let anywhere = key_with(&server, "files / index", json!({"allowed_networks": ["0.0.0.0/0"]}));
    let proxies = Proxy::start_all("what_lodge_refuses", &server);

    for proxy in &proxies {
        for (status, what, client) in &refused {
            let answer = proxy.get("Authorization", client);
            assert_eq!(answer.status, *status, "{}: {what}: {answer:?}", proxy.name);
            assert_eq!(answer.header("www-authenticate").is_some(), *status == 401, "{}: {answer:?}", proxy.name);
        }
        let lacking = proxy.get("Authorization", &refused[6].2);
        assert_eq!(lacking.header("x-lodge-missing-scope"), Some("files/index"), "{}: {lacking:?}", proxy.name);
        for name in ["Authorization", "X-Lodge-Key"] {
            let line = format!("{name}: {good}\r\n");
            let twice = proxy.send(&format!("GET /files/a HTTP/1.1\r\n{line}{line}"), "");
            assert!([400, 401].contains(&twice.status), "{}: {twice:?}", proxy.name);
            let joined = proxy.send(&format!("GET /files/a HTTP/1.1\r\n{name}: {good}, {good}\r\n"), "");
            assert_eq!(joined.status, 401, "{}: {joined:?}", proxy.name);
        }
        let received = proxy.service.take();
        assert!(received.is_empty(), "{}: {received:?}", proxy.name);
        // The proxy reports the client's address, whatever it is.
        assert_eq!(proxy.get("Authorization", &anywhere).status, 200, "{}", proxy.name);
    }
}

#[test]
fn what_a_client_claims_never_reaches_the_service_as_if_it_were_lodges() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("what_a_client_claims", &server);
    let nominations =
        ["Authorization", "X-Lodge-Key", "Remote-User", "X-Lodge-User-Id, Remote-Groups", "X-Forwarded-For"];

    for proxy in &proxies {
        let head = format!("GET /files/a HTTP/1.1\r\nX-Lodge-Key: {key}\r\n");
        let without = proxy.send(&format!("GET /files/a HTTP/1.1\r\n{CLAIMS}"), "");
        assert!([400, 401].contains(&without.status), "{}: {without:?}", proxy.name);
        let connections =
            nominations.map(|named| format!("Connection: close, {named}\r\nX-Forwarded-For: 203.0.113.7\r\n"));
        for connection in connections.iter().map(String::as_str).chain([""]) {
            for claims in [CLAIMS, &CLAIMS.lines().filter(|line| !line.contains('_')).collect::<Vec<_>>().join("\r\n")]
            {
                let claims = format!("{}\r\n", claims.trim_end());
                let answer = proxy.send(&format!("{head}{claims}{connection}"), "");
                assert!([200, 400, 401].contains(&answer.status), "{}: {answer:?}", proxy.name);
                for received in proxy.service.take() {
                    assert_is_ann(&server, &received, proxy);
                    let targets = ["X-Forwarded-Uri", "X-Original-URL", "X-Rewrite-URL"];
                    assert!(targets.iter().all(|name| !received.read_loosely(name).contains("admin")), "{received:?}");
                }
            }
        }
        // With nothing but hyphens and its own connection, the request is served.
        assert_eq!(proxy.send(&format!("{head}Remote-User: admin\r\nX-Lodge-User-Id: 1\r\n"), "").status, 200);
        assert_is_ann(&server, &proxy.received(), proxy);
    }
}

/// Before version 3.2 `haproxy` cannot drop trailers that are not announced; they arrive as what they are.
#[test]
fn what_follows_a_body_is_no_header_of_the_request() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("what_follows_a_body", &server);
    let body = "5\r\nhello\r\n0\r\nRemote-User: admin\r\nX-Lodge-User-Id: 1\r\n\r\n";

    for proxy in &proxies {
        let head = format!("PUT /files/a HTTP/1.1\r\nX-Lodge-Key: {key}\r\nTransfer-Encoding: chunked\r\n");
        for announced in ["", "Trailer: Remote-User, X-Lodge-User-Id\r\n"] {
            let answer = proxy.send(&format!("{head}{announced}"), body);
            assert!([200, 400].contains(&answer.status), "{} {announced:?}: {answer:?}", proxy.name);
            for received in proxy.service.take() {
                assert_is_ann(&server, &received, proxy);
                assert!(received.trailers.is_empty() || proxy.name == "haproxy", "{}: {received:?}", proxy.name);
            }
        }
    }
}

/// Lodge takes 96 headers, of which a proxy adds some.
#[test]
fn a_request_with_more_headers_than_lodge_takes_never_reaches_the_service() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("a_request_with_more_headers", &server);

    for proxy in &proxies {
        for count in [80, 92, 95, 96, 97, 120] {
            let headers = (0..count).map(|number| format!("X-{number}: x\r\n")).collect::<Vec<_>>().concat();
            let answer = proxy.send(&format!("GET /files/a HTTP/1.1\r\nX-Lodge-Key: {key}\r\n{headers}"), "");
            let received = proxy.service.take();
            assert!([200, 400, 431, 500].contains(&answer.status), "{} {count}: {answer:?}", proxy.name);
            assert_eq!(received.len(), usize::from(answer.status == 200), "{} {count}: {answer:?}", proxy.name);
            for received in received {
                assert_is_ann(&server, &received, proxy);
            }
        }
    }
}

#[test]
fn no_spelling_of_a_path_leads_past_lodge_or_to_another_path() {
    let server = server();
    let key = server.key("ann", &["files / index"]).authorization.unwrap();
    let proxies = Proxy::start_all("no_spelling_of_a_path", &server);
    let spellings = [
        "/files/../admin",
        "/files/..%2fadmin",
        "/files/%2e%2e/admin",
        "/files/..;/admin",
        "/files/.%2e;a=b/admin",
        "/files;x/a",
        "/files%2fa",
        "/files%5c..%5cadmin",
        "/x/../files/a",
        "//files/a",
        "/files//a",
        "/files/%252e%252e/admin",
        "/FILES/a",
        "/%66iles/a",
        "/.lodge",
        "/api/v2/users/me",
        "http://files.example/admin",
    ];

    for proxy in &proxies {
        for path in spellings {
            let without = proxy.send(&format!("GET {path} HTTP/1.1\r\n"), "");
            assert!([400, 401, 404].contains(&without.status), "{} {path}: {without:?}", proxy.name);
            assert!(proxy.service.take().is_empty(), "{} {path}", proxy.name);
            let answer = proxy.send(&format!("GET {path} HTTP/1.1\r\nX-Lodge-Key: {key}\r\n"), "");
            assert!([200, 400, 404].contains(&answer.status), "{} {path}: {answer:?}", proxy.name);
            for received in proxy.service.take() {
                let target = received.target.to_ascii_lowercase();
                let is_ambiguous = ["..", "%2e", "%2f", "%5c", ";"].iter().any(|part| target.contains(part));
                assert!(!is_ambiguous, "{} {path}: {received:?}", proxy.name);
                assert_is_ann(&server, &received, proxy);
            }
        }
    }
}

#[test]
fn lodge_is_asked_below_its_base_path() {
    let mut server = server();
    let [key, lacking] = [server.key("ann", &["files / index"]), server.key("ann", &["files / show"])];
    server.set_variable("LODGE_BASE_PATH", "/accounts");
    server.restart();
    let proxies = Proxy::start_all("lodge_is_asked_below_its_base_path", &server);

    for proxy in &proxies {
        assert_eq!(proxy.get("X-Lodge-Key", &key).status, 200, "{}: {}", proxy.name, proxy.log());
        assert_eq!(proxy.received().read_loosely("Remote-User"), "ann", "{}", proxy.name);
        assert_eq!(proxy.get("X-Lodge-Key", &lacking).status, 403, "{}", proxy.name);
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
    }
}

#[test]
fn a_lockout_is_429_to_the_client() {
    let server = server();
    let proxies = Proxy::start_all("a_lockout_is_429", &server);

    for proxy in &proxies {
        server.user(proxy.name);
        let wrong = server.with(&basic(proxy.name, "not the password"));
        let answer = std::iter::repeat_with(|| proxy.get("Authorization", &wrong)).find(|answer| answer.status != 401);

        let answer = answer.unwrap();
        assert_eq!(answer.status, 429, "{}: {answer:?}", proxy.name);
        assert!(answer.header("retry-after").is_some(), "{}: {answer:?}", proxy.name);
        assert!(proxy.service.take().is_empty(), "{}", proxy.name);
    }
}

#[test]
fn a_lodge_that_is_slow_or_down_admits_nobody() {
    let mut server = server();
    let key = server.key("ann", &["files / index"]);
    let proxies = Proxy::start_all("a_lodge_that_is_slow_or_down", &server);
    let ask = || {
        thread::scope(|scope| {
            let ask = |proxy| (Proxy::get(proxy, "X-Lodge-Key", &key), proxy);
            let asked: Vec<_> = proxies.iter().map(|proxy| scope.spawn(move || ask(proxy))).collect();
            for (answer, proxy) in asked.into_iter().map(|asked| asked.join().unwrap()) {
                assert!((500..=504).contains(&answer.status), "{}: {answer:?}", proxy.name);
                assert!(proxy.service.take().is_empty(), "{}", proxy.name);
            }
        });
    };

    server.freeze();
    ask();
    server.kill();
    ask();
}

#[test]
fn a_key_that_is_revoked_admits_nobody_through_any_proxy() {
    let server = server();
    let races = repetitions("LODGE_TEST_RACES", RACES);
    let proxies = Proxy::start_all("a_key_that_is_revoked", &server);
    let ann = server.user("ann");

    for proxy in &proxies {
        let mut passed = 0;
        for _ in 0..races {
            let created =
                ann.post("/users/me/api_keys", &json!({"api_key_scopes": [{"controller": "files", "action": "*"}]}));
            let (id, key) = (created.id(), server.with(created.json()["key"].as_str().unwrap()));
            assert_eq!(proxy.get("X-Lodge-Key", &key).status, 200, "the key is good at first");
            passed += race(proxy, &key, || drop(ann.delete(&format!("/users/me/api_keys/{id}")).expect(204)));
        }
        assert_eq!(passed, 0, "{}: requests passed that began after the answer", proxy.name);
    }
}

/// Uses the key all the time while `revoke` takes it away; returns how many late requests were not refused.
fn race(proxy: &Proxy, key: &Client, revoke: impl FnOnce()) -> usize {
    let is_gone = AtomicBool::new(false);
    thread::scope(|scope| {
        let asker = scope.spawn(|| {
            let (mut late, mut passed) = (0, 0);
            while late < LATE {
                let is_late = is_gone.load(Ordering::SeqCst);
                let status = proxy.get("X-Lodge-Key", key).status;
                assert!([200, 401].contains(&status), "{status}");
                late += usize::from(is_late);
                passed += usize::from(is_late && status == 200);
            }
            passed
        });
        revoke();
        is_gone.store(true, Ordering::SeqCst);
        asker.join().unwrap()
    })
}
