//! Guessing passwords and keys: what it costs, whom it concerns, and whom it does not.

use std::collections::BTreeSet;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Reply, Request, Server, ServerBuilder, basic, password_of},
    http::{
        audit::{is_whole, printed},
        conversation::Conversation,
        expectations::at_once,
    },
};

const WRONG: &str = "not the keys to the house";
/// More passwords than can be tried of an account within two minutes: five, and one each after 1, 2, 4, 8, 16, 32 and 64 s.
const FEW: usize = 12;

/// A server with a trusted proxy in front of it, which names the address of each request.
fn behind_a_proxy(throttle_after: &str) -> Server {
    ServerBuilder::new().flag("--trusted-proxy", "127.0.0.1").flag("--throttle-after", throttle_after).start()
}

fn sign_in(username: &str, password: &str) -> Request {
    let body = json!({"user": {"username": username, "password": password}});
    Request::new("POST", "/users/sign_in").json(&body)
}

fn by_basic(username: &str, password: &str) -> Request {
    Request::new("GET", "/users/me").header("Authorization", basic(username, password))
}

fn by_key(key: &str) -> Request {
    Request::new("GET", "/users/me").header("Authorization", key)
}

fn from(address: &str, request: Request) -> Request {
    request.header("X-Forwarded-For", address)
}

/// The answers to requests that are sent all at once on one connection, so that no time passes in between.
fn in_a_row(server: &Server, requests: impl IntoIterator<Item = Request>) -> Vec<Reply> {
    let requests: Vec<_> = requests.into_iter().collect();
    let mut conversation = Conversation::with(server.address);
    let lines = |request: &Request| {
        let headers =
            request.headers.iter().map(|(name, value)| format!("{name}: {}\r\n", String::from_utf8_lossy(value)));
        let (headers, body) = (headers.collect::<String>(), String::from_utf8_lossy(&request.body));
        let start = format!("{} {} HTTP/1.1\r\nHost: lodge\r\n", request.method, request.path);
        format!("{start}Content-Length: {}\r\n{headers}\r\n{body}", body.len())
    };
    conversation.say(requests.iter().map(lines).collect::<String>());
    requests.iter().map(|_| conversation.hear()).collect()
}

fn statuses(replies: &[Reply]) -> Vec<u16> {
    replies.iter().map(|reply| reply.status).collect()
}

/// A key that has the right checksum and was never made.
fn forged_key(number: u8) -> String {
    let mut bytes = vec![number; 48];
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    format!("lodge_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Fails for the account from so many addresses that it waits over all of them, for 30 s; the throttle is set to 1.
fn flood(server: &Server, username: &str) {
    let request = |number| from(&format!("198.51.100.{number}"), sign_in(username, WRONG));
    let replies = in_a_row(server, (0..20).map(request));
    assert_eq!(statuses(&replies), [401; 20]);
}

fn status_from(server: &Server, address: &str, username: &str, password: &str) -> u16 {
    server.anonymous().send(&from(address, sign_in(username, password))).status
}

#[test]
fn an_attack_from_everywhere_slows_the_account_for_new_addresses_alone() {
    let server = behind_a_proxy("1");
    assert_eq!(status_from(&server, "192.0.2.1", "admin", ADMIN_PASSWORD), 201);
    let session = server.session("admin");

    flood(&server, "admin");

    let elsewhere = server.anonymous().send(&from("192.0.2.2", sign_in("admin", ADMIN_PASSWORD)));
    let retry_after: u64 = elsewhere.header("retry-after").unwrap().parse().unwrap();
    assert_eq!(elsewhere.status, 429);
    assert!((1..=30).contains(&retry_after), "{retry_after}");
    assert_eq!(status_from(&server, "192.0.2.1", "admin", ADMIN_PASSWORD), 201);
    session.get("/users/me").expect(200);
    assert!(server.log().contains("sign-ins to an account from new addresses wait: user_id=1 failures=20"));
}

#[test]
fn a_success_clears_the_failures_of_its_account() {
    let server = Server::start();
    let four_and_the_right_one =
        || std::iter::repeat_n(sign_in("admin", WRONG), 4).chain([sign_in("admin", ADMIN_PASSWORD)]);

    let replies = in_a_row(&server, (0..5).flat_map(|_| four_and_the_right_one()));

    assert_eq!(statuses(&replies), [401, 401, 401, 401, 201].repeat(5));
}

#[test]
fn of_a_hundred_wrong_passwords_in_a_row_a_few_are_verified() {
    let server = Server::start();
    let guess = |number| by_basic("admin", &format!("{WRONG}{number}"));

    let replies = in_a_row(&server, (0..100).map(guess));

    let (checked, waited): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 401);
    assert!(waited.iter().all(|reply| reply.status == 429 && reply.header("retry-after").is_some()));
    assert_eq!(statuses(&replies)[..5], [401; 5]);
    assert!(checked.len() <= FEW, "{}", checked.len());
}

#[test]
fn of_many_simultaneous_wrong_passwords_as_few_are_verified() {
    let mut server = Server::start();

    let replies = at_once(40, |number| {
        let password = format!("{WRONG}{number}");
        let request = if number % 2 == 0 { by_basic("admin", &password) } else { sign_in("admin", &password) };
        server.anonymous().send(&request)
    });

    let checked = replies.iter().filter(|reply| reply.status == 401).count();
    assert!(replies.iter().all(|reply| [401, 429, 503].contains(&reply.status)));
    assert!((5..=FEW).contains(&checked), "{checked}");
    let waiting = replies.iter().filter(|reply| reply.status != 401);
    assert!(waiting.map(|reply| reply.header("retry-after")).all(|retry_after| retry_after.is_some()));
    server.stop();
    let entries = printed(&server, &[]);
    assert_eq!(number_recorded(&entries, "had_to_wait", &json!({"username": "admin"})), number_of(&replies, 429));
    server.start_again();
}

#[test]
fn simultaneous_sign_ins_with_the_right_password_all_succeed() {
    let server = Server::start();
    server.user("ann");

    let replies = at_once(12, |_| server.anonymous().send(&sign_in("ann", &password_of("ann"))));

    assert_eq!(statuses(&replies), [201; 12]);
}

#[test]
fn ended_and_mistyped_credentials_never_count() {
    let server = ServerBuilder::new().flag("--throttle-after", "1").start();
    let ended = server.session("admin");
    ended.delete("/users/sign_out").expect(204);
    let destroyed = server.key("admin", &["* / *"]);
    server.admin().delete("/users/me/api_keys/1").expect(204);
    let owned = server.key("ann", &["* / *"]);
    server.admin().delete(&format!("/users/{}", server.id_of("ann"))).expect(204);
    server.user("ben");

    for stale in
        [&ended, &destroyed, &owned, &server.with("lodge_mistyped"), &server.with("a.b.c"), &server.anonymous()]
    {
        for _ in 0..25 {
            assert_eq!(stale.get("/users/me").status, 401);
        }
    }
    for _ in 0..25 {
        server.anonymous().post("/users/sign_in", &json!({"user": {"username": "ben"}})).expect(401);
    }

    assert_eq!(server.admin().get("/locks").expect(200).json(), json!({"locks": [], "count": 0}));
    assert_eq!(in_a_row(&server, [sign_in("nobody", WRONG), sign_in("ben", &password_of("ben"))])[1].status, 201);
}

#[test]
fn forwarding_headers_of_an_untrusted_peer_are_ignored_and_logged_once() {
    let server = Server::start();
    let headers = [("X-Forwarded-For", ""), ("Forwarded", "for=")];
    let guess = |number: usize| {
        let (name, prefix) = headers[number % 2];
        sign_in("admin", WRONG).header(name, format!("{prefix}198.51.100.{number}"))
    };

    let replies = in_a_row(&server, (0..=FEW).map(guess));

    assert!(statuses(&replies).contains(&429), "they come from one address");
    let log = server.whole_log();
    let notes: Vec<_> = log.lines().filter(|line| line.contains("is not a trusted proxy")).collect();
    assert!(notes.len() == 1 && notes[0].contains("WARN") && notes[0].contains("127.0.0.1"), "{notes:?}");
    assert!(!log.contains("198.51.100."), "{log}");
}

#[test]
fn forwarding_headers_of_a_trusted_proxy_are_followed_to_the_first_untrusted_address() {
    let server = behind_a_proxy("5");
    let guess = |value: String| sign_in("admin", WRONG).header("X-Forwarded-For", value);

    // Whatever the client itself has written comes before what the proxy adds.
    let forged = in_a_row(&server, (0..=FEW).map(|number| guess(format!("198.51.100.{number}, 192.0.2.1"))));
    let of_one_network = in_a_row(&server, (0..=FEW).map(|number| guess(format!("2001:db8::{number}"))));
    let unreadable = in_a_row(&server, (0..=FEW).map(|number| guess(format!("198.51.100.{number}, unknown"))));

    for replies in [forged, of_one_network, unreadable] {
        assert!(statuses(&replies).contains(&429), "they come from one network");
    }
    assert!(!server.whole_log().contains("is not a trusted proxy"));
}

#[test]
fn the_log_records_when_a_lockout_begins_and_never_a_name() {
    let server = behind_a_proxy("1");
    let secret = "typed into the wrong field";

    in_a_row(&server, [from("192.0.2.1", sign_in("admin", WRONG)), from("192.0.2.2", sign_in(secret, WRONG))]);
    in_a_row(&server, (0..12).map(|number| from("192.0.2.3", sign_in(&format!("{secret} {number}"), WRONG))));

    let log = server.whole_log();
    for output in [
        "sign-ins to an account from one address wait: user_id=1 address=192.0.2.1 failures=1",
        "sign-ins to an account from one address wait: user_id=- address=192.0.2.2 failures=1",
        "sign-ins from an address to accounts that are new to it wait: address=192.0.2.3 failures=10",
    ] {
        assert_eq!(log.matches(output).count(), 1, "{output}: {log}");
    }
    assert!(!log.contains(secret) && log.contains(" WARN "));
}

#[test]
fn a_locked_out_account_is_listed_by_name_page_by_page() {
    let server = behind_a_proxy("1");
    let admin = server.session("admin");
    flood(&server, "admin");

    let all = admin.get("/locks").expect(200).json();

    let account: Vec<_> = all["locks"].as_array().unwrap().iter().filter(|lock| lock["kind"] == "account").collect();
    assert_eq!((account.len(), &account[0]["username"], &account[0]["address"]), (1, &json!("admin"), &Value::Null));
    let until = account[0]["waits_until"].as_str().unwrap();
    assert_eq!(until.len(), "2026-11-23T17:22:00.000Z".len());
    let count = |page: &str| {
        let page = admin.get(page).expect(200).json();
        page["locks"].as_array().unwrap().len()
    };
    assert_eq!(["/locks?limit=0", "/locks?offset=1000"].map(count), [0, 0]);
    admin.get("/locks?limit=-1").expect(400);
}

#[test]
fn a_user_who_was_renamed_is_not_named_among_the_locks() {
    let server = behind_a_proxy("1");
    let ann = server.id_of("ann");
    flood(&server, "ann");

    server.admin().put(&format!("/users/{ann}"), &json!({"username": "anna"})).expect(200);

    let locks = server.admin().get("/locks").expect(200).json();
    let account = locks["locks"].as_array().unwrap().iter().find(|lock| lock["kind"] == "account").unwrap().clone();
    assert_eq!(account["username"], Value::Null);
}

#[test]
fn an_administrator_clears_locks() {
    let server = behind_a_proxy("1");
    for (query, status) in [
        ("?username=ben", 429),
        ("?address=192.0.2.9", 429),
        ("?username=ADMIN&address=192.0.2.9", 429),
        ("?username=ADMIN", 201),
        ("", 201),
    ] {
        server.admin().delete("/locks").expect(204);
        flood(&server, "admin");

        server.admin().delete(&format!("/locks{query}")).expect(204);

        assert_eq!(
            status_from(&server, &format!("203.0.113.{}", query.len()), "admin", ADMIN_PASSWORD),
            status,
            "{query}"
        );
    }
    assert!(server.whole_log().contains("locks were cleared: user_id=1"));
}

#[test]
fn an_administrator_clears_failures_that_have_not_led_to_a_lock_yet() {
    let server = behind_a_proxy("5");
    let query = "?username=admin&address=192.0.2.1";
    for query in ["?username=admin", "?address=192.0.2.1", query, ""] {
        for _ in 0..4 {
            assert_eq!(status_from(&server, "192.0.2.1", "admin", WRONG), 401, "{query}");
        }
        server.admin().delete(&format!("/locks{query}")).expect(204);
    }
    assert_eq!(status_from(&server, "192.0.2.1", "admin", WRONG), 401);
}

#[test]
fn the_query_of_the_locks_to_clear_must_be_valid() {
    let server = behind_a_proxy("1");
    flood(&server, "ann");
    for query in [
        "username=",
        "address=",
        "address=x",
        "address=192.0.2.0/24",
        "address=192.0.2.1:80",
        "username=a&username=b",
        "address=192.0.2.1&address=192.0.2.1",
        "username=ann&address=",
        "user=ann",
        "username=ann&limit=1",
    ] {
        server.admin().delete(&format!("/locks?{query}")).expect(400);
    }
    let locks = server.admin().get("/locks").expect(200).json();
    assert!(locks["locks"].as_array().unwrap().iter().any(|lock| lock["kind"] == "account"));
}

#[test]
fn a_restricted_key_clears_no_locks_of_administrators() {
    let server = behind_a_proxy("1");
    let (restricted, whole) = (server.key("admin", &["locks / *"]), server.key("admin", &["* / *"]));
    server.user("ann");
    flood(&server, "ann");
    let lacks = json!({"error": "This API key lacks the scope * / *."});

    for query in ["", "?username=admin", "?username=Admin&address=192.0.2.1", "?address=192.0.2.1"] {
        assert_eq!(restricted.delete(&format!("/locks{query}")).expect(403).json(), lacks, "{query}");
        whole.delete(&format!("/locks{query}").replace("=admin", "=nobody")).expect(204);
        flood_again(&server);
    }
    assert_eq!(status_from(&server, "203.0.113.1", "ann", &password_of("ann")), 429);
    restricted.delete("/locks?username=ann").expect(204);
    restricted.delete("/locks?username=nobody").expect(204);

    assert_eq!(status_from(&server, "203.0.113.2", "ann", &password_of("ann")), 201);
    restricted.get("/locks").expect(200);
}

/// Clears everything and floods `ann` anew.
fn flood_again(server: &Server) {
    server.admin().delete("/locks").expect(204);
    flood(server, "ann");
}

#[test]
fn nothing_that_was_counted_survives_a_restart() {
    let mut server = behind_a_proxy("1");
    flood(&server, "admin");
    assert_eq!(status_from(&server, "203.0.113.1", "admin", ADMIN_PASSWORD), 429);

    server.restart();

    assert_eq!(status_from(&server, "203.0.113.1", "admin", ADMIN_PASSWORD), 201);
}

#[test]
fn an_address_that_is_known_to_an_account_is_so_after_a_restart() {
    let mut server = behind_a_proxy("1");
    assert_eq!(status_from(&server, "192.0.2.1", "admin", ADMIN_PASSWORD), 201);

    server.restart();
    flood(&server, "admin");

    let statuses = ["192.0.2.1", "192.0.2.2"].map(|from| status_from(&server, from, "admin", ADMIN_PASSWORD));
    assert_eq!(statuses, [201, 429]);
}

#[test]
fn a_throttle_of_0_lets_every_attempt_pass_and_the_log_warns() {
    let server = ServerBuilder::new().flag("--throttle-after", "0").start();

    let replies = in_a_row(&server, (0..60).map(|_| sign_in("admin", WRONG)));

    assert_eq!(statuses(&replies), [401; 60]);
    assert!(server.log().contains("guessing is not slowed down (--throttle-after)"));
}

/// The number of entries in the audit log about such attempts.
#[track_caller]
fn number_recorded(entries: &[Value], result: &str, of: &Value) -> u64 {
    let is_of = |entry: &&Value| {
        let members = of.as_object().unwrap();
        entry["result"] == result && members.iter().all(|(name, value)| entry[name] == *value)
    };
    entries.iter().filter(is_of).map(|entry| entry["count"].as_u64().unwrap()).sum()
}

fn number_of(replies: &[Reply], status: u16) -> u64 {
    replies.iter().filter(|reply| reply.status == status).count() as u64
}

#[test]
fn the_audit_log_records_how_many_attempts_were_refused_and_how_many_had_to_wait() {
    let mut server = ServerBuilder::new().flag("--throttle-after", "1").start();
    let (ann, strange) = (server.id_of("ann"), "typed into the wrong field");
    let keys = (0..20).map(|number| by_key(&forged_key(number)));
    let of_ann = json!({"action": "sessions / create", "user_id": ann, "username": "ann", "credential": "password"});
    let of_nobody = json!({"action": "credentials / check", "user_id": null, "credential": "password"});
    let of_strange = json!({"action": "sessions / create", "user_id": null, "credential": "password"});
    let of_keys = json!({"action": "credentials / check", "user_id": null, "credential": "api_key"});
    let made = [
        (in_a_row(&server, vec![sign_in("Ann", WRONG); FEW]), of_ann),
        (in_a_row(&server, vec![by_basic("nobody", WRONG); FEW]), of_nobody),
        (in_a_row(&server, vec![sign_in(strange, WRONG); FEW]), of_strange),
        (in_a_row(&server, keys), of_keys),
    ];
    assert!(server.stop().success());

    let entries = printed(&server, &[]);

    for (replies, of) in made {
        let (refused, waited) = (number_of(&replies, 401), number_of(&replies, 429));
        assert_eq!(number_recorded(&entries, "refused", &of), refused, "{of}");
        assert_eq!(number_recorded(&entries, "had_to_wait", &of), waited, "{of}");
        assert!(waited > 0, "{of}");
    }
    let waits: Vec<_> = entries.iter().filter(|entry| entry["result"] == "had_to_wait").collect();
    assert!(waits.iter().all(|wait| wait["address"] == "127.0.0.1"), "{waits:?}");
    let hashes: BTreeSet<_> = entries.iter().filter_map(|entry| entry["username_hash"].as_str()).collect();
    assert_eq!(hashes.len(), 2, "one for each unknown name");
    assert!(!format!("{entries:?}").contains(strange));
    let of_user = printed(&server, &["--user", "ANN", "--action", "sessions / *"]);
    assert!(of_user.iter().any(|entry| entry["result"] == "had_to_wait"), "{of_user:?}");
    is_whole(&server);
    server.start_again();
}
