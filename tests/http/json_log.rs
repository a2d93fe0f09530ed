//! `--log-format json`.

use std::{collections::BTreeSet, process::Output};

use serde_json::{Value, json};

use crate::harness::{Request, Server, ServerBuilder, exchange_raw};

/// Each line of the text as an object.
#[track_caller]
fn objects(text: &str) -> Vec<Value> {
    let object = |line: &str| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let objects: Vec<Value> = text.lines().map(object).collect();
    for object in &objects {
        assert!(["time", "level", "target"].iter().all(|name| object[name].is_string()), "{object}");
    }
    objects
}

fn server() -> Server {
    ServerBuilder::new().flag("--log-format", "json").start()
}

#[test]
fn a_request_is_one_object_with_its_id() {
    let server = server();

    let reply = server.user("ann").get("/users/me").expect(200);

    let id = reply.header("x-request-id").unwrap();
    server.wait_for_log(id);
    let objects = objects(&server.log());
    let mut found = objects.into_iter().find(|object| object["request_id"] == id).unwrap();
    let members = found.as_object_mut().unwrap();
    let (time, time_ms) = (members.remove("time").unwrap(), members.remove("time_ms").unwrap());
    assert!(time.is_string() && time_ms.as_f64().unwrap() > 0.0, "{time} {time_ms}");
    let expected = json!({
        "level": "INFO", "target": "lodge::request", "method": "GET", "route": "/api/v2/users/me", "status": 200,
        "request_id": id, "user_id": 2,
    });
    assert_eq!(found, expected);
}

#[test]
fn every_line_is_a_valid_object_whatever_a_client_sends() {
    let server = server();
    for line in [
        &b"GET /\"}{\\ HTTP/1.1"[..],
        b"G\"ET / HTTP/1.1",
        b"status=7 / HTTP/1.1",
        b"M!#$%&'*+-.^_`|~ /api/v2/users/me HTTP/1.1",
        b"GET /\xff\xfe\xe2\x80\xae HTTP/1.1",
        b"BREW /api/v2/users/me HTTP/1.1",
        b"\0\x01\r\n\t",
        b"GET / HTTP/9.9",
        b"user_id=local:7 /?request_id=7&message=x HTTP/1.1",
    ] {
        let request = [line, b"\r\nHost: a\"b\\\r\nUser-Agent: \"}\x80\r\n\r\n"].concat();
        let _ = exchange_raw(server.address, &request);
        exchange_raw(server.address, &[line, b"\r\nHost: lodge\r\nConnection: close\r\n\r\n"].concat()).unwrap();
    }
    let guess = json!({"user": {"username": "a\"}\n\u{202e}", "password": "a guess \"}"}});
    server.anonymous().post("/users/sign_in", &guess).expect(401);

    let objects = objects(&server.whole_log());

    let of_requests = objects.iter().filter(|object| object["target"] == "lodge::request");
    let names: BTreeSet<_> =
        of_requests.flat_map(|object| object.as_object().unwrap().keys()).map(String::as_str).collect();
    let known =
        ["api_key_id", "level", "method", "request_id", "route", "status", "target", "time", "time_ms", "user_id"];
    assert!(names.is_subset(&known.into()), "{names:?}");
    assert!(objects.iter().any(|object| object["method"] == "BREW"), "{objects:#?}");
}

#[test]
fn the_start_and_the_end_are_objects_too() {
    let mut server = ServerBuilder::new().flag("--log-format", "json").flag("--metrics-listen", "127.0.0.1:0").start();
    assert!(server.stop().success());
    let of_start = objects(&server.log());
    assert!(of_start.iter().any(|object| object["message"].as_str().is_some_and(|text| text.starts_with("stopping"))));
    let run = |flags: &[&str]| {
        let Output { stdout, stderr, status } =
            server.command(&["serve", "--log-format", "json"]).args(flags).output().unwrap();
        assert!(stdout.is_empty());
        (status.code(), objects(&String::from_utf8(stderr).unwrap()))
    };

    let (code, failure) = run(&["--body-limit", "1\"B"]);
    let (unreadable_code, unreadable) = run(&["--data-dir", "/dev/null/x"]);

    assert_eq!((code, unreadable_code), (Some(2), Some(10)));
    let message = failure[0]["message"].as_str().unwrap();
    assert!(message.starts_with("these settings cannot be used:\n--body-limit: "), "{message}");
    assert_eq!((&failure[0]["level"], &failure[0]["target"]), (&json!("ERROR"), &json!("lodge")));
    assert_eq!(unreadable.last().unwrap()["level"], "ERROR");
}

#[test]
fn a_format_that_does_not_exist_is_refused() {
    let Output { stderr, status, .. } =
        ServerBuilder::new().command(&["serve", "--log-format", "xml"]).output().unwrap();

    assert_eq!(status.code(), Some(2));
    let printed = String::from_utf8(stderr).unwrap();
    assert!(printed.contains("--log-format: `xml` is neither text nor json"), "{printed}");
}

#[test]
fn text_is_the_default_and_has_the_same_lines() {
    let server = Server::start();

    let reply = server.anonymous().send(&Request::whole("GET", "/healthz")).expect(200);

    let id = reply.header("x-request-id").unwrap();
    server.wait_for_log(id);
    let log = server.log();
    let line = log.lines().find(|line| line.contains(id)).unwrap();
    assert!(line.contains(" INFO  lodge::request method=GET route=/healthz status=200 time_ms="), "{line}");
}
