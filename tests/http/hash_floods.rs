//! Floods of passwords to check: bounded work, bounded memory, and no effect on other clients.

use std::{
    io::Write,
    net::TcpStream,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    thread,
};

use serde_json::json;

use crate::{
    harness::{ADMIN_PASSWORD, Request, Server, ServerBuilder, pause},
    http::expectations::at_once,
};

/// The base-2 logarithm of scrypt's N, and what a hash of that cost takes.
const COST: &str = "15";
const HASH_KIB: u64 = 32 << 10;
/// What the flood may take beside the hashes.
const SPARE_KIB: u64 = 64 << 10;
/// From how many addresses accounts are attacked: more than a lane has places on one or two cores.
const ADDRESSES: usize = 17;

fn server() -> Server {
    ServerBuilder::new().variable("LODGE_SCRYPT_COST", COST).variable("LODGE_THROTTLE_AFTER", "0").start()
}

fn cores() -> usize {
    thread::available_parallelism().unwrap().get()
}

/// Fails if the server has ever held more hashes at once than there are cores.
fn assert_bounded(server: &Server, base_kib: u64) {
    let peak = server.memory_kib("VmHWM");
    assert!(peak <= base_kib + cores() as u64 * HASH_KIB + SPARE_KIB, "{peak} KiB, {base_kib} KiB before");
}

#[test]
fn hundreds_of_sign_ins_at_once_take_no_more_memory_than_the_cores_can_use_and_readers_read_on() {
    // For each core, one password is being verified and at most eight are queued; the others are too many.
    let flood = 200.max(101 + 9 * cores());
    let server = server();
    let session = server.session("ann");
    let base = server.memory_kib("VmRSS");
    let is_over = AtomicBool::new(false);

    let (replies, reads) = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                session.get("/users/me").expect(200);
                reads += 1;
            }
            reads
        });
        let replies = at_once(flood, |number| {
            let user = json!({"username": "admin", "password": format!("not the keys to the house {number}")});
            server.anonymous().post("/users/sign_in", &json!({"user": user}))
        });
        is_over.store(true, Ordering::Relaxed);
        (replies, reader.join().unwrap())
    });

    let (busy, checked): (Vec<_>, Vec<_>) = replies.iter().partition(|reply| reply.status == 503);
    assert!(checked.iter().all(|reply| reply.status == 401) && !checked.is_empty());
    assert!(busy.len() > 100, "{}", busy.len());
    assert!(busy.iter().all(|reply| reply.header("retry-after") == Some("1")));
    assert!(reads > 0);
    assert_bounded(&server, base);
}

#[test]
fn clients_that_leave_while_their_password_is_checked_leave_the_bound_as_it_is() {
    let server = server();
    let base = server.memory_kib("VmRSS");
    let body = json!({"user": {"username": "admin", "password": ADMIN_PASSWORD}}).to_string();
    let head =
        "POST /api/v2/users/sign_in HTTP/1.1\r\nHost: lodge\r\nContent-Type: application/json\r\nContent-Length:";
    let request = format!("{head} {}\r\n\r\n{body}", body.len());

    for _ in 0..1000 {
        TcpStream::connect(server.address).unwrap().write_all(request.as_bytes()).unwrap();
    }
    // Hashes that had begun go on although their clients have disconnected.
    let sign_in = || server.anonymous().send(&Request::new("POST", "/users/sign_in").json_bytes(&body)).status;
    while sign_in() == 503 {
        pause();
    }

    assert_eq!(sign_in(), 201);
    assert_bounded(&server, base);
}

#[test]
fn a_flood_from_one_address_leaves_turns_to_others() {
    let builder = ServerBuilder::new().variable("LODGE_SCRYPT_COST", COST).variable("LODGE_THROTTLE_AFTER", "0");
    let server = builder.flag("--trusted-proxy", "127.0.0.1").start();
    let sign_in = |address: &str, password: &str| {
        let body = json!({"user": {"username": "admin", "password": password}});
        let request = Request::new("POST", "/users/sign_in").header("X-Forwarded-For", address).json(&body);
        server.anonymous().send(&request).status
    };
    assert_eq!(sign_in("192.0.2.1", ADMIN_PASSWORD), 201);
    let flood = 102.max(2 + 10 * cores());

    let statuses = at_once(flood, |number| match number {
        0 => sign_in("192.0.2.1", ADMIN_PASSWORD),
        1 => sign_in("192.0.2.2", ADMIN_PASSWORD),
        _ => sign_in("198.51.100.1", &format!("not the keys to the house {number}")),
    });

    assert_eq!(statuses[..2], [201, 201], "a known address and a new one");
    assert!(statuses[2..].contains(&503));
}

#[test]
fn attackers_at_seventeen_addresses_leave_turns_to_a_newcomer_and_to_the_owner_of_the_account() {
    for attacked in [None, Some("admin")] {
        let builder = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "12").variable("LODGE_THROTTLE_AFTER", "0");
        let server = builder.flag("--trusted-proxy", "127.0.0.1").start();
        let sign_in = |address: &str, username: &str, password: &str| {
            let body = json!({"user": {"username": username, "password": password}});
            let request = Request::new("POST", "/users/sign_in").header("X-Forwarded-For", address).json(&body);
            server.anonymous().try_send(&request).unwrap().status
        };
        let (turns, is_over) = ([const { AtomicUsize::new(0) }; ADDRESSES], AtomicBool::new(false));
        let attack = |number: usize| {
            let (address, mut attempt) = (number % ADDRESSES, 0);
            while !is_over.load(Ordering::Relaxed) {
                attempt += 1;
                let (network, password) = (format!("192.0.2.{address}"), format!("not the keys {number} {attempt}"));
                let unknown = format!("nobody {number}");
                let is_checked = sign_in(&network, attacked.unwrap_or(&unknown), &password) == 401;
                turns[address].fetch_add(usize::from(is_checked), Ordering::Relaxed);
            }
        };

        let status = thread::scope(|scope| {
            // More than are queued and verified together.
            (0..ADDRESSES * cores()).for_each(|number| drop(scope.spawn(move || attack(number))));
            while turns.iter().any(|turns| turns.load(Ordering::Relaxed) == 0) {
                pause();
            }
            let status = sign_in("198.51.100.1", "admin", ADMIN_PASSWORD);
            is_over.store(true, Ordering::Relaxed);
            status
        });

        assert_eq!(status, 201, "while attackers try {attacked:?}");
    }
}
