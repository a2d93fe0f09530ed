//! Guessing while the clock stands still: what has to wait, and what does not.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Range,
    sync::atomic::Ordering,
};

use actix_web::rt::System;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use futures_util::future::join_all;
use lodge::{
    domain::{Account, Actor, AuthMethod, Id, Outcome, User},
    store::Tables,
};
use serde_json::{Value, json};

use crate::test_app::{Answer, Asked, Header, PASSWORD, TestApp, advance, basic};

const WRONG: &str = "not the keys to the house";

type Request = (Vec<Header>, Asked);

/// An application behind a trusted proxy, with the users `ann` and `ben`.
async fn test_app(throttle_after: &str) -> TestApp {
    let test_app = TestApp::with(&["--trusted-proxy", "127.0.0.1", "--throttle-after", throttle_after]).await;
    test_app.take_in(1, "ann", PASSWORD).await;
    test_app.take_in(2, "ben", PASSWORD).await;
    test_app
}

fn sign_in(username: &str, password: &str) -> Request {
    let body = json!({"user": {"username": username, "password": password}});
    (Vec::new(), ("POST", "/users/sign_in".to_owned(), body))
}

fn asking(method: &'static str, path: &str, authorization: String) -> Request {
    (vec![("Authorization", authorization)], (method, path.to_owned(), Value::Null))
}

fn by_basic(username: &str, password: &str) -> Request {
    asking("GET", "/users/me", basic(username, password))
}

fn from(address: &str, (mut headers, asked): Request) -> Request {
    headers.push(("X-Forwarded-For", address.to_owned()));
    (headers, asked)
}

/// A key that has the right checksum and was never made.
fn forged_key(number: u8) -> Request {
    let mut bytes = vec![number; 48];
    bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
    asking("GET", "/users/me", format!("lodge_{}", BASE64_URL_SAFE_NO_PAD.encode(bytes)))
}

async fn answers(test_app: &TestApp, requests: impl IntoIterator<Item = Request>) -> Vec<Answer> {
    let mut answers = Vec::new();
    for (headers, asked) in requests {
        answers.push(test_app.answer(&headers, &asked).await);
    }
    answers
}

async fn statuses(test_app: &TestApp, requests: impl IntoIterator<Item = Request>) -> Vec<u16> {
    answers(test_app, requests).await.iter().map(|answer| answer.status).collect()
}

#[tokio::test]
async fn after_five_failures_in_sign_in_or_basic_the_right_password_waits_too() {
    let test_app = test_app("5").await;
    let failures = [
        by_basic("ANN", "x"),
        sign_in("ann", WRONG),
        by_basic("ann", WRONG),
        sign_in("ann", WRONG),
        sign_in("Ann", "x"),
    ];
    assert_eq!(statuses(&test_app, failures).await, [401; 5]);

    let waiting = [sign_in("ann", PASSWORD), by_basic("ann", PASSWORD), sign_in("ann", WRONG)];
    for answer in answers(&test_app, waiting).await {
        assert_eq!((answer.status, answer.header("retry-after")), (429, Some("1")));
        assert_eq!(answer.header("authorization"), None);
        assert_eq!(answer.body, json!({"error": "Too many attempts have failed; try again later."}));
    }
}

#[tokio::test]
async fn an_unknown_account_waits_as_a_known_one_does() {
    let test_app = test_app("5").await;
    let observable = |answer: Answer| {
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let headers = answer.headers.iter().map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let mut headers: BTreeMap<_, _> = headers.collect();
        headers.remove("x-request-id");
        (answer.status, headers, answer.body)
    };
    let mut seen = Vec::new();
    for (username, address) in [("ann", "192.0.2.1"), ("nobody", "192.0.2.2"), ("no name \u{1f511}", "192.0.2.3")] {
        let attempts = (0..6).flat_map(|_| [sign_in(username, WRONG), by_basic(username, WRONG)]);
        let answers = answers(&test_app, attempts.map(|request| from(address, request))).await;
        seen.push(answers.into_iter().map(observable).collect::<Vec<_>>());
    }

    assert_eq!(seen[0].iter().map(|observable| observable.0).collect::<Vec<_>>(), [&[401; 5][..], &[429; 7]].concat());
    assert_eq!(seen[1], seen[0]);
    assert_eq!(seen[2], seen[0]);
}

/// The answers to requests that arrive together, and how many hashes they take.
async fn together(test_app: &TestApp, requests: &[Request]) -> (Vec<Answer>, u64) {
    let (hashes, held) = (test_app.state.authenticator.hasher.computed(), test_app.hold_hashes());
    let mut all = Box::pin(join_all(requests.iter().map(|(headers, asked)| test_app.answer(headers, asked))));
    assert!(advance(&mut all).is_none());
    drop(held);
    let answers = all.await;
    // One is that of the attempt which holds the others.
    (answers, test_app.state.authenticator.hasher.computed() - hashes - 1)
}

#[tokio::test]
async fn simultaneous_equal_attempts_are_one_attempt_for_known_and_unknown_users() {
    let test_app = test_app("5").await;
    let names = [("ann", "192.0.2.1"), ("nobody", "192.0.2.2"), ("no name \u{1f511}", "192.0.2.3")];
    for (username, address) in names {
        for request in [by_basic(username, WRONG), sign_in(username, WRONG)] {
            let (answers, hashes) = together(&test_app, &vec![from(address, request); 12]).await;

            let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
            assert_eq!((statuses, hashes), (vec![401; 12], 1), "{username}");
        }
        let failures = test_app.state.authenticator.throttle.lockouts().len();
        assert_eq!(failures, 0, "{username}: two failures were counted, and not 24");
    }
}

#[tokio::test]
async fn equal_sign_ins_that_arrive_together_take_one_hash_and_open_a_session_each() {
    let test_app = test_app("5").await;

    let (answers, hashes) = together(&test_app, &vec![sign_in("ann", PASSWORD); 12]).await;

    let tokens: HashSet<_> = answers.iter().map(|answer| answer.header("authorization").unwrap()).collect();
    assert_eq!((tokens.len(), hashes), (12, 1));
    for token in tokens {
        assert_eq!(statuses(&test_app, [asking("GET", "/users/me", token.to_owned())]).await, [200]);
    }
}

#[tokio::test]
async fn equal_sign_ins_at_another_address_or_with_another_password_are_other_attempts() {
    let test_app = test_app("5").await;
    let requests = [
        from("192.0.2.1", sign_in("ann", PASSWORD)),
        from("192.0.2.2", sign_in("ann", PASSWORD)),
        from("192.0.2.1", sign_in("ann", WRONG)),
        from("192.0.2.1", sign_in("ben", PASSWORD)),
    ];

    let (answers, hashes) = together(&test_app, &requests).await;

    let statuses: Vec<_> = answers.iter().map(|answer| answer.status).collect();
    assert_eq!((statuses, hashes), (vec![201, 201, 401, 201], 4));
}

#[tokio::test]
async fn different_attempts_beyond_the_bound_are_refused_at_once_with_a_503() {
    let test_app = test_app("2").await;
    for username in ["ann", "nobody"] {
        let held = test_app.hold_hashes();
        let guesses: Vec<_> = (0..2).map(|number| sign_in(username, &format!("{WRONG} {number}"))).collect();
        let mut running = Box::pin(join_all(guesses.iter().map(|(headers, asked)| test_app.answer(headers, asked))));
        assert!(advance(&mut running).is_none());

        for (headers, asked) in [sign_in(username, PASSWORD), by_basic(username, PASSWORD)] {
            let mut asking = Box::pin(test_app.answer(&headers, &asked));
            let refused = advance(&mut asking).expect("it is answered at once");
            assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")), "{username}");
        }

        drop(held);
        assert!(running.await.iter().all(|answer| answer.status == 401), "{username}");
        assert_eq!(statuses(&test_app, [sign_in(username, PASSWORD)]).await, [429], "{username}");
    }
}

#[tokio::test]
async fn a_password_that_changes_while_equal_sign_ins_are_verified_leaves_no_session() {
    let test_app = test_app("5").await;
    test_app.take_in(3, "cid", "another house").await;
    let user = |number| test_app.store.user(Id::new(number).unwrap()).unwrap().unwrap();
    let changed = User { password: user(3).password, ..user(1) };
    let held = test_app.hold_hashes();
    let (headers, asked) = sign_in("ann", PASSWORD);
    let mut all = Box::pin(join_all((0..3).map(|_| test_app.answer(&headers, &asked))));
    assert!(advance(&mut all).is_none());

    test_app.store.write(move |txn| txn.put(&changed)).await.unwrap();
    drop(held);

    assert_eq!(all.await.iter().map(|answer| answer.status).collect::<Vec<_>>(), [401; 3]);
    assert_eq!(test_app.store.sessions(Id::new(1).unwrap()).unwrap(), []);
}

#[tokio::test]
async fn a_sign_in_changes_no_account() {
    let test_app = test_app("5").await;
    let accounts = test_app.store.users_version();

    assert_eq!(statuses(&test_app, [sign_in("ann", PASSWORD)]).await, [201]);

    assert_eq!(test_app.store.users_version(), accounts);
}

#[tokio::test]
async fn an_attempt_that_waits_costs_no_hash_no_read_and_no_write_whether_its_user_exists_or_not() {
    let test_app = test_app("1").await;
    for username in ["ann", "nobody"] {
        assert_eq!(statuses(&test_app, [sign_in(username, WRONG)]).await, [401]);
        let (hashes, reads, writes) = (
            test_app.state.authenticator.hasher.computed(),
            test_app.reads.load(Ordering::Relaxed),
            test_app.writes.load(Ordering::Relaxed),
        );

        let waiting = [sign_in(username, PASSWORD), by_basic(username, PASSWORD)];
        assert_eq!(statuses(&test_app, waiting).await, [429; 2]);

        assert_eq!(test_app.state.authenticator.hasher.computed(), hashes, "{username}");
        assert_eq!(test_app.reads.load(Ordering::Relaxed), reads, "{username}");
        assert_eq!(test_app.writes.load(Ordering::Relaxed), writes, "{username}");
    }
}

#[tokio::test]
async fn another_address_and_another_account_still_answer() {
    let test_app = test_app("5").await;
    let wrong = std::iter::repeat_n(from("192.0.2.1", sign_in("ann", WRONG)), 6);
    assert_eq!(statuses(&test_app, wrong).await, [401, 401, 401, 401, 401, 429]);

    let others = [
        from("192.0.2.2", sign_in("ann", PASSWORD)),
        from("192.0.2.1", sign_in("ben", PASSWORD)),
        from("192.0.2.1", sign_in("ann", PASSWORD)),
    ];
    assert_eq!(statuses(&test_app, others).await, [201, 201, 429]);
}

#[tokio::test]
async fn an_address_waits_on_accounts_that_are_new_to_it_and_on_no_others() {
    let test_app = test_app("1").await;
    assert_eq!(statuses(&test_app, [sign_in("ann", PASSWORD)]).await, [201]);
    let guesses = (0..10).map(|number| sign_in(&format!("nobody{number}"), WRONG));
    assert_eq!(statuses(&test_app, guesses).await, [401; 10]);

    assert_eq!(statuses(&test_app, [sign_in("ben", PASSWORD), sign_in("ann", PASSWORD)]).await, [429, 201]);
}

#[tokio::test]
async fn a_cached_password_is_no_oracle_during_a_lockout() {
    let test_app = test_app("5").await;
    let right = || by_basic("ann", PASSWORD);
    assert_eq!(statuses(&test_app, [right(), right()]).await, [200; 2]);
    assert_eq!(statuses(&test_app, std::iter::repeat_n(by_basic("ann", WRONG), 5)).await, [401; 5]);

    assert_eq!(statuses(&test_app, [right()]).await, [429]);
}

#[test]
fn the_audit_log_records_a_cached_password_that_had_to_wait() {
    let test_app = System::new().block_on(async {
        let test_app = test_app("1").await;
        let (right, wrong) = (by_basic("ann", PASSWORD), by_basic("ANN", WRONG));
        assert_eq!(statuses(&test_app, [right.clone(), right.clone(), wrong]).await, [200, 200, 401]);
        assert_eq!(statuses(&test_app, [right.clone(), right]).await, [429; 2]);
        test_app
    });

    let observable = test_app.audit_entries().into_iter().map(|event| (event.outcome, event.actor, event.count));

    let account = Some(Account::Known(Id::new(1).unwrap(), "ann".to_owned()));
    let ann = Actor { account, method: AuthMethod::Password, address: Some([127, 0, 0, 1].into()) };
    let expected = HashSet::from([(Outcome::Refused, ann.clone(), 1), (Outcome::HadToWait, ann, 2)]);
    assert_eq!(observable.collect::<HashSet<_>>(), expected);
}

#[tokio::test]
async fn unknown_keys_count_for_their_address_and_right_ones_pass_all_the_same() {
    let test_app = test_app("1").await;
    let (headers, _) = by_basic("ann", PASSWORD);
    let scopes = json!({"api_key_scopes": [{"controller": "users", "action": "show"}]});
    let made = test_app.answer(&headers, &("POST", "/users/me/api_keys".to_owned(), scopes)).await;
    let key = made.body["key"].as_str().unwrap().to_owned();
    let forged = |numbers: Range<u8>| numbers.map(forged_key);
    assert_eq!(statuses(&test_app, forged(0..10)).await, [401; 10]);

    let then = forged(10..11).chain([sign_in("ben", PASSWORD), asking("GET", "/users/me", key)]);
    let answers = answers(&test_app, then).await;

    assert_eq!(answers.iter().map(|answer| answer.status).collect::<Vec<_>>(), [429, 429, 200]);
    assert_eq!(answers[0].header("retry-after"), Some("1"));
}

#[tokio::test]
async fn an_administrator_sees_lockouts_with_the_names_of_users_that_exist() {
    let test_app = test_app("1").await;
    let guesses = [from("192.0.2.1", sign_in("Ann", WRONG)), from("2001:db8::7", sign_in("nobody", WRONG))];
    assert_eq!(statuses(&test_app, guesses).await, [401; 2]);

    let (headers, _) = by_basic("ben", PASSWORD);
    let seen = test_app.answer(&headers, &("GET", "/locks".to_owned(), Value::Null)).await;

    let until = "2027-01-15T08:00:01.000Z";
    let expected = json!({"locks": [
        {"kind": "account_from_address", "username": "ann", "address": "192.0.2.1", "failures": 1, "waits_until": until},
        {"kind": "account_from_address", "address": "2001:db8::/64", "failures": 1, "waits_until": until},
    ], "count": 2});
    assert_eq!((seen.status, seen.body), (200, expected));
}
