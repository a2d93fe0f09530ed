//! Several addresses, and Unix sockets among them.

use std::{
    collections::BTreeSet,
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{Client, Request, Server, ServerBuilder};

/// A socket beside the data directory.
fn socket_of(builder: &ServerBuilder) -> PathBuf {
    builder.data_dir().with_file_name("http.sock")
}

fn unix(path: &Path) -> String {
    format!("unix:{}", path.display())
}

/// A server on an address and on such a socket.
fn with_socket(builder: ServerBuilder) -> (Server, PathBuf) {
    let socket = socket_of(&builder);
    let addresses = format!("127.0.0.1:0, {}", unix(&socket));
    (builder.variable("LODGE_LISTEN", &addresses).start_unasked(), socket)
}

/// The administrator on that socket.
fn admin_on(server: &Server, socket: &Path) -> Client {
    server.admin().on_socket(socket.to_owned())
}

fn addresses(server: &Server) -> Vec<String> {
    let status = server.admin().get("/status").expect(200).json();
    serde_json::from_value(status["addresses"].clone()).unwrap()
}

/// How a server ends that cannot listen at that path, or else on an address that is in use.
fn refused(builder: &ServerBuilder, path: &Path) -> (Option<i32>, String) {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let addresses = format!("{},{}", unix(path), taken.local_addr().unwrap());
    let output = builder.command(&["serve"]).env("LODGE_LISTEN", addresses).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

#[test]
fn every_address_is_served_and_named_whether_given_by_flags_a_list_or_the_file() {
    let socket = |builder: &ServerBuilder| unix(&socket_of(builder));
    let builder = ServerBuilder::new();
    let path = socket(&builder);
    let by_flags = builder.flag("--listen", "127.0.0.1:0").flag("--listen", &format!("127.0.0.2:0,{path}"));
    let builder = ServerBuilder::new();
    let by_variable = format!("127.0.0.1:0,127.0.0.2:0, {}", socket(&builder));
    let by_variable = builder.variable("LODGE_LISTEN", &by_variable);
    let builder = ServerBuilder::new();
    let file = builder.data_dir().with_file_name("lodge.toml");
    fs::write(&file, format!("listen = [\"127.0.0.1:0\", \"127.0.0.2:0\", {:?}]\n", socket(&builder))).unwrap();
    // An empty variable counts as unset.
    let by_file = builder.variable("LODGE_LISTEN", "").flag("--config", file.to_str().unwrap());

    for builder in [by_flags, by_variable, by_file] {
        let socket = socket_of(&builder);
        let server = builder.start_unasked();
        let found = addresses(&server);

        let [first, second, third] = &found[..] else { panic!("{found:?}") };
        assert!(first.starts_with("http://127.0.0.1:") && second.starts_with("http://127.0.0.2:"), "{found:?}");
        assert_eq!(third, &unix(&socket));
        let other = second.strip_prefix("http://").unwrap().parse().unwrap();
        let mut there = server.admin();
        there.address = other;
        there.get("/users/me").expect(200);
        admin_on(&server, &socket).get("/users/me").expect(200);
        let shown = server.command(&["status", "--json"]).output().unwrap();
        let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
        assert_eq!(shown["addresses"], json!(found));
    }
}

#[test]
fn a_socket_is_for_the_servers_user_and_group_and_nobody_is_known_by_it() {
    let (mut server, socket) = with_socket(ServerBuilder::new());
    let anonymous = server.anonymous().on_socket(socket.clone());

    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o660);
    anonymous.get("/users/me").expect(401);
    anonymous.get("/users").expect(401);
    admin_on(&server, &socket).send(&Request::new("POST", "/backups")).expect(404);
    anonymous.send(&Request::whole("GET", "/readyz")).expect(200);

    assert!(server.stop().success());
    assert!(!socket.exists());
}

#[test]
fn a_socket_that_a_killed_server_left_is_replaced_and_no_other_one() {
    let (mut server, socket) = with_socket(ServerBuilder::new());
    server.kill();
    assert!(socket.exists());
    server.start_again();
    admin_on(&server, &socket).get("/users/me").expect(200);

    let (code, sentence) = refused(&ServerBuilder::new(), &socket);

    let expected = format!("the address {} cannot be listened on: a server is listening there", unix(&socket));
    assert!(code == Some(14) && sentence.contains(&expected), "{sentence}");
    admin_on(&server, &socket).get("/users/me").expect(200);
}

#[test]
fn a_file_at_the_place_of_a_socket_is_left_alone() {
    let builder = ServerBuilder::new();
    let file = socket_of(&builder);
    fs::write(&file, "text").unwrap();

    let (code, sentence) = refused(&builder, &file);

    assert!(code == Some(14) && sentence.contains("what is there is no socket"), "{sentence}");
    assert_eq!(fs::read_to_string(&file).unwrap(), "text");
}

#[test]
fn one_address_that_cannot_be_listened_on_ends_the_start_and_leaves_no_socket() {
    let (builder, held) = (ServerBuilder::new(), TcpListener::bind("127.0.0.1:0").unwrap());
    let (socket, taken) = (socket_of(&builder), held.local_addr().unwrap());
    let addresses = format!("{},127.0.0.1:0,{taken}", unix(&socket));

    let refused = builder.command(&["serve"]).env("LODGE_LISTEN", &addresses).output().unwrap();

    let sentence = String::from_utf8(refused.stderr).unwrap();
    assert_eq!((refused.status.code(), refused.stdout.as_slice()), (Some(14), &b""[..]), "{sentence}");
    assert!(sentence.contains(&format!("the address {taken} cannot be listened on")), "{sentence}");
    assert!(!socket.exists());
}

#[test]
fn over_tls_the_socket_stays_plain_and_takes_credentials() {
    let builder = ServerBuilder::new().flag("--tls-self-signed", "localhost").variable("LODGE_REQUIRE_TLS", "true");
    let (server, socket) = with_socket(builder);

    let status = admin_on(&server, &socket).get("/status").expect(200).json();

    let schemes: Vec<_> = status["addresses"].as_array().unwrap().iter().map(|url| url.as_str().unwrap()).collect();
    assert!(schemes[0].starts_with("https://") && schemes[1] == unix(&socket), "{schemes:?}");
}

#[test]
fn peers_on_a_socket_are_one_address_to_the_throttle() {
    let (server, socket) = with_socket(ServerBuilder::new().variable("LODGE_THROTTLE_AFTER", "2"));
    let wrong = json!({"user": {"username": "admin", "password": "not the keys"}});
    let on_socket = server.anonymous().on_socket(socket.clone());
    let guess = |client: &Client| client.post("/users/sign_in", &wrong).status;

    // Each connection is another one.
    let statuses: Vec<_> = (0..4).map(|_| guess(&on_socket)).collect();

    assert_eq!(statuses[..2], [401, 401]);
    assert_eq!(statuses[3], 429, "{statuses:?}");
    assert_eq!(guess(&server.anonymous()), 401);
}

/// A connection that the server is known to have accepted.
fn served(socket: &Path) -> UnixStream {
    let mut connection = UnixStream::connect(socket).unwrap();
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n").unwrap();
    connection.read_exact(&mut [0; 12]).unwrap();
    connection
}

#[test]
fn connections_to_a_socket_have_a_share_if_one_is_set_unless_they_are_a_trusted_proxys() {
    let is_served = |builder: ServerBuilder| {
        let (server, socket) = with_socket(builder.flag("--max-connections-per-address", "4"));
        let _others: Vec<_> = (0..4).map(|_| served(&socket)).collect();
        let fifth = server.anonymous().on_socket(socket).try_send(&Request::whole("GET", "/healthz"));
        server.anonymous().send(&Request::whole("GET", "/healthz")).expect(200);
        fifth.is_ok()
    };

    assert!(!is_served(ServerBuilder::new()));
    assert!(is_served(ServerBuilder::new().flag("--trusted-proxy", "unix")));
}

#[test]
fn networks_of_a_key_are_refused_on_a_socket_unless_a_trusted_proxy_names_the_client() {
    let key = |server: &Server| {
        let body =
            json!({"api_key_scopes": [{"controller": "*", "action": "*"}], "allowed_networks": ["192.0.2.0/24"]});
        let made = server.admin().post("/users/me/api_keys", &body).expect(201).json();
        made["key"].as_str().unwrap().to_owned()
    };
    let me = Request::new("GET", "/users/me").header("X-Forwarded-For", "198.51.100.9, 192.0.2.7");
    let plain = Request::new("GET", "/users/me");

    let (server, socket) = with_socket(ServerBuilder::new());
    let client = server.with(&key(&server)).on_socket(socket);
    assert_eq!([client.send(&plain).status, client.send(&me).status], [403, 403]);
    assert!(server.whole_log().contains("what connects to a Unix socket is not a trusted proxy"));

    let (server, socket) = with_socket(ServerBuilder::new().flag("--trusted-proxy", "unix"));
    let client = server.with(&key(&server)).on_socket(socket);
    assert_eq!([client.send(&plain).status, client.send(&me).status], [403, 200]);
    // Over TCP it trusts no proxy.
    assert_eq!(server.with(client.authorization.as_deref().unwrap()).send(&me).status, 403);
}

#[test]
fn health_is_asked_at_each_address_until_one_is_ready() {
    let (mut server, socket) = with_socket(ServerBuilder::new());
    let health = |addresses: &str| {
        let elsewhere = ServerBuilder::new();
        elsewhere.command(&["health", "--listen", addresses]).output().unwrap()
    };
    let dead = server.directory().join("dead.sock");
    drop(UnixListener::bind(&dead).unwrap());
    let both = format!("127.0.0.1:1,{},{}", unix(&dead), unix(&socket));

    let running = health(&both);
    server.kill();
    let gone = health(&both);

    assert_eq!((running.status.code(), running.stderr.as_slice()), (Some(0), &b""[..]), "{running:?}");
    let sentence = String::from_utf8(gone.stderr).unwrap();
    assert_eq!(gone.status.code(), Some(1), "{sentence}");
    for address in both.split(',') {
        assert!(sentence.matches(address).count() >= 2, "{address}: {sentence}");
    }
}

#[test]
fn addresses_that_are_none_are_refused_with_a_sentence_each() {
    let refused = |addresses: &str| {
        let output = ServerBuilder::new().command(&["settings", "check", "--listen", addresses]).output().unwrap();
        assert_eq!(output.status.code(), Some(2), "{addresses}");
        String::from_utf8(output.stderr).unwrap()
    };
    let long = format!("unix:/{}", "a".repeat(107));
    let sentences: BTreeSet<_> = [
        ("127.0.0.1:3000,127.0.0.1:3000", "`127.0.0.1:3000` is given twice"),
        ("unix:/run/a.sock,127.0.0.1:0,unix:/run/a.sock", "`unix:/run/a.sock` is given twice"),
        ("unix:a.sock", "`a.sock` is not the whole path of a socket"),
        ("127.0.0.1:3000,", "`` is not an address with a port"),
        (&long, "has more than the 107 bytes of a socket's path"),
    ]
    .into_iter()
    .filter(|(addresses, sentence)| !refused(addresses).contains(sentence))
    .collect();
    assert!(sentences.is_empty(), "{sentences:?}");
}
