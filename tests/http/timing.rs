//! How long a refusal takes discloses nothing of the user; measured only on demand, because other work on the machine disturbs.

use std::{
    env,
    net::SocketAddr,
    time::{Duration, Instant},
};

use serde_json::json;

use crate::{harness::ServerBuilder, http::conversation::Conversation};

/// As many sign-ins of each kind.
const PAIRS: usize = 1000;

/// An eighth of the usual cost. What one kind does beside the hash weighs eight times as much against it.
const COST: &str = "14";

/// Sign-ins on one connection, with a wrong password.
struct SignIns {
    address: SocketAddr,
    conversation: Conversation,
}

impl SignIns {
    fn at(address: SocketAddr) -> Self {
        Self { address, conversation: Conversation::with(address) }
    }

    fn time_of(&mut self, username: &str) -> Duration {
        let body = json!({"user": {"username": username, "password": "a guess like any other"}}).to_string();
        let head = "Content-Type: application/json";
        let host = format!("Host: {}\r\nContent-Length: {}", self.address, body.len());
        let began = Instant::now();
        self.conversation.say(format!("POST /api/v2/users/sign_in HTTP/1.1\r\n{host}\r\n{head}\r\n\r\n{body}"));
        let reply = self.conversation.hear();
        let took = began.elapsed();
        assert_eq!(reply.status, 401, "{}", reply.text());
        took
    }
}

fn median(mut times: Vec<Duration>) -> f64 {
    times.sort_unstable();
    times[times.len() / 2].as_secs_f64()
}

#[test]
fn an_unknown_user_is_refused_as_late_as_a_wrong_password() {
    if env::var_os("LODGE_TEST_TIMING").is_none() {
        eprintln!("left out: LODGE_TEST_TIMING=1 measures it, on a machine that does nothing else");
        return;
    }
    let server = ServerBuilder::new().variable("LODGE_SCRYPT_COST", COST).variable("LODGE_THROTTLE_AFTER", "0").start();
    server.user("ann");
    let mut sign_ins = SignIns::at(server.address);
    let (mut known, mut unknown) = (Vec::new(), Vec::new());

    for pair in 0..PAIRS {
        // The order alternates, so that the effects of the first request are the same for both kinds.
        if pair % 2 == 0 {
            known.push(sign_ins.time_of("ann"));
            unknown.push(sign_ins.time_of("bob"));
        } else {
            unknown.push(sign_ins.time_of("bob"));
            known.push(sign_ins.time_of("ann"));
        }
    }

    let (known, unknown) = (median(known), median(unknown));
    let apart = (known - unknown).abs() / known;
    eprintln!("known: {:.3} ms, unknown: {:.3} ms, {:.3} % apart", known * 1e3, unknown * 1e3, apart * 1e2);
    assert!(apart < 0.02, "{apart}");
}
