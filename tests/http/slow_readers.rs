//! Readers that take an answer steadily, and too slowly.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::harness::ServerBuilder;

/// How long the server may take to give a reader up before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// Whether the server has not closed its end of the connection, as the kernel has it (`/proc/net/tcp`, state 1).
fn is_open(server: SocketAddr, client: SocketAddr) -> bool {
    let ends = format!(": 0100007F:{:04X} 0100007F:{:04X} 01 ", server.port(), client.port());
    fs::read_to_string("/proc/net/tcp").unwrap().contains(&ends)
}

#[test]
fn a_reader_that_is_steady_and_too_slow_is_given_up_at_the_deadline_of_an_answer() {
    // Without a deadline of its own an answer would last for as long as the reader takes some of it.
    let server = ServerBuilder::new().flag("--answer-deadline", "1s").flag("--send-deadline", "1h").start();
    let ann = server.session("ann");
    for number in 0..40 {
        let body = json!({"key": format!("k{number}"), "value": "x".repeat(64 << 10)});
        ann.post("/users/me/configurations", &body).expect(201);
    }
    let list = ann.get("/users/me/configurations").expect(200);
    let authorization = ann.authorization.clone().unwrap();
    let request = "GET /api/v2/users/me/configurations HTTP/1.1\r\nHost: lodge\r\nConnection: close";
    let mut stream = TcpStream::connect(server.address).unwrap();
    let client = stream.local_addr().unwrap();
    stream.write_all(format!("{request}\r\nAuthorization: {authorization}\r\n\r\n").as_bytes()).unwrap();

    let mut heard = vec![0];
    stream.read_exact(&mut heard).unwrap();
    let deadline = Instant::now() + TIMEOUT;
    while is_open(server.address, client) {
        assert!(Instant::now() < deadline, "the reader is never given up");
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        heard.extend(byte);
    }
    stream.read_to_end(&mut heard).unwrap();

    assert!(heard.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&heard[..100]));
    assert!(heard.len() < list.body.len(), "{} of {} bytes", heard.len(), list.body.len());
    ann.get("/users/me").expect(200);
}
