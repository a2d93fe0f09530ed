//! Connections on which several requests are asked, and what a client learns of their end.

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr, TcpStream},
    thread,
    time::Duration,
};

use rustix::net::sockopt::set_socket_recv_buffer_size;
use serde_json::json;

use crate::{
    harness::{ADMIN_PASSWORD, Reply, Server, ServerBuilder, basic, password_of},
    http::conversation::{Conversation, ask_raw},
};

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n";

/// How long an answer may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

fn connect(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(bytes.as_ref()).unwrap();
    stream
}

fn hear_out(mut stream: TcpStream) -> String {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

fn count(heard: &str, status: &str) -> usize {
    heard.matches(&format!("HTTP/1.1 {status} ")).count()
}

/// A sign-in of that user, who keeps the connection.
fn sign_in(username: &str) -> String {
    let body = json!({"user": {"username": username, "password": password_of(username)}}).to_string();
    let length = body.len();
    let headers = format!("Host: lodge\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n");
    format!("POST /api/v2/users/sign_in HTTP/1.1\r\n{headers}\r\n{body}")
}

/// Whether the reply announces that the connection is closed.
fn closes(reply: &Reply) -> bool {
    reply.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close"))
}

#[test]
fn pipelined_requests_whose_answers_are_not_read_cost_little_memory() {
    let server = Server::start();
    server.user("ann");
    let tiny = "GET /x HTTP/1.1\r\nHost:\r\n\r\n";
    let many = tiny.repeat((30 << 10) / tiny.len());
    let before = server.memory_kib("VmRSS");

    let plain = (0..100).map(|_| connect(server.address, &many));
    let connections: Vec<_> = plain.chain((0..100).map(|_| connect(server.address, sign_in("ann") + &many))).collect();
    for mut connection in connections {
        connection.write_all(b"GET /x HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n").unwrap();
        let heard = hear_out(connection);
        assert_eq!(count(&heard, "404"), many.len() / tiny.len() + 1);
    }

    let after = server.memory_kib("VmHWM");
    assert!(after < before + (50 << 10), "{before} KiB before, {after} KiB at most");
}

#[test]
fn pipelined_requests_are_all_answered_however_many_they_are() {
    let server = Server::start();
    server.user("ann");
    let close = "GET /healthz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n";
    let mut writing = connect(server.address, "");
    let reading = writing.try_clone().unwrap();
    let asked = std::thread::spawn(move || {
        for _ in 0..100 {
            writing.write_all(HEALTH.repeat(100).as_bytes()).unwrap();
        }
        writing.write_all(close.as_bytes()).unwrap();
    });

    assert_eq!(count(&hear_out(reading), "200"), 10_001);
    asked.join().unwrap();
    let signing_in = connect(server.address, sign_in("ann").repeat(300) + close);
    assert_eq!(count(&hear_out(signing_in), "201"), 300);
}

/// A server on which a sign-in takes some 0.1 s, while so many requests wait on its connection; with the connection.
fn behind_a_sign_in(number: usize) -> (Server, TcpStream) {
    let server = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "15").start();
    server.user("ann");
    let mut stream = connect(server.address, sign_in("ann"));
    stream.set_nodelay(true).unwrap();
    // Each is read by itself.
    (0..number).for_each(|_| stream.write_all(HEALTH.as_bytes()).unwrap());
    (server, stream)
}

#[test]
fn requests_that_come_while_another_is_pending_are_all_answered_without_a_further_byte() {
    // Far more than the framework's buffers hold.
    let (_server, mut stream) = behind_a_sign_in(4_000);

    let (mut heard, mut buffer) = (Vec::new(), [0; 16 << 10]);
    while count(&String::from_utf8_lossy(&heard), "200") < 4_000 {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the server hung up");
        heard.extend(&buffer[..length]);
    }
}

#[test]
fn the_end_of_what_a_client_sends_waits_for_the_answers_to_all_of_it() {
    let (server, stream) = behind_a_sign_in(500);
    stream.shutdown(Shutdown::Write).unwrap();
    let heard = hear_out(stream);
    assert_eq!((count(&heard, "201"), count(&heard, "200")), (1, 500));

    let stream = connect(server.address, HEALTH.repeat(500));
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(count(&hear_out(stream), "200"), 500);
}

#[test]
fn an_answer_is_not_cut_off_by_the_next_request_that_has_begun() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").start();
    let admin = server.admin();
    for number in 0..40 {
        let body = json!({"key": format!("k{number}"), "value": "x".repeat(64 << 10)});
        admin.post("/users/me/configurations", &body).expect(201);
    }
    let authorization = basic("admin", ADMIN_PASSWORD);
    let list = format!("GET /api/v2/users/me/configurations HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}");
    let mut stream = connect(server.address, "");
    // The kernel shall not hold all of the answer.
    set_socket_recv_buffer_size(&stream, 64 << 10).unwrap();
    stream.write_all(format!("{list}\r\n\r\n").as_bytes()).unwrap();
    let (mut heard, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
    let length = stream.read(&mut buffer[..1024]).unwrap();
    heard.extend(&buffer[..length]);
    stream.write_all(b"G").unwrap();
    // Some 2.5 MB in 3 s, which is longer than the head's deadline.
    let is_whole = |heard: &[u8]| heard.windows(11).rev().take(2_000).any(|end| end == b"\"count\":40}");
    while !is_whole(&heard) {
        std::thread::sleep(Duration::from_millis(300));
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "the answer is cut off after {} bytes", heard.len());
        heard.extend(&buffer[..length]);
    }
}

#[test]
fn an_upgrade_header_is_ignored_and_the_connection_kept() {
    let server = Server::start();
    let body = json!({"key": "theme", "value": "dark"}).to_string();
    let authorization = basic("admin", ADMIN_PASSWORD);
    let headers = format!("Host: lodge\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    let length = body.len();
    let post = format!("POST /api/v2/users/me/configurations HTTP/1.1\r\n{headers}Content-Length: {length}\r\n");

    for offer in [
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n",
        "Upgrade: websocket\r\nConnection: keep-alive, upgrade\r\n",
        "Connection: upgrade\r\nUpgrade: TLS/1.0\r\n",
    ] {
        let mut conversation = Conversation::with(server.address);
        let get = format!("GET /healthz HTTP/1.1\r\nHost: lodge\r\n{offer}\r\n");
        conversation.say(format!("{get}{post}{offer}\r\n{body}{get}"));

        let replies = [(); 3].map(|()| conversation.hear());

        assert_eq!(replies.each_ref().map(|reply| reply.header("connection")), [None; 3], "{offer}");
        assert!([201, 422].contains(&replies[1].status), "{offer}");
        assert_eq!([replies[0].status, replies[2].status], [200, 200], "{offer}");
    }
}

#[test]
fn an_unreadable_request_is_answered_in_json_and_ends_the_connection() {
    let server = Server::start();
    let address = server.address;

    let malformed = [
        "GET /health\u{e9}z HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /healthz?\u{e9} HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /health z HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /healthz#x HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET http://lodge/healthz#x HTTP/1.1\r\nHost: lodge\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nX: a\r\n folded\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "POST /healthz HTTP/1.1\r\nHost: lodge\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /healthz HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: gzip\r\n\r\n",
        "GET /healthz HTTP/1.1\nHost: lodge\n\n",
        "GET /healthz HTTP/1.1\r\nHost: lodge\nX: y\r\n\r\n",
        "GET /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: user@x\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: [::1\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n",
        "GET /healthz HTTP/2.0\r\nHost: lodge\r\n\r\n",
        "\x16\x03\x01\x02",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    // At once, because the server waits for each client's end.
    thread::scope(|scope| {
        for malformed in malformed {
            scope.spawn(move || [0, 1, 2].map(|earlier| expect_refusal(address, malformed, earlier)));
        }
    });
    server.wait_for_log("status=400");
}

/// Expects a malformed request after so many others to be refused and to end the connection.
fn expect_refusal(address: SocketAddr, malformed: &str, earlier: usize) {
    let mut conversation = Conversation::with(address);
    conversation.say(HEALTH.repeat(earlier) + malformed + HEALTH);
    (0..earlier).for_each(|_| drop(conversation.hear().expect(200)));

    let reply = conversation.hear().expect(400);

    assert!(closes(&reply), "{malformed:?}: {reply:?}");
    assert!(reply.json()["error"].is_string(), "{malformed:?}");
    assert!(reply.header("x-request-id").is_some(), "{malformed:?}");
    assert_eq!(conversation.hear_out(), b"", "{malformed:?}");
}

#[test]
fn a_body_whose_chunks_are_malformed_is_refused_once_and_the_end_announced() {
    let server = Server::start();
    let authorization = basic("admin", ADMIN_PASSWORD);
    let headers = format!("Host: lodge\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    let head = format!("POST /api/v2/users HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");

    for chunks in ["x\r\n", "1\r\n{x\r\n", "2\n{}\r\n0\r\n\r\n", "fffffffffffffffff\r\n", "2\r\n{}\r\n0\r\n\n"] {
        let mut conversation = Conversation::with(server.address);
        conversation.say(format!("{head}{chunks}{HEALTH}"));

        let reply = conversation.hear().expect(400);

        assert!(closes(&reply), "{chunks:?}: {reply:?}");
        assert_eq!(reply.json(), json!({"error": "The body is incomplete."}), "{chunks:?}");
        assert_eq!(conversation.hear_out(), b"", "{chunks:?}");
    }
}

#[test]
fn an_answer_that_comes_before_the_end_of_a_chunked_body_announces_the_end() {
    let server = Server::start();
    let head = "POST /api/v2/users HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: chunked\r\n\r\n";
    // More pieces than are made ahead of a handler that does not take them.
    let tiny = "1\r\nx\r\n".repeat(1_000);

    for chunks in ["", "5\r\nab", "2\r\nab\r\n", &format!("{tiny}0\r\n\r\n{HEALTH}")] {
        let mut conversation = Conversation::with(server.address);
        conversation.say(format!("{head}{chunks}"));

        let reply = conversation.hear().expect(401);

        assert!(closes(&reply), "{chunks:?}: {reply:?}");
        assert_eq!(conversation.hear_out(), b"", "{chunks:?}");
    }
    let mut conversation = Conversation::with(server.address);
    conversation.say(format!("{head}2\r\nab\r\n0\r\n\r\n{HEALTH}"));
    assert_eq!(conversation.hear().expect(401).header("connection"), None);
    conversation.hear().expect(200);
}

#[test]
fn a_connection_is_not_reset_while_the_rest_of_a_body_arrives_after_its_answer() {
    let server = Server::start();
    let authorization = basic("admin", ADMIN_PASSWORD);
    let headers = format!("Host: lodge\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    let chunked = format!("POST /api/v2/users HTTP/1.1\r\n{headers}Transfer-Encoding: chunked\r\n\r\n");
    let rest = "x".repeat(4 << 20);

    for (begin, status) in [
        (format!("{chunked}not a chunk"), "400"),
        (format!("{chunked}400000\r\n"), "413"),
        (
            "POST /api/v2/users HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: chunked\r\n\r\n400000\r\n".to_owned(),
            "401",
        ),
        ("POST /api/v2/users HTTP/1.1\r\nHost: lodge\r\nContent-Length: 4194304\r\n\r\n".to_owned(), "401"),
    ] {
        let mut stream = connect(server.address, begin);
        stream.write_all(rest.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();

        assert_eq!(count(&hear_out(stream), status), 1);
    }
}

#[test]
fn a_refused_request_with_a_small_body_keeps_its_connection() {
    let server = Server::start();
    let length = 10_000;
    let body = "x".repeat(length);
    let mut conversation = Conversation::with(server.address);

    for (line, status) in [("POST /nowhere", 404), ("PUT /api/v2/users/me", 405), ("POST /api/v2/users", 401)] {
        conversation.say(format!("{line} HTTP/1.1\r\nHost: lodge\r\nContent-Length: {length}\r\n\r\n{body}"));

        let reply = conversation.hear().expect(status);

        assert_eq!(reply.header("connection"), None, "{line}");
    }
}

#[test]
fn a_head_that_does_not_come_to_its_end_is_answered_and_the_end_announced() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").start();

    for earlier in ["", HEALTH] {
        let mut conversation = Conversation::with(server.address);
        conversation.say(format!("{earlier}GET /healthz HTTP/1.1\r\nX-Slow: "));
        if !earlier.is_empty() {
            conversation.hear().expect(200);
        }

        let reply = conversation.hear().expect(408);

        assert!(closes(&reply), "{reply:?}");
        assert_eq!(reply.json(), json!({"error": "The head took too long to arrive."}));
        assert_eq!(conversation.hear_out(), b"");
    }
}

#[test]
fn an_unused_connection_is_closed_without_an_answer_at_the_idle_deadline() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").flag("--idle-deadline", "3s").start();
    let mut untouched = Conversation::with(server.address);
    let mut asked = Conversation::with(server.address);
    asked.say(format!("{HEALTH}\r\n"));
    asked.hear().expect(200);

    assert_eq!([untouched.hear_out(), asked.hear_out()], [b"", b""]);
}

#[test]
fn a_connection_lasts_longer_than_the_deadline_of_a_head() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").start();
    let mut late = Conversation::with(server.address);
    let mut dripping = Conversation::with(server.address);
    dripping.say("G");

    // When this has ended, the deadline of a head is over.
    dripping.hear().expect(408);
    late.say(HEALTH);

    late.hear().expect(200);
}

#[test]
fn header_names_are_spelled_as_clients_of_http_1_spell_them() {
    let server = Server::start();
    server.user("ann");
    let name = |reply: &Reply| reply.headers.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();

    let signed_in = ask_raw(server.address, sign_in("ann"));
    let refused = ask_raw(server.address, "GET /api/v2/users HTTP/1.1\r\nHost: lodge\r\n\r\n");
    let malformed = ask_raw(server.address, "GET /\r\n\r\n");

    for (reply, expected) in [
        (&signed_in, ["Content-Length", "Content-Type", "Date", "X-Request-Id", "Authorization"]),
        (&refused, ["Content-Length", "Content-Type", "Cache-Control", "X-Content-Type-Options", "Www-Authenticate"]),
        (&malformed, ["Content-Length", "Content-Type", "Connection", "Referrer-Policy", "Content-Security-Policy"]),
    ] {
        let names = name(reply);
        assert!(expected.iter().all(|expected| names.iter().any(|name| name == expected)), "{names:?}");
    }
}

#[test]
fn the_ids_of_requests_have_nothing_in_common() {
    let server = Server::start();
    let mut conversation = Conversation::with(server.address);
    conversation.say(HEALTH.repeat(2));

    let [one, other] = [(); 2].map(|()| conversation.hear().header("x-request-id").unwrap().to_owned());

    let alike = one.bytes().zip(other.bytes()).filter(|(one, other)| one == other).count();
    assert!(alike < 24, "{one} {other}");
}

#[test]
fn an_address_has_no_more_connections_than_its_share() {
    let server = ServerBuilder::new().flag("--max-connections-per-address", "20").start();
    let mut connections: Vec<_> = (0..20).map(|_| Conversation::with(server.address)).collect();
    for connection in &mut connections {
        connection.say(HEALTH);
        connection.hear().expect(200);
    }

    let mut refused = Conversation::with(server.address);
    refused.say(HEALTH);
    assert_eq!(refused.hear_out(), b"");

    connections[0].say(HEALTH);
    connections[0].hear().expect(200);
    let mut leaving = connections.pop().unwrap();
    leaving.say("GET /healthz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n");
    leaving.hear_out();
    drop(leaving);
    // Its place is free once the server has noticed that the client has gone.
    while ask_again(server.address).is_empty() {}
}

fn ask_again(address: SocketAddr) -> Vec<u8> {
    let mut conversation = Conversation::with(address);
    conversation.say("GET /healthz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n");
    conversation.hear_out()
}

#[test]
fn connections_that_have_been_idle_for_long_make_room_for_others() {
    let builder = ServerBuilder::new().flag("--max-connections", "16").flag("--idle-deadline", "40s");
    let server = builder.start();
    let mut idle: Vec<_> = (0..16).map(|_| Conversation::with(server.address)).collect();
    for connection in &mut idle {
        connection.say(HEALTH);
        connection.hear().expect(200);
    }

    let mut others: Vec<_> = (0..3).map(|_| Conversation::with(server.address)).collect();
    for other in &mut others {
        other.say(HEALTH);
        other.hear().expect(200);
    }

    assert_eq!(idle[0].hear_out(), b"");
    idle[15].say(HEALTH);
    idle[15].hear().expect(200);
}

#[test]
fn a_request_that_is_the_last_for_the_socket_is_the_last_for_the_framework_too() {
    let server = Server::start();
    for last in [
        b"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close, \xff\r\n\r\n".as_slice(),
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(server.address).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.write_all(&[last, HEALTH.as_bytes()].concat()).unwrap();

        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();

        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert_eq!(heard.matches("HTTP/1.1 ").count(), 1, "{heard}");
        assert!(heard.to_ascii_lowercase().contains("connection: close"), "{heard}");
    }
}
