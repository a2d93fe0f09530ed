//! Signing in, signing out, and what ends a session besides.

use std::{collections::BTreeSet, fs, path::Path, sync::Barrier, thread};

use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Reply, Request, Server, ServerBuilder, basic, password_of},
    http::{conversation::Conversation, expectations::at_once, tokens::claims_of},
};

/// How many sessions a user may have.
const MAX_SESSIONS: usize = 100;

fn sign_in(server: &Server, username: impl Into<Value>, password: impl Into<Value>) -> Reply {
    let body = json!({"user": {"username": username.into(), "password": password.into()}});
    server.anonymous().post("/users/sign_in", &body)
}

fn status(server: &Server, authorization: &str) -> u16 {
    server.with(authorization).get("/users/me").status
}

/// Everything of a reply that does not differ from one moment to the next.
fn lasting(reply: &Reply) -> (u16, BTreeSet<(String, String)>, String) {
    let momentary = ["date", "x-request-id"];
    let lasting = reply.headers.iter().filter(|(name, _)| !momentary.contains(&name.to_ascii_lowercase().as_str()));
    (reply.status, lasting.cloned().collect(), reply.text())
}

/// Whether the bytes are in one of the files below the directory.
fn holds(directory: &Path, wanted: &[u8]) -> bool {
    let entries = fs::read_dir(directory).expect("the directory can be read");
    entries.map(|entry| entry.expect("the directory can be read").path()).any(|path| {
        if path.is_dir() {
            return holds(&path, wanted);
        }
        // The local socket is no file.
        path.is_file()
            && fs::read(&path).expect("the file can be read").windows(wanted.len()).any(|window| window == wanted)
    })
}

#[test]
fn signing_in_answers_with_the_user_and_a_token_that_is_admitted() {
    let server = Server::start();

    let reply = sign_in(&server, "admin", ADMIN_PASSWORD);

    let [authorization] = reply.all_headers("authorization")[..] else { panic!("there is one token in {reply:?}") };
    assert_eq!((reply.status, reply.json()), (201, server.admin().get("/users/me").json()));
    assert_eq!(server.with(authorization).get("/users/me").json(), reply.json());
    assert_eq!(reply.header("set-cookie"), None);
}

#[test]
fn an_unknown_user_is_answered_like_a_wrong_password() {
    let server = Server::start();

    let wrong = sign_in(&server, "admin", "not the keys to the house");
    let unknown = sign_in(&server, "nobody", "not the keys to the house");

    assert_eq!(lasting(&wrong), lasting(&unknown));
    assert_eq!((wrong.status, wrong.json()), (401, json!({"error": "The credential is refused."})));
    assert_eq!(wrong.all_headers("www-authenticate"), [r#"Bearer realm="Lodge""#]);
    assert_eq!(wrong.header("authorization"), None);
}

#[test]
fn members_that_are_missing_or_of_another_type_are_answered_like_a_wrong_password() {
    let server = Server::start();
    let user = |username: Value, password: Value| json!({"user": {"username": username, "password": password}});
    let right = json!(ADMIN_PASSWORD);
    let bodies = [
        json!({}),
        json!({"user": null}),
        json!({"user": []}),
        json!({"user": [{"username": "admin", "password": ADMIN_PASSWORD}]}),
        json!({"user": "admin"}),
        json!({"user": {}}),
        json!({"user": {"username": "admin"}}),
        json!({"user": {"password": ADMIN_PASSWORD}}),
        json!({"username": "admin", "password": ADMIN_PASSWORD}),
        user(json!(""), right.clone()),
        user(json!(null), right.clone()),
        user(json!(1), right.clone()),
        user(json!(["admin"]), right.clone()),
        user(json!({"$ne": ""}), right),
        user(json!("admin"), json!("")),
        user(json!("admin"), json!(null)),
        user(json!("admin"), json!(true)),
        user(json!("admin"), json!([ADMIN_PASSWORD])),
        user(json!("admin"), json!({"$ne": ""})),
    ];

    let wrong = lasting(&sign_in(&server, "admin", "not the keys to the house"));

    for body in bodies {
        assert_eq!(lasting(&server.anonymous().post("/users/sign_in", &body)), wrong, "{body}");
    }
}

#[test]
fn a_password_has_at_most_1024_bytes() {
    let server = Server::start();
    let longest = "\u{e9}".repeat(512);
    let longer = format!("{longest}x");

    server.admin().post("/users", &json!({"username": "ann", "password": longest})).expect(201);
    let refused = server.admin().post("/users", &json!({"username": "ben", "password": longer})).expect(422);

    assert_eq!(refused.json()["details"], json!({"password": [{"error": "too_long", "count": 1024}]}));
    assert_eq!(sign_in(&server, "ann", longest).status, 201);
    assert_eq!(sign_in(&server, "ann", longer).status, 401);
    assert_eq!(sign_in(&server, "ann", "x".repeat(1 << 20)).status, 413);
}

#[test]
fn a_password_is_checked_with_its_blanks_and_emoji() {
    let server = Server::start();
    let password = "  \u{1f511} two  blanks ";
    server.admin().post("/users", &json!({"username": "ann", "password": password})).expect(201);

    assert_eq!(sign_in(&server, "ann", password).status, 201);
    for wrong in [password.trim(), "  \u{1f511} two blanks ", "  \u{1f5dd} two  blanks ", "   two  blanks "] {
        assert_eq!(sign_in(&server, "ann", wrong).status, 401, "{wrong:?}");
    }
}

#[test]
fn a_password_with_control_characters_cannot_be_set() {
    let server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));

    for control in ["\0", "\t", "\n", "\r\n", "\u{1b}", "\u{7f}", "\u{85}"] {
        let password = format!("open {control} sesame");
        let created = server.admin().post("/users", &json!({"username": "ben", "password": password})).expect(422);
        let updated = server.user("ann").put(&path, &json!({"password": password})).expect(422);
        for reply in [created, updated] {
            assert_eq!(reply.json()["details"], json!({"password": [{"error": "invalid"}]}), "{control:?}");
        }
        assert_eq!(sign_in(&server, "ann", password).status, 401, "{control:?}");
    }
    assert_eq!(sign_in(&server, "ann", password_of("ann")).status, 201);
}

#[test]
fn two_keyboards_sign_in_with_the_same_password() {
    let server = Server::start();
    let (composed, decomposed) = ("caf\u{e9} au lait", "cafe\u{301} au lait");
    server.admin().post("/users", &json!({"username": "ann", "password": composed})).expect(201);
    server.admin().post("/users", &json!({"username": "ben", "password": decomposed})).expect(201);

    for username in ["ann", "ben"] {
        for password in [composed, decomposed] {
            assert_eq!(sign_in(&server, username, password).status, 201, "{username}: {password:?}");
        }
    }
}

#[test]
fn the_user_name_is_matched_without_regard_to_case_and_to_nothing_else() {
    let server = Server::start();

    for username in ["ADMIN", "Admin", "admin"] {
        let reply = sign_in(&server, username, ADMIN_PASSWORD);
        assert_eq!((reply.status, &reply.json()["username"]), (201, &json!("admin")), "{username}");
    }
    for username in ["admin ", " admin", "\u{ff41}\u{ff44}\u{ff4d}\u{ff49}\u{ff4e}", "admin\0", "\u{430}dmin", "1"] {
        assert_eq!(sign_in(&server, username, ADMIN_PASSWORD).status, 401, "{username:?}");
    }
}

#[test]
fn signing_in_takes_json_alone() {
    let server = Server::start();
    let json = json!({"user": {"username": "admin", "password": ADMIN_PASSWORD}}).to_string();
    let form = "user[username]=admin&user[password]=the+keys+to+the+house";
    let post = || Request::new("POST", "/users/sign_in");
    let requests = [
        post().header("Content-Type", "application/x-www-form-urlencoded").body(form),
        post().header("Content-Type", "application/x-www-form-urlencoded").body(&json),
        post().header("Content-Type", "text/plain").body(&json),
        post().header("Content-Type", "multipart/form-data; boundary=x").body(&json),
        post().body(&json),
    ];

    for request in requests {
        assert_eq!(server.anonymous().send(&request).status, 415, "{request:?}");
    }
}

#[test]
fn a_member_given_twice_is_malformed_even_if_both_are_the_same() {
    let server = Server::start();
    let user = format!(r#"{{"username": "admin", "password": "{ADMIN_PASSWORD}"}}"#);
    let bodies = [
        format!(r#"{{"user": {user}, "user": {user}}}"#),
        format!(r#"{{"user": {{}}, "user": {user}}}"#),
        format!(r#"{{"user": {{"username": "admin", "password": "x", "password": "{ADMIN_PASSWORD}"}}}}"#),
        format!(r#"{{"user": {{"username": "x", "username": "admin", "password": "{ADMIN_PASSWORD}"}}}}"#),
        format!(r#"{{"user": {{"username": "admin", "password": "x", "pass\u0077ord": "{ADMIN_PASSWORD}"}}}}"#),
    ];

    for body in bodies {
        let reply = server.anonymous().send(&Request::new("POST", "/users/sign_in").json_bytes(&body));
        assert_eq!((reply.status, reply.header("authorization")), (400, None), "{body}");
    }
}

#[test]
fn signing_in_ignores_any_authorization_header() {
    let server = Server::start();
    let right = basic("admin", ADMIN_PASSWORD);
    let body = json!({"user": {"username": "admin", "password": ADMIN_PASSWORD}});
    let headers = ["", "Basic", "Basic !", "Bearer", "Bearer a.b.c", "lodge_x", "Digest x", "\u{ff}", right.as_str()];

    for header in headers {
        assert_eq!(server.with(header).post("/users/sign_in", &body).status, 201, "{header:?}");
        let twice = Request::new("POST", "/users/sign_in").json(&body).header("Authorization", &right);
        assert_eq!(server.with(header).send(&twice).status, 201, "{header:?}, and another one");
    }
    let wrong = json!({"user": {"username": "admin", "password": "not the keys to the house"}});
    let refused = server.admin().post("/users/sign_in", &wrong);
    assert_eq!((refused.status, refused.header("authorization")), (401, None));
}

#[test]
fn each_sign_in_opens_a_session_of_its_own() {
    let server = Server::start();

    let (first, second) = (server.sign_in("ann"), server.sign_in("ann"));

    assert_ne!(claims_of(&first)["jti"], claims_of(&second)["jti"]);
    assert_eq!([&first, &second].map(|token| status(&server, token)), [200, 200]);
}

#[test]
fn a_session_lasts_as_long_as_its_setting_and_is_never_extended() {
    let server = ServerBuilder::new().flag("--session-lifetime", "90s").start();

    let first = server.sign_in("ann");
    server.with(&first).get("/users/me").expect(200);
    let second = server.sign_in("ann");

    for token in [first, second] {
        let claims = claims_of(&token);
        assert_eq!(claims["exp"].as_u64(), claims["iat"].as_u64().map(|issued| issued + 90));
    }
}

#[test]
fn a_session_beyond_the_limit_replaces_the_oldest() {
    let server = Server::start();
    let others = server.sign_in("ben");
    let mut tokens: Vec<_> = (0..MAX_SESSIONS).map(|_| server.sign_in("ann")).collect();
    assert!(tokens.iter().all(|token| status(&server, token) == 200));

    tokens.push(server.sign_in("ann"));

    let ended: Vec<_> = (0..tokens.len()).filter(|number| status(&server, &tokens[*number]) == 401).collect();
    assert_eq!(ended, [0]);
    assert_eq!(status(&server, &others), 200);
}

#[test]
fn a_token_is_refused_once_its_session_is_closed() {
    let server = Server::start();
    let (closed, other) = (server.sign_in("ann"), server.sign_in("ann"));

    let reply = server.with(&closed).delete("/users/sign_out").expect(204);

    assert_eq!(reply.text(), "");
    assert_eq!(status(&server, &closed), 401);
    assert_eq!(server.with(&closed).delete("/users/sign_out").status, 401);
    assert_eq!(status(&server, &other), 200);
}

#[test]
fn a_closed_session_stays_closed_when_the_server_starts_again() {
    let mut server = Server::start();
    let (closed, other) = (server.sign_in("ann"), server.sign_in("ann"));
    server.with(&closed).delete("/users/sign_out").expect(204);

    server.restart();

    assert_eq!([&closed, &other].map(|token| status(&server, token)), [401, 200]);
}

#[test]
fn a_closed_session_stays_closed_when_the_server_is_killed_right_after_the_response() {
    let mut server = Server::start();
    let (closed, other) = (server.sign_in("ann"), server.sign_in("ann"));

    server.with(&closed).delete("/users/sign_out").expect(204);
    server.kill();
    server.start_again();

    assert_eq!([&closed, &other].map(|token| status(&server, token)), [401, 200]);
}

#[test]
fn signing_out_by_a_password_or_a_key_closes_no_session() {
    let server = Server::start();
    let session = server.sign_in("ann");

    for caller in [server.user("ann"), server.key("ann", &["sessions / destroy"]), server.key("ann", &["* / *"])] {
        caller.delete("/users/sign_out").expect(204);
        caller.delete("/users/sign_out").expect(204);
    }

    assert_eq!(status(&server, &session), 200);
}

#[test]
fn a_password_change_ends_all_sessions_of_that_user_and_no_key() {
    let server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));
    let (key, others) = (server.key("ann", &["users / show"]), server.sign_in("ben"));

    for (by_oneself, old, new) in
        [(true, password_of("ann"), "open sesame"), (false, "open sesame".into(), "open barley")]
    {
        let sessions = [0, 1].map(|_| sign_in(&server, "ann", old.as_str()).expect(201));
        let tokens = sessions.map(|reply| reply.header("authorization").expect("there is a token").to_owned());
        let by = if by_oneself { server.with(&tokens[0]) } else { server.admin() };

        by.put(&path, &json!({"password": new})).expect(200);

        assert_eq!(tokens.map(|token| status(&server, &token)), [401, 401], "by oneself: {by_oneself}");
        assert_eq!(sign_in(&server, "ann", old).status, 401);
        assert_eq!(sign_in(&server, "ann", new).status, 201);
    }
    assert_eq!(key.get("/users/me").status, 200);
    assert_eq!(status(&server, &others), 200);
}

#[test]
fn a_change_that_fails_or_is_of_something_else_ends_no_session() {
    let server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));
    let session = server.session("ann");

    session.put(&path, &json!({"email": "ann@example.com"})).expect(200);
    session.put(&path, &json!({"password": null})).expect(200);
    session.put(&path, &json!({"password": "short"})).expect(422);
    session.put(&path, &json!({"password": "open sesame", "is_admin": true})).expect(403);

    assert_eq!(session.get("/users/me").status, 200);
    assert_eq!(sign_in(&server, "ann", password_of("ann")).status, 201);
}

#[test]
fn a_password_that_changes_while_sign_ins_are_checked_leaves_no_session_of_the_old_one() {
    const SIGN_INS: usize = 6;
    let server = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "13").start();
    let path = format!("/users/{}", server.id_of("ann"));
    let key = server.key("admin", &["* / *"]);
    let together = Barrier::new(SIGN_INS + 1);

    let replies: Vec<_> = thread::scope(|scope| {
        let sign_in = || {
            together.wait();
            sign_in(&server, "ann", password_of("ann"))
        };
        let sign_ins: Vec<_> = (0..SIGN_INS).map(|_| scope.spawn(sign_in)).collect();
        together.wait();
        key.put(&path, &json!({"password": "open sesame"})).expect(200);
        sign_ins.into_iter().map(|sign_in| sign_in.join().expect("a sign-in is answered")).collect()
    });

    for reply in replies {
        let status = reply.header("authorization").map_or(reply.status, |token| status(&server, token));
        assert_eq!(status, 401, "{reply:?}");
    }
}

#[test]
fn a_password_change_that_overtakes_a_sign_in_leaves_it_no_session() {
    let mut server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));
    let key = server.key("admin", &["* / *"]).authorization.expect("a key is a credential");
    // A hash of lower cost is checked and then made anew, so that signing in takes two hashes and the change one.
    server.set_variable("LODGE_SCRYPT_COST", "15");
    server.restart();
    let body = json!({"user": {"username": "ann", "password": password_of("ann")}}).to_string();
    let head = "POST /api/v2/users/sign_in HTTP/1.1\r\nHost: lodge\r\nContent-Type: application/json";
    let mut conversation = Conversation::with(server.address);

    conversation.say(format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()));
    server.with(&key).put(&path, &json!({"password": "open sesame"})).expect(200);
    let overtaken = conversation.hear();

    assert_eq!(overtaken.header("authorization").map_or(401, |token| status(&server, token)), 401, "{overtaken:?}");
    assert_eq!([password_of("ann"), "open sesame".into()].map(|it| sign_in(&server, "ann", it).status), [401, 201]);
}

#[test]
fn sign_ins_at_the_same_time_whose_hash_is_made_stronger_all_open_a_session() {
    let mut server = Server::start();
    server.user("ann");
    server.set_variable("LODGE_SCRYPT_COST", "14");
    server.restart();

    let replies = at_once(2, |_| sign_in(&server, "ann", password_of("ann")).status);

    assert_eq!(replies, [201; 2]);
}

#[test]
fn a_sign_in_beyond_the_bound_is_answered_with_a_503() {
    let builder = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "15").variable("LODGE_THROTTLE_AFTER", "0");
    let server = builder.flag("--trusted-proxy", "127.0.0.1").start();
    // For each core, one password is being verified and at most eight are queued.
    let cores = thread::available_parallelism().expect("the number of cores is known").get();

    // No account and no address has more than its share of the queue.
    let replies = at_once(9 * cores + 20, |number| {
        let body = json!({"user": {"username": format!("nobody{number}"), "password": "open sesame"}});
        let address = format!("198.51.{}.{}", number / 256, number % 256);
        let request = Request::new("POST", "/users/sign_in").json(&body).header("X-Forwarded-For", address);
        server.anonymous().send(&request)
    });

    let (busy, checked): (Vec<_>, Vec<_>) = replies.into_iter().partition(|reply| reply.status == 503);
    assert!(!busy.is_empty() && checked.len() >= 8 * cores, "{} and {}", busy.len(), checked.len());
    assert!(checked.iter().all(|reply| reply.status == 401));
    let error = json!({"error": "Too many passwords are being checked; try again."});
    for reply in busy {
        assert_eq!((reply.header("retry-after"), reply.json()), (Some("1"), error.clone()));
    }
    server.admin().get("/users/me").expect(200);
}

#[test]
fn a_deleted_users_session_is_refused_also_when_the_name_is_made_again() {
    let server = Server::start();
    let (id, session) = (server.id_of("ann"), server.sign_in("ann"));

    server.admin().delete(&format!("/users/{id}")).expect(204);

    assert_eq!(status(&server, &session), 401);
    let again = json!({"username": "ann", "password": password_of("ann")});
    assert_ne!(server.admin().post("/users", &again).expect(201).id(), id);
    assert_eq!(status(&server, &session), 401);
}

#[test]
fn rights_are_those_of_the_moment_and_not_those_of_the_sign_in() {
    let server = Server::start();
    let path = format!("/users/{}", server.id_of("ann"));
    let callers = [server.session("ann"), server.key("ann", &["users / index", "users / show"]), server.user("ann")];

    for (is_admin, expected) in [(true, 200), (false, 403), (true, 200)] {
        server.admin().put(&path, &json!({"is_admin": is_admin})).expect(200);
        for caller in &callers {
            let statuses = ["/users", "/users/me"].map(|path| caller.get(path).status);
            assert_eq!(statuses, [expected, 200], "{is_admin}");
        }
    }
}

#[test]
fn a_hash_of_lower_cost_is_replaced_when_its_user_signs_in() {
    let builder = ServerBuilder::new().without_variable("LODGE_SCRYPT_COST");
    let settings = builder.data_dir().with_file_name("lodge.toml");
    fs::write(&settings, "scrypt-cost = 10\n").expect("settings can be written");
    let mut server = builder.variable("LODGE_CONFIG", &settings.to_string_lossy()).start();
    let (session, user) = (server.sign_in("ann"), server.user("ann").get("/users/me").json());
    fs::write(&settings, "scrypt-cost = 11\n").expect("settings can be written");
    server.restart();
    let refused = sign_in(&server, "ann", "not where ann lives").status;
    server.stop();
    assert!(!holds(&server.data_dir(), b"$scrypt$ln=11,"));

    server.start_again();
    let reply = sign_in(&server, "ann", password_of("ann"));
    server.stop();

    assert!(holds(&server.data_dir(), b"$scrypt$ln=11,"));
    assert_eq!((refused, reply.status, reply.json()), (401, 201, user));
    server.start_again();
    let stronger = reply.header("authorization").expect("there is a token");
    assert_eq!([&session, stronger].map(|token| status(&server, token)), [200, 200]);
    assert_eq!(status(&server, &basic("ann", &password_of("ann"))), 200);
    assert_eq!(sign_in(&server, "ann", password_of("ann")).status, 201);
}
