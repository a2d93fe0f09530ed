//! The memory for large bodies and answers, and who may have how much of it.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::json;

use crate::harness::{Client, Request, Server, ServerBuilder, wait_until};

/// How long the server may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

fn connect(address: SocketAddr, bytes: impl AsRef<[u8]>) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_write_timeout(Some(TIMEOUT)).unwrap();
    stream.write_all(bytes.as_ref()).unwrap();
    stream
}

/// A user whose list of configurations has 650 kB.
fn with_large_list(server: &Server, username: &str) -> Client {
    let client = server.session(username);
    for number in 0..10 {
        let body = json!({"key": format!("k{number}"), "value": "x".repeat(64 << 10)});
        client.post("/users/me/configurations", &body).expect(201);
    }
    client
}

fn list_from(address: &str) -> Request {
    Request::new("GET", "/users/me/configurations").header("X-Forwarded-For", address)
}

#[test]
fn a_client_that_does_not_read_its_answers_leaves_memory_to_others() {
    let builder = ServerBuilder::new().flag("--transfer-memory", "64MiB").flag("--trusted-proxy", "127.0.0.1");
    let server = builder.start();
    let (ann, bob) = (with_large_list(&server, "ann"), with_large_list(&server, "bob"));
    let authorization = ann.authorization.clone().unwrap();
    let list = format!("GET /api/v2/users/me/configurations HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}");
    let request = format!("{list}\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n");

    // Those beyond a connection's buffers in the kernel stay in the server.
    let readers: Vec<_> = (0..40).map(|_| connect(server.address, request.repeat(30))).collect();
    wait_until("the account has its share", || server.log().contains("status=503"));

    for address in ["192.0.2.1", "192.0.2.2"] {
        wait_until("the account is refused", || ann.send(&list_from(address)).status == 503);
    }
    // No list is made for it.
    let head = Request::new("HEAD", "/users/me/configurations").header("X-Forwarded-For", "192.0.2.1");
    ann.send(&head).expect(200);
    bob.send(&list_from("192.0.2.2")).expect(200);
    drop(readers);
    wait_until("the memory is free again", || ann.send(&list_from("192.0.2.1")).status == 200);
}

#[test]
fn a_change_is_refused_if_there_is_no_memory_for_its_response() {
    let server = ServerBuilder::new().flag("--transfer-memory", "64MiB").start();
    let ann = server.session("ann");
    // Reported, each character has six bytes.
    let body = json!({"key": "theme", "value": "\u{1}".repeat(64 << 10)});
    ann.post("/users/me/configurations", &body).expect(201);
    let authorization = ann.authorization.clone().unwrap();
    let headers = format!("Host: lodge\r\nAuthorization: {authorization}\r\nContent-Type: application/json\r\n");
    let path = "/api/v2/users/me/configurations/theme";
    let put = format!("PUT {path} HTTP/1.1\r\n{headers}Content-Length: 15\r\n\r\n{{\"key\":\"theme\"}}");

    let readers: Vec<_> = (0..100).map(|_| connect(server.address, put.repeat(30))).collect();

    wait_until("the account has its share", || {
        server.log().lines().any(|line| line.contains("method=PUT") && line.contains("status=503"))
    });
    drop(readers);
    wait_until("the memory is free again", || ann.put("/users/me/configurations/theme", &json!({})).status == 200);
}

#[test]
fn an_assertion_is_refused_if_there_is_no_memory_for_it() {
    let memory = ServerBuilder::new().flag("--transfer-memory", "64MiB");
    let server = memory.flag("--assertion-audience", "files").start();
    let long: Vec<_> = (0..255).map(|number| format!("{number:a>64} / {}", "b".repeat(64))).collect();
    let scopes: Vec<_> = long.iter().map(String::as_str).chain(["assertions / create"]).collect();
    let authorization = server.key("ann", &scopes).authorization.unwrap();
    let post = format!(
        "POST /api/v2/assertions?aud=files HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}\r\nContent-Length: 0\r\n\r\n"
    );

    let readers: Vec<_> = (0..450).map(|_| connect(server.address, post.repeat(10))).collect();

    wait_until("the account has its share", || {
        server.log().lines().any(|line| line.contains("method=POST") && line.contains("status=503"))
    });
    drop(readers);
}

#[test]
fn heads_that_do_not_come_to_their_end_take_their_share_of_the_memory() {
    let builder = ServerBuilder::new().flag("--transfer-memory", "64MiB").flag("--head-deadline", "1h");
    let server = builder.start();
    let ann = with_large_list(&server, "ann");
    let head = format!("GET /healthz HTTP/1.1\r\nHost: lodge\r\nX-Large: {}", "x".repeat(15_000));

    let mut heads: Vec<_> = (0..1_100).map(|_| connect(server.address, &head)).collect();
    for head in &heads {
        head.set_nonblocking(true).unwrap();
    }

    let mut reply = [0; 12];
    wait_until("some are refused", || heads.iter_mut().any(|head| head.read_exact(&mut reply).is_ok()));
    assert_eq!(&reply, b"HTTP/1.1 503");
    ann.get("/users/me/configurations").expect(503);
    for path in ["/openapi.json", "/api/v2/openapi.json", "/healthz", "/readyz"] {
        server.anonymous().send(&Request::whole("GET", path)).expect(200);
    }
}

#[test]
fn unread_copies_of_the_document_take_no_memory() {
    let server = ServerBuilder::new().flag("--transfer-memory", "64MiB").start();
    let ann = with_large_list(&server, "ann");
    let document = server.anonymous().send(&Request::whole("GET", "/openapi.json")).expect(200);
    let readers = 2 * (64 << 20) / document.body.len();
    let answers = || server.log().matches("route=/openapi.json ").count();

    // Those beyond a connection's buffers in the kernel stay in the server.
    let requests = "GET /openapi.json HTTP/1.1\r\nHost: lodge\r\n\r\n".repeat(30);
    let readers: Vec<_> = (0..readers).map(|_| connect(server.address, &requests)).collect();
    wait_until("the document is being sent to all", || answers() >= 2 * readers.len());

    ann.get("/users/me/configurations").expect(200);
    assert!(!server.log().contains("status=503"), "{}", server.log());
}
