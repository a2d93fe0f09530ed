//! `lodge locks`: lists and clears the lockouts of a running server.

use serde_json::json;

use crate::{
    backups::lodge,
    harness::{ADMIN_PASSWORD, Request, Server, ServerBuilder},
};

/// A sign-in of `admin` from that address.
fn sign_in(server: &Server, address: &str, password: &str) -> u16 {
    let body = json!({"user": {"username": "admin", "password": password}});
    let request = Request::new("POST", "/users/sign_in").header("X-Forwarded-For", address).json(&body);
    server.anonymous().send(&request).status
}

/// A server on which sign-ins of `admin` wait for half a minute, from wherever they come.
fn locked() -> Server {
    let server = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.1").flag("--throttle-after", "1").start();
    for number in 0..20 {
        assert_eq!(sign_in(&server, &format!("198.51.100.{number}"), "not the keys to the house"), 401);
    }
    assert_eq!(sign_in(&server, "192.0.2.1", ADMIN_PASSWORD), 429);
    server
}

#[test]
fn lockouts_are_listed_line_by_line() {
    let server = locked();

    let output = lodge(&server, &["locks"]).expect(0);

    let of_account =
        output.out.lines().find(|line| line.starts_with("admin, from addresses that are new to it: 20 failures"));
    assert!(of_account.is_some_and(|line| line.contains(", waits until 20")), "{}", output.out);
    assert_eq!(output.err, "");
}

#[test]
fn lockouts_are_cleared_by_user_by_address_or_all() {
    let server = locked();
    for (arguments, status) in [
        (&["--user", "nobody"][..], 429),
        (&["--address", "192.0.2.1"], 429),
        (&["--address", "192.0.2.1", "--user", "admin"], 429),
        (&["--user", "Admin"], 201),
    ] {
        lodge(&server, &[&["locks", "clear"], arguments].concat()).expect(0);
        assert_eq!(sign_in(&server, "192.0.2.1", ADMIN_PASSWORD), status, "{arguments:?}");
    }
    let server = locked();

    lodge(&server, &["locks", "clear"]).expect(0);

    assert_eq!(lodge(&server, &["locks"]).expect(0).out, "");
    assert_eq!(sign_in(&server, "192.0.2.1", ADMIN_PASSWORD), 201);
    assert!(server.whole_log().contains("locks were cleared: user_id=local:"));
}

#[test]
fn failures_without_a_lockout_are_cleared_as_well() {
    let server = ServerBuilder::new().flag("--trusted-proxy", "127.0.0.1").start();
    let both = ["--user", "admin", "--address", "192.0.2.1"];
    for arguments in [&both[..2], &both[2..], &both, &[]] {
        for _ in 0..4 {
            assert_eq!(sign_in(&server, "192.0.2.1", "not the keys to the house"), 401, "{arguments:?}");
        }
        lodge(&server, &[&["locks", "clear"], arguments].concat()).expect(0);
    }
    assert_eq!(sign_in(&server, "192.0.2.1", "not the keys to the house"), 401);
}

#[test]
fn invalid_filters_are_refused() {
    let mut server = Server::start();
    for wrong in [&["--address", "here"][..], &["--address", "192.0.2.0/24"], &["--user", ""]] {
        lodge(&server, &[&["locks", "clear"], wrong].concat()).expect(2);
    }
    server.stop();

    let output = lodge(&server, &["locks"]).expect(1);

    assert!(output.err.contains("no server is running on"), "{}", output.err);
}
