//! Connections by the hundred, none of which does what it should.

use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use lodge::tls;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde_json::json;

use crate::{
    harness::{ADMIN_PASSWORD, Request, Server, ServerBuilder, basic, repetitions, wait_until},
    http::conversation::Conversation,
};

/// How long the server may take to end what it should end before the test fails.
const TIMEOUT: Duration = Duration::from_mins(2);

/// How many idle connections are measured unless `LODGE_TEST_CONNECTIONS` gives another number.
const CONNECTIONS: usize = 2_000;

const HEALTH: &str = "GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n";

/// A connection that is looked at without waiting for it.
struct Dripping {
    stream: TcpStream,
    heard: Vec<u8>,
    is_open: bool,
}

impl Dripping {
    fn begin(address: SocketAddr, bytes: impl AsRef<[u8]>) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        // A server that has hung up already is noticed by listening.
        let _ = stream.write_all(bytes.as_ref());
        stream.set_nonblocking(true).unwrap();
        Self { stream, heard: Vec::new(), is_open: true }
    }

    /// Sends one more byte.
    fn drip(&mut self) {
        let _ = self.stream.write(b"x");
    }

    /// Whether the server has not hung up yet.
    fn listen(&mut self) -> bool {
        let mut buffer = [0; 4096];
        while self.is_open {
            match self.stream.read(&mut buffer) {
                Ok(length) if length > 0 => self.heard.extend(&buffer[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                Ok(_) | Err(_) => self.is_open = false,
            }
        }
        false
    }
}

/// Drips on all of them, with others being served meanwhile, until the server has hung up on each.
fn drip_until_closed(server: &Server, connections: &mut [Dripping]) {
    let deadline = Instant::now() + TIMEOUT;
    let admin = server.admin();
    while connections.iter_mut().filter(|connection| connection.is_open).fold(false, |any, connection| {
        connection.drip();
        connection.listen() || any
    }) {
        admin.get("/users/me").expect(200);
        assert!(Instant::now() < deadline, "the server never hung up");
    }
}

/// A line of the server's `/proc/self/status`, in KiB.
/// How many sockets the server has open.
fn sockets(server: &Server) -> usize {
    let entries = fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap();
    let targets = entries.filter_map(|entry| fs::read_link(entry.ok()?.path()).ok());
    targets.filter(|target| target.to_string_lossy().starts_with("socket:")).count()
}

#[test]
fn a_thousand_heads_that_come_by_the_byte_are_given_up_while_others_are_served() {
    let server = ServerBuilder::new().flag("--head-deadline", "2s").start();
    let begin = |_| Dripping::begin(server.address, "GET /healthz HTTP/1.1\r\nX-Slow: ");
    let mut connections: Vec<_> = (0..1000).map(begin).collect();

    drip_until_closed(&server, &mut connections);

    for connection in connections {
        let heard = String::from_utf8_lossy(&connection.heard);
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
    }
}

#[test]
fn a_later_head_has_the_same_deadline_as_the_first() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").start();
    let begin = |_| Dripping::begin(server.address, format!("{HEALTH}GET /healthz HTTP/1.1\r\nX-Slow: "));
    let mut connections: Vec<_> = (0..50).map(begin).collect();

    drip_until_closed(&server, &mut connections);

    for connection in connections {
        let heard = String::from_utf8_lossy(&connection.heard);
        assert_eq!(heard.matches("HTTP/1.1 200 OK").count(), 1, "{heard}");
    }
}

#[test]
fn a_body_that_comes_by_the_byte_is_given_up() {
    let server = ServerBuilder::new().flag("--body-deadline", "1s").start();
    let lines = format!("Host: lodge\r\nAuthorization: {}\r\n", basic("admin", ADMIN_PASSWORD));
    let json = "Content-Type: application/json\r\nContent-Length: 100000\r\n\r\n{";
    let begin = |number: usize| {
        let path = ["/users", "/users/me/configurations", "/users/sign_in"][number % 3];
        let json = if number % 3 == 2 { json.replace("100000", "10000") } else { json.to_owned() };
        Dripping::begin(server.address, format!("POST /api/v2{path} HTTP/1.1\r\n{lines}{json}"))
    };
    let mut connections: Vec<_> = (0..30).map(begin).collect();

    drip_until_closed(&server, &mut connections);

    for connection in connections {
        let heard = String::from_utf8_lossy(&connection.heard);
        assert!(heard.starts_with("HTTP/1.1 408 "), "{heard}");
        assert!(heard.ends_with(r#"{"error":"The body took too long to arrive."}"#), "{heard}");
    }
}

#[test]
fn unread_chunks_are_not_waited_for_for_ever() {
    let server = ServerBuilder::new().flag("--head-deadline", "1s").start();
    let request = "POST /nowhere HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: chunked\r\n\r\nfffff\r\n";
    let mut connections: Vec<_> = (0..20).map(|_| Dripping::begin(server.address, request)).collect();

    drip_until_closed(&server, &mut connections);

    for connection in connections {
        assert!(connection.heard.starts_with(b"HTTP/1.1 404 "), "{:?}", String::from_utf8_lossy(&connection.heard));
    }
}

#[test]
fn an_idle_connection_is_closed_whether_it_has_asked_anything_or_not() {
    let builder = ServerBuilder::new().flag("--idle-deadline", "1s").flag("--head-deadline", "1s");
    let server = builder.start();
    let mut asked = Conversation::with(server.address);
    asked.say(HEALTH);
    asked.hear().expect(200);
    let mut silent = Conversation::with(server.address);

    assert_eq!([asked.hear_out(), silent.hear_out()], [b"", b""]);
}

#[test]
fn five_hundred_readers_that_do_not_read_a_large_list_cost_bounded_memory_and_are_given_up() {
    let builder = ServerBuilder::new().flag("--send-deadline", "2s").flag("--transfer-memory", "64MiB");
    // The lists may take this machine longer than the deadline of a head, which is not what is tried here.
    let server = builder.flag("--head-deadline", "1h").start();
    let ann = server.session("ann");
    for number in 0..10 {
        let body = json!({"key": format!("k{number}"), "value": "x".repeat(64 << 10)});
        ann.post("/users/me/configurations", &body).expect(201);
    }
    let authorization = ann.authorization.clone().unwrap();
    let list = ann.get("/users/me/configurations?limit=1000").expect(200);
    let before = server.memory_kib("VmRSS");
    let before_sockets = sockets(&server);
    let path = "/api/v2/users/me/configurations?limit=1000";
    let request = format!("GET {path} HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}\r\n\r\n");

    let readers: Vec<_> = (0..500).map(|_| Dripping::begin(server.address, &request)).collect();
    wait_until("all are answered", || server.log().matches("route=/api/v2/users/me/configurations ").count() >= 511);
    server.anonymous().send(&Request::whole("GET", "/readyz")).expect(200);
    wait_until("the readers are given up", || {
        let crowded = server.log().matches("status=503").count();
        sockets(&server) <= before_sockets + crowded
    });

    let after = server.memory_kib("VmHWM");
    let crowded = server.log().matches("status=503").count();
    assert!(crowded > 100, "500 lists of 650 kB do not fit into 64 MiB, {crowded} got 503");
    assert!(after < before + (150 << 10), "{before} KiB before, {after} KiB at most");
    drop(readers);
    assert_eq!(ann.get("/users/me/configurations?limit=1000").expect(200).json(), list.json());
}

#[test]
fn a_list_is_answered_whole_to_a_reader_that_is_slow_within_bounds() {
    let server = ServerBuilder::new().flag("--send-deadline", "1s").start();
    let admin = server.admin();
    for number in 0..40 {
        let body = json!({"key": format!("k{number}"), "value": "x".repeat(64 << 10)});
        admin.post("/users/me/configurations", &body).expect(201);
    }
    let authorization = basic("admin", ADMIN_PASSWORD);
    let request = "GET /api/v2/users/me/configurations HTTP/1.1\r\nHost: lodge\r\nConnection: close";
    let mut stream = TcpStream::connect(server.address).unwrap();
    stream.write_all(format!("{request}\r\nAuthorization: {authorization}\r\n\r\n").as_bytes()).unwrap();

    let (mut heard, mut buffer) = (Vec::new(), vec![0; 256 << 10]);
    loop {
        // Some 2.5 MB in 3 s: far longer than the deadline altogether, and never slower than is permitted.
        std::thread::sleep(Duration::from_millis(300));
        match stream.read(&mut buffer).unwrap() {
            0 => break,
            length => heard.extend(&buffer[..length]),
        }
    }

    let body = heard.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let list: serde_json::Value = serde_json::from_slice(&heard[body..]).unwrap();
    assert_eq!(list, admin.get("/users/me/configurations").json());
}

#[test]
fn heads_beyond_the_limits_are_refused_while_they_arrive() {
    let server = ServerBuilder::new().flag("--head-deadline", "1h").start();
    let head = format!("GET /healthz HTTP/1.1\r\nHost: lodge\r\nX-Large: {}", "x".repeat(60 << 10));
    let mut connections: Vec<_> = (0..600).map(|_| Dripping::begin(server.address, &head)).collect();

    wait_until("all are closed", || {
        connections.iter_mut().map(Dripping::listen).filter(|is_open| *is_open).count() == 0
    });

    for connection in connections {
        let reply = String::from_utf8_lossy(&connection.heard);
        assert!(reply.starts_with("HTTP/1.1 431 "), "{reply}");
    }
    server.admin().post("/users/me/configurations", &json!({"key": "a", "value": "x".repeat(64 << 10)})).expect(201);
}

/// What each of many idle connections adds to the server's memory, in bytes; the server answers beside them.
fn cost_of_idle_connections(server: &Server, converse: impl Fn() -> Conversation) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }).unwrap();
    let descriptors = usize::try_from(limit.maximum.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
    let count = descriptors.saturating_sub(2000).min(repetitions("LODGE_TEST_CONNECTIONS", CONNECTIONS));
    let asked = |path: &str| {
        let mut conversation = converse();
        let admin = basic("admin", ADMIN_PASSWORD);
        conversation.say(format!("GET {path} HTTP/1.1\r\nHost: lodge\r\nAuthorization: {admin}\r\n\r\n"));
        conversation.hear().expect(200);
        conversation
    };
    (0..100).for_each(|_| drop(asked("/healthz")));
    let before = server.memory_kib("VmRSS");

    let connections: Vec<_> = (0..count).map(|_| asked("/healthz")).collect();

    let after = server.memory_kib("VmRSS");
    asked("/api/v2/users/me");
    (after - before) * 1024 / connections.len() as u64
}

#[test]
fn an_idle_connection_costs_less_than_20_kb_with_tls_too_and_many_leave_the_server_answering() {
    let plain = Server::start();
    let encrypted = ServerBuilder::new().flag("--tls-self-signed", "127.0.0.1").start_unasked();
    let client = tls::client();

    let costs = [
        cost_of_idle_connections(&plain, || Conversation::with(plain.address)),
        cost_of_idle_connections(&encrypted, || Conversation::over_tls(encrypted.address, Arc::clone(&client))),
    ];

    println!("an idle connection costs {} bytes, with TLS {}", costs[0], costs[1]);
    assert!(costs.iter().all(|cost| *cost < 20_000), "{costs:?} bytes");
}

#[test]
fn connections_beyond_the_setting_wait_until_others_are_gone() {
    let server = ServerBuilder::new().flag("--max-connections", "16").start();
    let mut connections: Vec<_> = (0..64).map(|_| Dripping::begin(server.address, HEALTH)).collect();
    let answered = |connections: &mut [Dripping]| {
        let is_open = connections.iter_mut().map(Dripping::listen).filter(|is_open| *is_open).count();
        assert_eq!(is_open, connections.len());
        connections.iter().filter(|connection| !connection.heard.is_empty()).count()
    };

    while !connections.is_empty() {
        // However many cores share them, they are more than half.
        let some = connections.len().min(8);
        wait_until("as many as may be are answered", || answered(&mut connections) >= some);
        let first = connections.iter().position(|connection| !connection.heard.is_empty()).unwrap();
        for _ in 0..20 {
            let heard = connections[first].heard.len();
            connections[first].stream.write_all(HEALTH.as_bytes()).unwrap();
            wait_until("it is answered again", || {
                connections[first].listen() && connections[first].heard.len() > heard
            });
        }
        let count = answered(&mut connections);
        assert!(count <= 16, "{count} are served at once");
        connections.retain(|connection| connection.heard.is_empty());
    }
}

#[test]
fn the_bounds_of_a_head_and_of_json_are_settings() {
    let server = ServerBuilder::new()
        .flag("--head-limit", "4KiB")
        .flag("--path-limit", "1KiB")
        .flag("--json-depth", "4")
        .start();
    let admin = server.admin();
    let head = |length| Request::new("GET", "/users/me").header("X-Long", "x".repeat(length));
    let path = |length| Request::new("GET", &format!("/users/me?{}", "x".repeat(length)));
    let body = |levels: usize| {
        let nested = format!("{}{}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        Request::new("POST", "/users/me/configurations").json_bytes(format!(r#"{{"key":"k{levels}","x":{nested}}}"#))
    };

    assert_eq!([head(3500), path(900)].map(|request| admin.send(&request).status), [200; 2]);
    assert_eq!([head(4100), path(1100)].map(|request| admin.send(&request).status), [431, 414]);
    admin.send(&body(4)).expect(201);
    let refused = admin.send(&body(5)).expect(400);
    assert_eq!(refused.json(), json!({"error": "The body is nested too deep."}));
}

#[test]
fn many_simultaneous_heads_with_the_longest_paths_are_accepted() {
    let server = ServerBuilder::new().flag("--path-limit", "32KiB").flag("--head-deadline", "1h").start();
    let (path, header) = ("x".repeat(32_000), "x".repeat(8_000));
    let head = format!("GET /healthz?{path} HTTP/1.1\r\nHost: lodge\r\nX-Large: {header}");
    let begin = |_| {
        let mut conversation = Conversation::with(server.address);
        conversation.say(&head);
        conversation
    };
    let mut conversations: Vec<_> = (0..600).map(begin).collect();

    // The last first, while the others still are under way.
    while let Some(mut conversation) = conversations.pop() {
        conversation.say("\r\n\r\n");
        assert_eq!(conversation.hear().status, 200);
    }
}
