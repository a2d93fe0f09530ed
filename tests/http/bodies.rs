//! Bodies of requests: what is read, what is refused, what is ignored.

use std::thread;

use lodge::api::{
    BodyKind,
    operations::{Operation, public_operations},
};
use serde_json::{Value, json};

use crate::{
    harness::{ADMIN_PASSWORD, Client, Reply, Request, Server, ServerBuilder, basic},
    http::conversation::{Conversation, ask_raw},
};

/// The default of the maximum size of a body, in bytes.
const LIMIT: usize = 512 << 10;

/// The maximum size of a form, and of a body without a credential, in bytes.
pub const SMALL_LIMIT: usize = 12 << 10;

/// How many bytes the operation's body has at most.
fn limit_of(operation: &Operation) -> usize {
    if operation.id == "sign_in" || operation.body() == Some(BodyKind::Form) { SMALL_LIMIT } else { LIMIT }
}

/// The operations that take a body.
fn operations_with_body() -> impl Iterator<Item = &'static Operation> {
    public_operations().filter(|operation| operation.body().is_some())
}

/// The operations that take a body of that kind.
pub fn operations_with(kind: BodyKind) -> impl Iterator<Item = &'static Operation> {
    public_operations().filter(move |operation| operation.body() == Some(kind))
}

/// A request for the operation, with the id 1 in its path and no body.
pub fn request_of(operation: &Operation) -> Request {
    let segments = operation.path.split('/').map(|segment| if segment.starts_with('{') { "1" } else { segment });
    Request::new(operation.method.as_str(), &segments.collect::<Vec<_>>().join("/"))
}

/// A server whose administrator has a configuration and an API key, each with the id 1.
fn furnished() -> Server {
    let server = Server::start();
    server.admin().post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);
    server.admin().post("/users/me/api_keys", &json!({"name": "backup"})).expect(201);
    server
}

/// Everything that the administrator can see.
fn everything(admin: &Client) -> Vec<Value> {
    let paths = ["/users", "/users/me/configurations", "/users/me/api_keys", "/users/me/api_keys/1"];
    paths.map(|path| admin.get(path).expect(200).json()).to_vec()
}

/// A request line and headers with the administrator's password, to be followed by further header lines.
fn head(method: &str, path: &str) -> String {
    let authorization = basic("admin", ADMIN_PASSWORD);
    format!("{method} /api/v2{path} HTTP/1.1\r\nHost: lodge\r\nAuthorization: {authorization}\r\n")
}

fn malformed() -> Vec<Vec<u8>> {
    let texts: [&[u8]; 39] = [
        b"",
        b" ",
        b"{",
        b"{\"a\"",
        b"{\"a\":",
        b"{\"a\":1",
        b"{\"a\":\"x",
        b"{\"a\":1}x",
        b"{\"a\":1}{}",
        b"{\"a\":1}\0",
        b"{\"a\":1,}",
        b"{\"a\":[1,]}",
        b"{,}",
        b"{'a':1}",
        b"{a:1}",
        b"{\"a\":1 /* why */}",
        b"{\"a\":NaN}",
        b"{\"a\":Infinity}",
        b"{\"a\":-Infinity}",
        b"{\"a\":1e400}",
        b"{\"a\":-1e400}",
        b"{\"a\":01}",
        b"{\"a\":+1}",
        b"{\"a\":0x1}",
        b"{\"a\":.5}",
        b"{\"a\":True}",
        b"{\"a\":\"\\ud800\"}",
        b"{\"a\":\"\\udc00\\ud800\"}",
        b"{\"\\ud800\":1}",
        b"{\"a\":\"\\x41\"}",
        b"{\"a\":\"\n\"}",
        b"{\"a\":\"\xff\"}",
        b"{\"a\":\"\xc0\xaf\"}",
        b"{\"a\":\"\xed\xa0\x80\"}",
        b"\xef\xbb\xbf{}",
        b"\xff\xfe{\0}\0",
        b"{\"a\":1,\"a\":1}",
        b"{\"a\":{\"b\":[{\"c\":1,\"d\":2,\"c\":3}]}}",
        b"{\"a\":1,\"\\u0061\":1}",
    ];
    let not_objects: [&[u8]; 7] = [b"[]", b"[{}]", b"7", b"\"{}\"", b"null", b"true", b"a=b"];
    let long = [
        format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000)),
        "[".repeat(100_000),
        format!("{{\"a\":{}}}", "9".repeat(100_000)),
    ];
    let long = long.into_iter().map(String::into_bytes);
    texts.into_iter().chain(not_objects).map(<[u8]>::to_vec).chain(long).collect()
}

/// A rotation without a body is one without members.
fn may_lack_a_body(operation: &Operation) -> bool {
    ["rotate_api_key", "rotate_user_api_key"].contains(&operation.id)
}

#[test]
fn a_body_that_is_not_one_valid_json_object_is_refused_by_every_operation() {
    let server = furnished();
    let admin = server.admin();
    let before = everything(&admin);

    for operation in operations_with(BodyKind::Json) {
        for body in malformed().into_iter().filter(|body| !body.is_empty() || !may_lack_a_body(operation)) {
            let reply = admin.send(&request_of(operation).json_bytes(&body));

            let context = format!("{} {:?}", operation.id, String::from_utf8_lossy(&body[..body.len().min(40)]));
            let status = if body.len() > limit_of(operation) { 413 } else { 400 };
            assert_eq!(reply.status, status, "{context}: {}", reply.text());
            assert!(reply.json()["error"].is_string(), "{context}");
        }
    }

    assert_eq!(everything(&admin), before);
}

#[test]
fn a_body_in_another_encoding_is_refused_with_its_name() {
    let server = Server::start();
    let text = r#"{"key":"J\u00e4ger","value":"Jäger"}"#;
    let latin_1: Vec<u8> = text.chars().map(|character| u8::try_from(u32::from(character)).unwrap()).collect();
    let utf_16 = |bytes: fn(u16) -> [u8; 2]| text.encode_utf16().flat_map(bytes).collect::<Vec<_>>();
    let with_mark = [vec![0xFF, 0xFE], utf_16(u16::to_le_bytes)].concat();

    for (body, encoding) in [
        (latin_1, "Latin-1"),
        (utf_16(u16::to_le_bytes), "UTF-16"),
        (utf_16(u16::to_be_bytes), "UTF-16"),
        (with_mark, "UTF-16"),
    ] {
        let reply =
            server.admin().send(&Request::new("POST", "/users/me/configurations").json_bytes(&body)).expect(400);

        assert!(reply.json()["error"].as_str().unwrap().contains(encoding), "{}", reply.text());
    }
}

#[test]
fn a_member_given_twice_is_refused_whether_it_is_known_or_not() {
    let server = furnished();
    let admin = server.admin();
    let before = everything(&admin);
    let sign_in = r#"{"username":"admin","password":"the keys to the house"}"#;

    for (method, path, body) in [
        ("POST", "/users/sign_in", format!(r#"{{"user":{sign_in},"user":{sign_in}}}"#)),
        ("POST", "/users/sign_in", format!(r#"{{"user":{},"password":""}}}}"#, &sign_in[..sign_in.len() - 1])),
        ("POST", "/users/me/configurations", r#"{"key":"a","key":"b"}"#.to_owned()),
        ("PUT", "/users/me/configurations/1", r#"{"value":"a","value":"a"}"#.to_owned()),
        ("PUT", "/users/me/configurations/theme", r#"{"value":"a","v\u0061lue":"b"}"#.to_owned()),
        (
            "POST",
            "/users/me/api_keys",
            r#"{"api_key_scopes":[{"controller":"a","controller":"*","action":"*"}]}"#.to_owned(),
        ),
        ("PUT", "/users/me/api_keys/1", r#"{"unknown":1,"unknown":1}"#.to_owned()),
        ("PUT", "/users/1", r#"{"is_admin":true,"is_admin":false}"#.to_owned()),
    ] {
        let reply = admin.send(&Request::new(method, path).json_bytes(&body)).expect(400);

        assert_eq!(reply.json(), json!({"error": "A member is given twice in one JSON object."}), "{body}");
    }

    assert_eq!(everything(&admin), before);
}

#[test]
fn a_body_is_not_judged_without_a_credential() {
    let server = furnished();
    let operations = operations_with_body().filter(|operation| operation.id != "sign_in");

    // At once, because the server waits for the rest of each body that it does not read.
    thread::scope(|scope| {
        for operation in operations {
            for client in [server.anonymous(), server.with("Bearer of.bad.news")] {
                scope.spawn(move || expect_the_same_refusal(&client, operation));
            }
        }
    });
}

/// Expects the same answer to an operation with any body.
fn expect_the_same_refusal(client: &Client, operation: &Operation) {
    let request = request_of(operation);
    let requests = [
        request.clone().json_bytes("{}"),
        request.clone().json_bytes("{"),
        request.clone().body("a=b").header("Content-Type", "text/plain"),
        request.clone().json_bytes("{}").header("Content-Encoding", "gzip"),
        request.json_bytes(vec![b' '; LIMIT + 1]),
    ];
    let replies = requests.map(|request| client.send(&request).expect(401).body);

    assert!(replies.iter().all(|body| *body == replies[0]), "{}", operation.id);
}

#[test]
fn a_body_is_declared_as_json_in_utf_8_or_not_read() {
    let server = furnished();
    let admin = server.admin();
    let before = everything(&admin);
    let refused: [&[&str]; 15] = [
        &[],
        &[""],
        &["text/json"],
        &["text/plain"],
        &["text/html; application/json"],
        &["multipart/form-data; boundary=x"],
        &["application/x-www-form-urlencoded"],
        &["application/vnd.api+json"],
        &["application/jsonp"],
        &["application/"],
        &["application/json; charset=utf-16"],
        &["application/json; charset=latin1"],
        &["application/json; charset=\"utf-32\""],
        &["application/json; Charset=UTF-16LE"],
        &["application/json", "text/plain"],
    ];

    for operation in operations_with(BodyKind::Json) {
        for content_types in refused {
            let request = request_of(operation).body(r#"{"key":"a","username":"zoe","name":"a"}"#);
            let request = content_types.iter().fold(request, |request, value| request.header("Content-Type", value));

            let reply = admin.send(&request).expect(415);

            let error = "The body must be application/json in UTF-8.";
            assert_eq!(reply.json(), json!({"error": error}), "{} {content_types:?}", operation.id);
        }
    }
    assert_eq!(everything(&admin), before);
}

#[test]
fn json_in_utf_8_may_be_declared_in_any_way_that_means_it() {
    let server = Server::start();

    for (number, content_type) in [
        "application/json",
        "application/json; charset=utf-8",
        "application/json;charset=UTF-8",
        "application/json; charset=\"utf-8\"",
        "Application/JSON",
        "application/json ; Charset=Utf-8",
        "application/json; profile=x",
    ]
    .into_iter()
    .enumerate()
    {
        let request = Request::new("POST", "/users/me/configurations").header("Content-Type", content_type);
        let request = request.body(json!({"key": format!("k{number}"), "value": "\u{e4}"}).to_string());

        assert_eq!(server.admin().send(&request).expect(201).json()["value"], "\u{e4}", "{content_type}");
    }
}

#[test]
fn an_encoded_body_is_refused_whatever_the_encoding() {
    let server = furnished();
    let admin = server.admin();
    let before = everything(&admin);

    for operation in operations_with_body() {
        for encoding in ["gzip", "br", "deflate", "zstd", "compress", "identity", "GZIP", "gzip, gzip", "x", ""] {
            let request = request_of(operation).json(&json!({"key": "a", "username": "zoe", "name": "a"}));

            let reply = admin.send(&request.header("Content-Encoding", encoding)).expect(415);

            let error = "The body must not be encoded.";
            assert_eq!(reply.json(), json!({"error": error}), "{} {encoding:?}", operation.id);
        }
    }
    assert_eq!(everything(&admin), before);
}

#[test]
fn a_body_declared_too_long_is_refused_before_it_is_read() {
    let server = furnished();

    for operation in operations_with_body() {
        let path = &request_of(operation).path["/api/v2".len()..];
        let limit = limit_of(operation);
        for length in [(limit + 1).to_string(), u64::MAX.to_string()] {
            let head = head(operation.method.as_str(), path);
            let request = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{{\"key\":");

            let reply = ask_raw(server.address, request);

            let error = json!({"error": format!("The body has more than {limit} bytes.")});
            assert_eq!((reply.status, reply.json()), (413, error), "{} {length}", operation.id);
        }
    }
}

#[test]
fn chunks_without_an_end_are_refused_once_they_are_too_long() {
    let server = furnished();
    let chunk = format!("10000\r\n{}\r\n", " ".repeat(64 << 10));

    for operation in operations_with_body() {
        let path = &request_of(operation).path["/api/v2".len()..];
        let mut conversation = Conversation::with(server.address);
        let head = head(operation.method.as_str(), path);
        let media_type = operation.body().map(BodyKind::media_type).unwrap();
        conversation.say(format!("{head}Content-Type: {media_type}\r\nTransfer-Encoding: chunked\r\n\r\n"));
        (0..9).for_each(|_| conversation.say(&chunk));

        let reply = conversation.hear();

        assert_eq!(reply.status, 413, "{}", operation.id);
    }
}

#[test]
fn a_body_of_exactly_the_limit_is_read() {
    let server = Server::start();

    let (over, exact) = (create_with_bytes(&server, LIMIT + 1), create_with_bytes(&server, LIMIT));

    assert_eq!((over.status, over.json()), (413, json!({"error": "The body has more than 524288 bytes."})));
    assert_eq!(exact.status, 201);
}

#[test]
fn the_limit_is_a_setting() {
    let server = ServerBuilder::new().variable("LODGE_BODY_LIMIT", "64KiB").start();

    let (over, exact) = (create_with_bytes(&server, (64 << 10) + 1), create_with_bytes(&server, 64 << 10));

    assert_eq!((over.status, over.json()), (413, json!({"error": "The body has more than 65536 bytes."})));
    assert_eq!(exact.status, 201);
}

/// Creates a configuration with a body of that many bytes.
fn create_with_bytes(server: &Server, length: usize) -> Reply {
    let mut body = br#"{"key":"theme"}"#.to_vec();
    body.resize(length, b' ');
    server.admin().send(&Request::new("POST", "/users/me/configurations").json_bytes(body))
}

#[test]
fn the_longest_value_fits_into_a_body_however_it_is_escaped() {
    let server = Server::start();
    let value = "\u{1}".repeat(64 << 10);

    let created = server.admin().post("/users/me/configurations", &json!({"key": "theme", "value": value})).expect(201);

    assert_eq!(created.json(), json!({"id": 1, "key": "theme", "value": value}));
    assert_eq!(server.admin().get("/users/me/configurations/theme").json(), created.json());
}

#[test]
fn a_body_in_chunks_of_any_size_is_put_together() {
    let server = Server::start();
    let body = json!({"key": "theme", "value": "dark"}).to_string();
    let chunks = body.chars().map(|character| format!("1\r\n{character}\r\n")).collect::<Vec<_>>().concat();
    let head = head("POST", "/users/me/configurations");
    let headers = "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n";

    let reply = ask_raw(server.address, format!("{head}{headers}\r\n{chunks}0\r\nX-Trailer: x\r\n\r\n"));

    assert_eq!((reply.status, reply.json()), (201, json!({"id": 1, "key": "theme", "value": "dark"})));
}

#[test]
fn a_body_where_none_belongs_is_ignored_and_the_connection_stays_in_step() {
    let server = furnished();
    let me = server.admin().get("/users/me").json();
    let smuggled = "DELETE /api/v2/users/me/configurations/theme HTTP/1.1\r\nHost: lodge\r\n\r\n";
    let length = smuggled.len();

    for lines in [
        format!("Content-Length: {length}\r\n\r\n{smuggled}"),
        format!("Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("Content-Type: text/plain\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n{smuggled}"),
        format!("Transfer-Encoding: chunked\r\n\r\n{length:x}\r\n{smuggled}\r\n0\r\n\r\n"),
    ] {
        let mut conversation = Conversation::with(server.address);
        let (get, delete) = (head("GET", "/users/me"), head("DELETE", "/users/sign_out"));
        conversation.say(format!("{get}{lines}{delete}{lines}{get}Connection: close\r\n\r\n"));

        let replies = [(); 3].map(|()| conversation.hear());

        let [first, second, third] = replies;
        assert_eq!((first.status, first.json()), (200, me.clone()), "{lines}");
        assert_eq!((second.status, second.text().as_str()), (204, ""), "{lines}");
        assert_eq!((third.status, third.json()), (200, me.clone()), "{lines}");
        assert_eq!(conversation.hear_out(), b"", "{lines}");
    }
    server.admin().get("/users/me/configurations/theme").expect(200);
}

#[test]
fn after_a_refused_request_its_body_is_never_taken_for_another_request() {
    let server = furnished();
    let smuggled = format!("{}\r\n", head("DELETE", "/users/me/configurations/theme"));
    let lines = |content_type: &str| {
        format!("Content-Type: {content_type}\r\nContent-Length: {}\r\n\r\n{smuggled}", smuggled.len())
    };
    let json = lines("application/json");

    for (request, status) in [
        (format!("POST /nowhere HTTP/1.1\r\nHost: lodge\r\n{json}"), 404),
        (format!("POST /api/v2/users/me HTTP/1.1\r\nHost: lodge\r\n{json}"), 405),
        (format!("POST /api/v2/users HTTP/1.1\r\nHost: lodge\r\n{json}"), 401),
        (format!("{}{}", head("POST", "/users"), lines("text/plain")), 415),
        (format!("{}{json}", head("POST", "/users")), 400),
        (format!("POST /api/v2/users HTTP/1.1\r\n{json}"), 400),
    ] {
        let mut conversation = Conversation::with(server.address);
        conversation.say(format!("{request}GET /healthz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n"));

        let reply = conversation.hear();
        let rest = String::from_utf8_lossy(&conversation.hear_out()).into_owned();

        assert_eq!(reply.status, status, "{request}");
        let in_step = rest.starts_with("HTTP/1.1 200 OK\r\n") && rest.ends_with(r#"{"status":"alive"}"#);
        assert!(rest.is_empty() || in_step, "{request}: {rest}");
    }
    server.admin().get("/users/me/configurations/theme").expect(200);
}

#[test]
fn many_requests_on_one_connection_are_answered_in_their_order() {
    let server = furnished();
    let mut conversation = Conversation::with(server.address);
    let body = json!({"value": "light"}).to_string();
    let put = head("PUT", "/users/me/configurations/theme");
    let put = format!("{put}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let get = format!("{}\r\n", head("GET", "/users/me/configurations/theme"));

    conversation.say([get.as_str(), &put, &get, "GET /nowhere HTTP/1.1\r\nHost: lodge\r\n\r\n", &get].concat());
    let replies = [(); 5].map(|()| conversation.hear());

    let values = replies.map(|reply| (reply.status, reply.json()["value"].clone()));
    let (dark, light) = ((200, json!("dark")), (200, json!("light")));
    assert_eq!(values, [dark, light.clone(), light.clone(), (404, Value::Null), light]);
}

#[test]
fn a_client_that_expects_100_continue_receives_it() {
    let server = Server::start();
    let mut conversation = Conversation::with(server.address);
    let body = json!({"key": "theme", "value": "dark"}).to_string();
    let head = head("POST", "/users/me/configurations");
    let headers = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());

    conversation.say(format!("{head}{headers}Expect: 100-continue\r\n\r\n"));
    let interim = conversation.hear();
    conversation.say(body);
    let reply = conversation.hear();

    assert_eq!(interim.status, 100);
    assert_eq!((reply.status, reply.json()), (201, json!({"id": 1, "key": "theme", "value": "dark"})));
}

#[test]
fn a_content_type_without_a_body_is_no_error_where_no_body_belongs() {
    let server = furnished();

    for operation in public_operations().filter(|operation| operation.method == "GET") {
        let plain = server.admin().send(&request_of(operation));
        let declared = server.admin().send(&request_of(operation).header("Content-Type", "application/json"));

        // Metrics are text, and never the same.
        let body = |reply: &Reply| if operation.id == "show_metrics" { Value::Null } else { reply.json() };
        assert_eq!((declared.status, body(&declared)), (plain.status, body(&plain)), "{}", operation.id);
    }
    let user = server.id_of("ann");
    for path in ["/users/sign_out", "/users/me/configurations/1", "/users/me/api_keys/1", &format!("/users/{user}")] {
        let request = Request::new("DELETE", path).header("Content-Type", "application/json");

        server.admin().send(&request).expect(204);
    }
}
