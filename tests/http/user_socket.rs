//! The socket for system users: a uid in place of a password.

use std::{
    fs,
    io::{Read, Write},
    os::unix::{fs::PermissionsExt, net::UnixStream},
    path::Path,
    thread,
    time::Duration,
};

use lodge::privileges::lower;
use serde_json::json;

use crate::harness::{Server, ServerBuilder, is_root};

/// A user that every system has.
const UID: u32 = 1;

/// A server with such a socket in a directory that everybody may enter.
fn server(builder: ServerBuilder) -> Server {
    let socket = builder.data_dir().with_file_name("users.sock");
    let server = builder.flag("--user-socket", socket.to_str().unwrap()).start();
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    server
}

/// What is answered to these requests, which that user sends on one connection.
pub fn answers(socket: &Path, uid: u32, requests: &[&str]) -> Vec<String> {
    let converse = || {
        lower(uid).unwrap();
        let mut connection = UnixStream::connect(socket).unwrap();
        connection.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let mut answers = Vec::new();
        for request in requests {
            write!(connection, "{request}\r\nHost: lodge\r\n\r\n").unwrap();
            let mut answer = vec![0; 4096];
            let length = connection.read(&mut answer).unwrap();
            answers.push(String::from_utf8_lossy(&answer[..length]).into_owned());
        }
        answers
    };
    // The thread's rights end with it.
    thread::scope(|scope| scope.spawn(converse).join().unwrap())
}

#[test]
fn a_local_user_is_the_account_with_the_uid_and_each_connection_is_recorded() {
    if !is_root("requests of another user") {
        return;
    }
    let server = server(ServerBuilder::new());
    let socket = server.directory().join("users.sock");
    let me = "GET /api/v2/users/me HTTP/1.1";
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o777, 0o666);
    let [before] = &answers(&socket, UID, &[me])[..] else { panic!("there is one answer") };
    assert!(before.starts_with("HTTP/1.1 401 "), "{before}");
    let body = json!({"username": "ann", "password": "ann lives here", "user_id": UID});
    server.admin().post("/users", &body).expect(201);

    let found = answers(&socket, UID, &[me, me, "GET /api/v2/users HTTP/1.1", "POST /api/v2/backups HTTP/1.1"]);

    let statuses: Vec<_> = found.iter().map(|answer| &answer[9..12]).collect();
    assert_eq!(statuses, ["200", "200", "403", "404"], "{found:?}");
    assert!(found[0].contains(r#""username":"ann""#), "{found:?}");
    let audit = server.admin().get("/audit?action=system_users%20/%20connect").expect(200).json();
    let entries = audit["audit_entries"].as_array().unwrap();
    let recorded: Vec<_> =
        entries.iter().map(|entry| (&entry["username"], &entry["credential"], &entry["system_uid"])).collect();
    assert_eq!(recorded, [(&json!("ann"), &json!("system_user"), &json!(UID))]);
}

#[test]
fn a_user_who_holds_many_connections_leaves_room_for_the_others() {
    if !is_root("connections of other users") {
        return;
    }
    // Idle connections would make room after an eighth of this.
    let server = server(ServerBuilder::new().flag("--idle-deadline", "1h"));
    let socket = server.directory().join("users.sock");
    let body = json!({"username": "ann", "password": "ann lives here", "user_id": UID});
    server.admin().post("/users", &body).expect(201);
    let connections = || {
        lower(UID + 1).unwrap();
        (0..64).map(|_| UnixStream::connect(&socket).unwrap()).collect::<Vec<_>>()
    };
    let held = thread::scope(|scope| scope.spawn(connections).join().unwrap());

    let found = answers(&socket, UID, &["GET /api/v2/users/me HTTP/1.1"]);

    assert!(found[0].starts_with("HTTP/1.1 200 "), "{found:?}");
    drop(held);
}
