//! Whether the server is alive and ready.

use std::{
    io::{Read, Write},
    net::TcpListener,
    process::Output,
};

use crate::harness::{Request, Server, ServerBuilder};

/// The output of `lodge health` for the server at that address, where there is no local socket.
fn health(address: &str) -> Output {
    ServerBuilder::new().command(&["health"]).env("LODGE_LISTEN", address).output().unwrap()
}

#[test]
fn anybody_may_ask_whether_the_server_is_alive_and_ready() {
    let server = Server::start();

    for client in [server.anonymous(), server.admin(), server.with("Bearer of.bad.news")] {
        for path in ["/healthz", "/readyz", "/readyz?verbose=1"] {
            let reply = client.send(&Request::whole("GET", path)).expect(200);

            assert!(reply.json().is_object(), "{path}");
        }
    }
}

#[test]
fn health_exits_with_0_while_the_server_is_ready_and_with_1_once_it_is_gone() {
    let mut server = Server::start();
    let address = server.address.to_string();

    let running = health(&address);
    server.kill();
    let gone = health(&address);

    assert_eq!(running.status.code(), Some(0), "{running:?}");
    assert!(running.stderr.is_empty() && running.stdout.is_empty(), "{running:?}");
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains(&address), "{gone:?}");
}

#[test]
fn health_takes_the_address_from_its_flag_first() {
    let server = Server::start();
    let elsewhere = ServerBuilder::new();
    let mut command = elsewhere.command(&["health", "--listen", &server.address.to_string()]);

    let asked = command.env("LODGE_LISTEN", "127.0.0.1:1").output().unwrap();

    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
}

#[test]
fn health_exits_with_1_where_something_else_answers() {
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let hanging_up = std::thread::spawn(move || drop(other.accept().unwrap()));

    let asked = health(&address);

    hanging_up.join().unwrap();
    assert_eq!(asked.status.code(), Some(1), "{asked:?}");
}

#[test]
fn a_server_on_all_addresses_is_found_on_this_machines_own() {
    let server = Server::start();
    let port = server.address.port();

    let asked = health(&format!("0.0.0.0:{port}"));

    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
}

#[test]
fn health_needs_neither_a_data_directory_nor_a_secret() {
    let server = Server::start();
    let nothing = ServerBuilder::new();

    let asked = nothing.command(&["health"]).env("LODGE_LISTEN", server.address.to_string()).output().unwrap();

    assert_eq!(asked.status.code(), Some(0), "{asked:?}");
    assert!(!nothing.data_dir().exists());
}

#[test]
fn health_asks_on_the_local_socket_whatever_the_address_is() {
    let mut server = Server::start();
    let health = |server: &Server| server.command(&["health"]).env("LODGE_LISTEN", "127.0.0.1:1").output().unwrap();

    let running = health(&server);
    server.kill();
    let gone = health(&server);

    assert_eq!((running.status.code(), running.stderr.as_slice()), (Some(0), &b""[..]), "{running:?}");
    assert_eq!(gone.status.code(), Some(1), "{gone:?}");
    assert!(String::from_utf8_lossy(&gone.stderr).contains("127.0.0.1:1"), "{gone:?}");
}

/// Answers the next connection with that status, and takes what is asked first.
fn answer(mut connection: impl Read + Write, status: &str) {
    let mut asked = Vec::new();
    let mut byte = [0];
    while !asked.ends_with(b"\r\n\r\n") && connection.read(&mut byte).unwrap() > 0 {
        asked.extend(byte);
    }
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").unwrap();
}

#[test]
fn health_exits_with_1_where_the_server_is_not_ready_on_its_socket_or_at_its_address() {
    let builder = ServerBuilder::new();
    std::fs::create_dir(builder.data_dir()).unwrap();
    let local = std::os::unix::net::UnixListener::bind(builder.data_dir().join("lodge.sock")).unwrap();
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    let answering = std::thread::spawn(move || {
        answer(local.accept().unwrap().0, "503 Service Unavailable");
        answer(other.accept().unwrap().0, "503 Service Unavailable");
    });

    let on_socket = builder.command(&["health"]).output().unwrap();
    let at_address = health(&address);

    answering.join().unwrap();
    for (asked, why) in [(on_socket, "status 503"), (at_address, "503 Service Unavailable")] {
        assert_eq!(asked.status.code(), Some(1), "{asked:?}");
        assert!(String::from_utf8_lossy(&asked.stderr).contains(why), "{asked:?}");
    }
}
