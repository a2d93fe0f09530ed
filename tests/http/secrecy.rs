//! What the log and the data directory disclose to unauthorized readers.

use std::{fs, io::Write, os::unix::fs::PermissionsExt, panic::catch_unwind, path::Path};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lodge::api::BodyKind;
use rustix::process::geteuid;
use serde_json::json;

use crate::{
    harness::{ADMIN_PASSWORD, Request, Server, ServerBuilder, basic, password_of},
    http::conversation::ask_raw,
};

fn percent_encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect::<Vec<_>>().concat()
}

/// Sends the secret in every place where people put one by mistake.
fn misplace(server: &Server, secret: &str) {
    let escaped = percent_encoded(secret);
    let (admin, anonymous) = (server.admin(), server.anonymous());
    let new = Request::new;
    for path in [escaped.clone(), format!("users/{escaped}"), format!("users/me/configurations/{escaped}")] {
        for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
            let request = new(method, &format!("/{path}?password={escaped}&access_token={escaped}&limit={escaped}"));
            admin.try_send(&request).unwrap();
            anonymous.try_send(&request).unwrap();
        }
    }
    for name in ["Cookie", "X-Api-Key", "Proxy-Authorization", "User-Agent", "Referer", "X-Request-Id", "Host"] {
        admin.try_send(&new("GET", "/users/me").header(name, secret)).unwrap();
    }
    for authorization in [format!("Digest {secret}"), format!("Bearer {secret}"), basic(secret, secret)] {
        server.with(&authorization).try_send(&new("GET", "/users/me")).unwrap();
    }
    let sign_in = json!({"user": {"username": secret, "password": secret}});
    anonymous.try_send(&new("POST", "/users/sign_in").json(&sign_in)).unwrap();
    admin.try_send(&new("POST", "/users").json(&json!({"username": secret, "email": secret}))).unwrap();
    admin.try_send(&new("POST", "/users").json_bytes(format!("{{\"password\": \"{secret}\""))).unwrap();
    admin.try_send(&new("POST", "/users").body(secret).header("Content-Type", secret)).unwrap();
    admin.try_send(&new("POST", "/introspect").form(&[("token", secret), ("token_type_hint", secret)])).unwrap();
    admin.try_send(&new("POST", "/introspect").body_of(BodyKind::Form, format!("token={secret}&{secret}=%"))).unwrap();
    // Not as its key, which the audit log has.
    let configuration = json!({"key": format!("of {} bytes", secret.len()), "value": secret});
    admin.try_send(&new("POST", "/users/me/configurations").json(&configuration)).unwrap();
    ask_raw(server.address, format!("GET /{escaped} HTTP/7.7\r\nX: {secret}\r\n\r\n"));
}

#[test]
fn the_log_has_no_password_token_or_key_wherever_it_was_sent_and_however_much_is_logged() {
    let server = ServerBuilder::new().variable("LODGE_LOG", "trace").start();
    let session = server.sign_in("ann");
    let key = server.key("ann", &["* / *"]).authorization.unwrap();
    let (password, changed) = (password_of("ann"), "a new one for ann");
    let secrets = [ADMIN_PASSWORD, &password, &session["Bearer ".len()..], &key];

    for secret in secrets {
        misplace(&server, secret);
    }
    let ann = server.id_of("ann");
    server.user("ann").put(&format!("/users/{ann}"), &json!({"password": changed})).expect(200);

    let log = server.whole_log();
    assert!(log.contains(" status=401 ") && log.contains(" status=422 ") && log.contains(" status=201 "));
    for secret in secrets.into_iter().chain([changed]) {
        let escaped = percent_encoded(secret);
        let encoded = [&basic("ann", secret)["Basic ".len()..], &BASE64_STANDARD.encode(secret)].map(str::to_owned);
        for form in [secret.to_owned(), escaped, format!("{secret:?}")].iter().chain(&encoded) {
            assert!(!log.contains(form), "{form}");
        }
    }
}

/// Every test's server is checked like this when it ends.
#[test]
fn a_server_that_writes_a_secret_fails_its_test() {
    let written: [fn(&Server) -> String; 7] = [
        |server| server.sign_in("ann"),
        |server| server.key("ann", &[]).authorization.unwrap(),
        |server| server.admin().authorization.unwrap()["Basic ".len()..].to_owned(),
        |_| password_of("ann"),
        |_| ADMIN_PASSWORD.to_owned(),
        |_| "$scrypt$ln=10,r=8,p=1$".to_owned(),
        |server| {
            let token = "a token that is asked about".to_owned();
            let question = Request::new("POST", "/introspect").form(&[("token", &token)]);
            server.admin().send(&question).expect(200);
            token
        },
    ];
    for secret in written {
        for file in ["log", "data/audit/2026.jsonl"] {
            let ended = catch_unwind(|| {
                let server = Server::start();
                server.user("ann");
                let path = server.directory().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                let text = format!("before {} after\n", secret(&server));
                fs::OpenOptions::new()
                    .create(true)
                    .append(true)
                    .open(path)
                    .unwrap()
                    .write_all(text.as_bytes())
                    .unwrap();
            });
            let panic = ended.expect_err("the end of the server is the test's failure");
            let message = panic.downcast_ref::<String>().unwrap();
            assert!(message.contains(file) && message.contains(" has the secret "), "{message}");
        }
    }
}

#[test]
fn nothing_that_is_sent_can_forge_or_colour_a_line_of_the_log() {
    let server = Server::start();
    let forged = "\r\n2026-01-01T00:00:00.000Z INFO  lodge::request forged\u{1b}[31m\u{85}\u{2028}";

    misplace(&server, "%0d%0aforged");
    let users = json!({"user": {"username": forged, "password": forged}});
    server.anonymous().post("/users/sign_in", &users).expect(401);
    server.admin().post("/users", &json!({"username": forged})).expect(422);
    server.admin().post("/users/me/configurations", &json!({"key": "k", "value": forged})).expect(201);

    let log = server.whole_log();
    assert!(!log.contains("forged"), "{log}");
    for line in log.lines() {
        assert!(!line.contains(char::is_control), "{line:?}");
        let level = line.split_ascii_whitespace().nth(1);
        assert!(["INFO", "WARN", "ERROR"].map(Some).contains(&level) && line.len() < 5000, "{line:?}");
    }
}

#[test]
fn a_long_method_is_cut_in_the_log() {
    let server = Server::start();

    let reply = server.anonymous().send(&Request::new(&"X".repeat(100), "/users")).expect(405);

    let (id, log) = (reply.header("x-request-id").unwrap(), server.whole_log());
    assert!(log.contains(id) && !log.contains(&"X".repeat(50)), "{log}");
}

#[test]
fn a_crash_of_the_server_leaves_no_memory_on_the_disk() {
    let server = Server::start();

    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();

    let core = limits.lines().find_map(|line| line.strip_prefix("Max core file size")).unwrap();
    assert_eq!(core.split_ascii_whitespace().collect::<Vec<_>>(), ["0", "0", "bytes"]);
}

#[test]
fn the_data_directory_and_all_that_is_in_it_are_the_owners_alone() {
    let server = Server::start();
    server.session("ann").get("/users/me").expect(200);

    let modes = modes_below(&server.data_dir());

    assert!(modes.len() > 2, "{modes:?}");
    for (path, is_directory, mode) in modes {
        assert_eq!(mode, if is_directory { 0o700 } else { 0o600 }, "{path}");
    }
}

/// A directory and everything in it: the path, whether it is a directory, and who may do what with it.
fn modes_below(path: &Path) -> Vec<(String, bool, u32)> {
    let metadata = fs::symlink_metadata(path).unwrap();
    let own = (path.display().to_string(), metadata.is_dir(), metadata.permissions().mode() & 0o7777);
    let entries = metadata.is_dir().then(|| fs::read_dir(path).unwrap());
    let below = entries.into_iter().flatten().flat_map(|entry| modes_below(&entry.unwrap().path()));
    std::iter::once(own).chain(below).collect()
}

#[test]
fn a_data_directory_that_others_can_read_is_closed_to_them() {
    let builder = ServerBuilder::new();
    fs::create_dir(builder.data_dir()).unwrap();
    fs::set_permissions(builder.data_dir(), fs::Permissions::from_mode(0o777)).unwrap();

    let server = builder.start();

    assert_eq!(fs::metadata(server.data_dir()).unwrap().permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_data_directory_of_another_user_is_refused() {
    let builder = ServerBuilder::new();
    fs::create_dir(builder.data_dir()).unwrap();
    // Only root can give a directory to another user; others test with one of the system's directories.
    let somebody_elses = if geteuid().is_root() {
        std::os::unix::fs::chown(builder.data_dir(), Some(65_534), None).unwrap();
        builder.data_dir()
    } else {
        "/usr".into()
    };

    let ended = builder.command(&["serve"]).env("LODGE_DATA_DIR", &somebody_elses).output().unwrap();

    assert_eq!(ended.status.code(), Some(16), "{ended:?}");
    assert_eq!(fs::read_dir(builder.data_dir()).unwrap().count(), 0);
}
