//! The local socket: the API for root and the server's own user, and what commands do through it.

use std::{
    fs,
    io::{Read, Write},
    net::{Shutdown, TcpStream},
    os::unix::{
        fs::PermissionsExt,
        net::{UnixListener, UnixStream},
        process::CommandExt,
    },
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use lodge::api::operations::{Admits, OPERATIONS};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    backups::{lodge, run, text, usernames},
    harness::{Request, Server, ServerBuilder, copy_lodge, is_root, password_of, random_below, wait_until},
};

/// The id of `nobody` on most systems; no user need have it.
const FOREIGN_UID: u32 = 65_534;
/// The deadline of answers on the network in one of the tests: `2s`.
const ANSWER_DEADLINE: Duration = Duration::from_secs(2);

fn connect(server: &Server) -> UnixStream {
    UnixStream::connect(server.socket()).unwrap()
}

/// The lines of an answer that is written while the work goes on.
fn lines(body: &str) -> Vec<Value> {
    let parsed = body.lines().filter_map(|line| serde_json::from_str(line).ok());
    // The lines between them are the sizes of chunks.
    parsed.filter(Value::is_object).collect()
}

#[test]
fn the_socket_is_its_owners_alone() {
    let server = Server::start();
    let mode = fs::metadata(server.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn the_operator_is_an_administrator_without_an_account() {
    let server = Server::start();
    let operator = server.local();

    let ann = operator.post("/users", &json!({"username": "ann", "password": password_of("ann")})).expect(201).id();
    let (ann, me) = (format!("/users/{ann}"), ["/users/me", "/users/me/configurations", "/users/me/scopes"]);
    operator.put(&ann, &json!({"email": "ann@example.org", "is_admin": true})).expect(200);
    assert_eq!(operator.get(&ann).expect(200).json()["email"], "ann@example.org");
    let refused = me.map(|path| operator.get(path).status);
    operator.delete(&ann).expect(204);

    assert_eq!(refused, [403; 3]);
    assert_eq!(usernames(&server), ["admin"]);
    let audit = operator.get("/audit?action=users%20/%20*").expect(200).json();
    let entries = audit["audit_entries"].as_array().unwrap();
    let uid = rustix::process::geteuid().as_raw();
    // The first one is the first start's.
    let by: Vec<_> = entries[1..]
        .iter()
        .map(|entry| (entry["action"].clone(), entry["credential"].clone(), entry["system_uid"].clone()))
        .collect();
    let expected = ["create", "update", "destroy"].map(|action| format!("users / {action}"));
    assert_eq!(by, expected.map(|action| (json!(action), json!("local"), json!(uid))));
    assert!(entries[1..].iter().all(|entry| entry["address"].is_null() && entry["user_id"].is_null()), "{audit}");
    assert!(server.whole_log().contains(&format!("user_id=local:{uid} ")), "the request's line names the user");
}

#[test]
fn what_the_operator_alone_may_do_is_unknown_elsewhere() {
    let server = Server::start();
    let with_header = server.local().with(&server.admin().authorization.unwrap());
    for row in OPERATIONS.iter().filter(|row| row.admits == Admits::Local) {
        for method in [row.method.as_str(), "OPTIONS", "PUT"] {
            for client in [server.anonymous(), server.admin()] {
                let reply = client.send(&Request::new(method, row.path));
                assert_eq!((reply.status, reply.json()), (404, json!({"error": "Not found."})), "{method} {}", row.id);
            }
        }
        let reply = with_header.send(&Request::new(row.method.as_str(), row.path).json(&json!({})));
        assert_eq!(reply.status, 404, "{}", row.id);
    }
}

#[test]
fn an_answer_of_lines_ends_with_its_result() {
    let server = Server::start();
    let body = json!({"with_secret": false});
    for (request, member) in [
        (Request::new("POST", "/backups").json(&body), "records"),
        (Request::new("GET", "/store/verification"), "faults"),
        (Request::new("GET", "/audit/verification"), "last"),
    ] {
        let reply = server.local().try_send(&request).unwrap().expect(200);
        assert_eq!(reply.header("content-type"), Some("application/x-ndjson"));
        let lines = lines(&reply.text());
        let (last, others) = lines.split_last().unwrap();
        assert!(last["done"][member] != Value::Null, "{request:?}: {last}");
        assert!(others.iter().all(|line| line["done"].is_null()), "{request:?}");
    }
    let wrong = server.local().try_send(&Request::new("POST", "/backups").json(&json!({"with_secret": "maybe"})));
    assert_eq!(wrong.unwrap().status, 400);
}

#[test]
fn an_answer_that_is_cut_off_is_no_backup() {
    let mut server = Server::start();
    let file = server.directory().join("backup");
    let whole = server.local().try_send(&Request::new("POST", "/backups").json(&json!({}))).unwrap().expect(200);
    let lines: Vec<_> = lines(&whole.text()).iter().map(|line| format!("{line}\n")).collect();
    server.stop();
    fs::remove_file(server.socket()).unwrap();
    let listener = UnixListener::bind(server.socket()).unwrap();
    let answer = |lines: &[String]| {
        let chunk = |line: &String| format!("{:x}\r\n{line}\r\n", line.len());
        let chunks = lines.iter().map(chunk).collect::<Vec<_>>().concat();
        let (mut client, _) = listener.accept().unwrap();
        let _ = client.read(&mut [0; 4096]).unwrap();
        write!(client, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n").unwrap();
    };
    let backup_from = |lines: &[String]| {
        thread::scope(|scope| {
            scope.spawn(|| answer(lines));
            lodge(&server, &["backup", text(&file)])
        })
    };

    // All of the backup's bytes, and an end of the body, but no result.
    assert_eq!(backup_from(&lines[..lines.len() - 1]).code, Some(18));
    assert!(!file.exists());
    backup_from(&lines).expect(0);
}

#[test]
fn silent_connections_leave_room_for_the_operator() {
    let server = ServerBuilder::new().flag("--idle-deadline", "8s").start();
    let silent: Vec<_> = (0..100).map(|_| connect(&server)).collect();

    lodge(&server, &["verify"]).expect(0);

    assert_eq!(usernames(&server), ["admin"]);
    drop(silent);
}

#[test]
fn a_flood_on_the_network_does_not_keep_the_operator_out() {
    let builder = ServerBuilder::new().flag("--max-connections", "16").flag("--idle-deadline", "1h");
    let server = builder.flag("--head-deadline", "1h").start();
    let flood: Vec<_> = (0..600)
        .map(|_| {
            let mut connection = TcpStream::connect(server.address).unwrap();
            connection.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
            connection
        })
        .collect();

    assert_eq!(server.local().get("/users").expect(200).json()["count"], 1);
    lodge(&server, &["verify"]).expect(0);
    lodge(&server, &["health"]).expect(0);
    drop(flood);
}

#[test]
fn a_server_that_can_have_no_socket_serves() {
    let builder = ServerBuilder::new();
    fs::create_dir_all(builder.data_dir().join("store")).unwrap();
    fs::create_dir_all(builder.data_dir().join("lodge.sock/in the way")).unwrap();

    let server = builder.start();

    assert_eq!(usernames(&server), ["admin"]);
    server.wait_for_log("no command can reach this server");
    assert_eq!(lodge(&server, &["health", "--listen", &server.address.to_string()]).code, Some(0));
}

#[test]
fn the_socket_of_an_earlier_version_is_removed_and_nothing_else_of_its_name() {
    let mut server = Server::start();
    let door = server.data_dir().join("door");
    assert!(server.stop().success());
    drop(UnixListener::bind(&door).unwrap());
    server.start_again();
    assert!(!door.exists());

    let in_use = UnixListener::bind(&door).unwrap();
    server.restart();
    assert!(door.exists());
    drop(in_use);
    fs::remove_file(&door).unwrap();
    fs::write(&door, "text").unwrap();
    server.restart();
    assert_eq!(fs::read_to_string(&door).unwrap(), "text");
}

#[test]
fn a_server_in_a_directory_with_a_very_long_name_has_a_socket_too() {
    let builder = ServerBuilder::new();
    let long = builder.data_dir().with_file_name("x".repeat(120));
    let file = builder.data_dir().with_file_name("backup");
    let server = builder.variable("LODGE_DATA_DIR", text(&long)).start();

    let said = lodge(&server, &["backup", text(&file)]).expect(0);

    assert!(said.out.contains("backed up 1 records"), "{}", said.out);
    assert!(long.join("lodge.sock").exists());
    lodge(&server, &["verify"]).expect(0);
    run(&mut server.command(&["restore", text(&file)])).expect(11);
}

#[test]
fn a_backup_is_recorded_though_the_client_has_gone() {
    let server = Server::start();
    let mut stream = connect(&server);
    let body = r#"{"with_secret":true}"#;
    let head = "POST /api/v2/backups HTTP/1.1\r\nHost: lodge\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len()).unwrap();
    stream.shutdown(Shutdown::Read).unwrap();

    wait_until("the backup is recorded", || {
        let said = lodge(&server, &["audit", "--action", "backups / create"]).expect(0).out;
        said.lines().count() == 1 && said.contains("with the server's secret")
    });
}

#[test]
fn a_backup_that_is_read_steadily_but_slowly_ends_whole() {
    let server = ServerBuilder::new().flag("--answer-deadline", "2s").start();
    let (admin, operator) = (server.session("admin"), server.local());
    for number in 0..24 {
        // Nothing that the compression could shorten to what the socket's buffers hold.
        let value: String = (0..60 << 10).map(|_| char::from(b'!' + u8::try_from(random_below(90)).unwrap())).collect();
        admin.post("/users/me/configurations", &json!({"key": format!("k{number}"), "value": value})).expect(201);
    }
    let mut stream = connect(&server);
    let head = "POST /api/v2/backups HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\nContent-Type: application/json";
    write!(stream, "{head}\r\nContent-Length: 2\r\n\r\n{{}}").unwrap();

    let (mut received, begun) = (vec![0; 1 << 10], Instant::now());
    stream.read_exact(&mut received).unwrap();
    while begun.elapsed() < 2 * ANSWER_DEADLINE {
        operator.get("/users").expect(200);
        let mut piece = [0; 64];
        stream.read_exact(&mut piece).unwrap();
        received.extend(piece);
    }
    stream.read_to_end(&mut received).unwrap();

    let lines = lines(&String::from_utf8(received).unwrap());
    assert!(lines.last().unwrap()["done"]["records"].is_u64(), "{}", lines.last().unwrap());
}

#[test]
fn nobody_but_root_and_the_servers_own_user_is_let_in() {
    if !is_root("clients of the local socket who are another user") {
        return;
    }
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    let place = TempDir::new().unwrap();
    let lodge = place.path().join("lodge");
    copy_lodge(&lodge);
    // Whatever the modes of the files, the peer is looked at.
    let server = Server::start();
    for path in [place.path(), server.directory(), &server.data_dir(), &server.socket()] {
        open(path);
    }
    let backup_by = |uid: u32| {
        let mut command = Command::new(&lodge);
        let file = place.path().join(format!("backup of {uid}"));
        run(command.args(["backup", "--data-dir", text(&server.data_dir()), text(&file)]).env_clear().uid(uid))
    };

    assert_eq!(backup_by(FOREIGN_UID).code, Some(18));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no backup was begun");
    backup_by(0).expect(0);
}
