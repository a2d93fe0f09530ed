//! `lodge apply`: what a file has is made so, through the socket of a running server and without one.

mod failures;
mod files;
mod interrupted;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use crate::harness::{ADMIN_PASSWORD, CommandOutput, Server, basic, run, run_with_input};

const PASSWORD: &str = "a house with a view";

/// An administrator, and Ann with a configuration and an API key.
const ACCOUNTS: &str = r#"
[[users]]
username = "admin"

[[users]]
username = "ann"
password_file = "ann.password"
email = "ann@example.org"
expired_at = 2099-01-31T12:00:00Z
configurations = { theme = "dark", "a/b" = "" }

[[users.api_keys]]
name = "reader"
api_key_scopes = ["configurations / index", { controller = "users", action = "show" }]
write_to = "reader.key"
"#;

/// Writes a file beside the server's directory.
fn write(server: &Server, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
    let path = server.directory().join(name);
    fs::write(&path, contents).unwrap();
    path
}

/// Writes the file of a password beside the server's directory.
fn write_password(server: &Server, name: &str, password: &str) {
    let path = write(server, name, format!("{password}\n"));
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// Applies a file of these contents.
fn apply(server: &Server, contents: impl AsRef<[u8]>, flags: &[&str]) -> CommandOutput {
    let path = write(server, "accounts.toml", contents);
    run(&mut server.command(&[&["apply", path.to_str().unwrap()], flags].concat()))
}

/// Does it with a server that runs, and with one that does not.
fn running_and_stopped(each: impl Fn(&mut Server)) {
    let mut server = Server::start();
    write_password(&server, "ann.password", PASSWORD);
    each(&mut server);
    let mut server = Server::start();
    write_password(&server, "ann.password", PASSWORD);
    server.stop();
    each(&mut server);
}

fn start_if_stopped(server: &mut Server) {
    if !is_running(server) {
        server.start_again();
    }
}

fn is_running(server: &Server) -> bool {
    server.anonymous().try_send(&crate::harness::Request::whole("GET", "/healthz")).is_ok()
}

/// The words of the lines of a table.
fn rows(output: &CommandOutput) -> Vec<Vec<&str>> {
    output.out.lines().map(|line| line.split_whitespace().collect()).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

/// The actions of the last entries of the audit log that the operator has caused.
fn audited(server: &Server) -> Vec<(String, Value)> {
    let printed = run(&mut server.command(&["audit"])).expect(0).out;
    let entries = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let local = entries.filter(|entry| entry["credential"] == "local");
    local.map(|entry| (entry["action"].as_str().unwrap().to_owned(), entry["details"].clone())).collect()
}

#[test]
fn what_a_file_has_is_made_and_a_second_time_nothing_differs() {
    running_and_stopped(|server| {
        let dry = apply(server, ACCOUNTS, &["--dry-run"]).expect(2);
        let made = apply(server, ACCOUNTS, &[]).expect(0);

        let expected = [
            "CHANGE RECORD USERNAME NAME DETAILS",
            "create user ann",
            "create configuration ann a/b",
            "create configuration ann theme",
            "create api_key ann reader",
        ];
        let expected = expected.map(|line| line.split(' ').collect::<Vec<_>>());
        assert_eq!((rows(&dry), rows(&made)), (expected.to_vec(), expected.to_vec()));
        assert_eq!(dry.err, "lodge: 4 records differ; nothing was changed\n");
        let file = server.directory().join("reader.key");
        let key = fs::read_to_string(&file).unwrap();
        assert_eq!(mode(&file), 0o600);
        assert!(!made.out.contains(key.trim()) && !made.err.contains(key.trim()));
        assert_eq!(apply(server, ACCOUNTS, &[]).expect(0).out, "nothing differs\n");
        assert_eq!(apply(server, ACCOUNTS, &["--dry-run", "--json"]).expect(0).out, "");
        let actions: Vec<_> = audited(server).into_iter().map(|(action, _)| action).collect();
        let creations = ["users / create", "user_configurations / create", "user_configurations / create"];
        assert_eq!(actions, [&creations[..], &["user_api_keys / create"]].concat());
        start_if_stopped(server);
        let ann = server.with(&basic("ann", PASSWORD)).get("/users/me").expect(200).json();
        assert_eq!(
            (&ann["email"], &ann["expired_at"]),
            (&json!("ann@example.org"), &json!("2099-01-31T12:00:00.000Z"))
        );
        let reader = server.with(key.trim());
        assert_eq!(reader.get("/users/me/configurations").expect(200).json()["count"], 2);
        reader.get("/users/me").expect(200);
        reader.delete("/users/me/configurations/theme").expect(403);
    });
}

#[test]
fn a_dry_run_changes_nothing() {
    running_and_stopped(|server| {
        let before = audited(server);

        apply(server, ACCOUNTS, &["--dry-run", "--prune", "--json"]).expect(2);

        assert_eq!(audited(server), before);
        assert!(!server.directory().join("reader.key").exists());
        start_if_stopped(server);
        assert_eq!(server.admin().get("/users").json()["count"], 1);
        let next = server.admin().post("/users/me/configurations", &json!({"key": "a"})).expect(201);
        assert_eq!(next.id(), 1, "no id was taken");
    });
}

#[test]
fn json_from_standard_input_is_as_good_and_relative_files_are_then_in_the_working_directory() {
    let server = Server::start();
    write_password(&server, "ann.password", PASSWORD);
    let ann = json!({"username": "ann", "password_file": "ann.password",
        "api_keys": [{"name": "reader", "write_to": "reader.key", "allowed_networks": ["127.0.0.0/8"]}]});
    let text = format!(" \u{feff}{}", json!({"users": [ann]}));

    let output = run_with_input(&mut server.command(&["apply", "-", "--json"]), text.trim_start()).expect(0);

    let lines: Vec<Value> = output.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let expected = [
        json!({"change": "create", "record": "user", "username": "ann"}),
        json!({"change": "create", "record": "api_key", "username": "ann", "name": "reader"}),
    ];
    assert_eq!(lines, expected);
    let key = fs::read_to_string(server.directory().join("reader.key")).unwrap();
    let own = server.with(key.trim()).get("/users/me/api_key").expect(200).json();
    assert_eq!(own["allowed_networks"], json!(["127.0.0.0/8"]));
}

#[test]
fn what_differs_is_changed_and_what_is_not_given_stays() {
    running_and_stopped(|server| {
        apply(server, ACCOUNTS, &[]).expect(0);
        let changed = r#"
            users = [{ username = "Ann", is_admin = true, email = "", configurations = { theme = "light" },
                api_keys = [{ name = "reader", api_key_scopes = ["configurations/*"] }] }]"#;

        let output = apply(server, changed, &[]).expect(0);

        let expected = [
            "CHANGE RECORD USERNAME NAME DETAILS",
            "update user Ann username = Ann, email, is_admin = true",
            "update configuration Ann theme value",
            "update api_key Ann reader api_key_scopes",
        ];
        assert_eq!(rows(&output), expected.map(|line| line.split(' ').collect::<Vec<_>>()));
        let last = audited(server).pop().unwrap();
        assert_eq!(last, ("user_api_keys / update".to_owned(), json!(["api_key_scopes", "owner = Ann"])));
        start_if_stopped(server);
        let ann = server.with(&basic("ann", PASSWORD));
        assert_eq!(ann.get("/users/me").json()["expired_at"], "2099-01-31T12:00:00.000Z");
        assert_eq!(ann.get("/users/me/configurations/theme").json()["value"], "light");
        assert_eq!(ann.get("/users/me/configurations").json()["count"], 2);
    });
}

#[test]
fn what_is_not_named_is_removed_on_request_alone_and_from_named_lists_alone() {
    running_and_stopped(|server| {
        apply(server, ACCOUNTS, &[]).expect(0);
        let bob = "users = [{ username = 'bob', password_file = 'ann.password', configurations = { theme = 'dark' } }]";
        apply(server, bob, &[]).expect(0);
        let named = "users = [{ username = 'admin' }, { username = 'ann', configurations = { theme = 'dark' } }]";

        assert_eq!(apply(server, named, &[]).expect(0).out, "nothing differs\n");
        assert_eq!(apply(server, "", &["--prune"]).expect(0).out, "nothing differs\n");
        let pruned = apply(server, named, &["--prune"]).expect(0);

        let expected = ["CHANGE RECORD USERNAME NAME DETAILS", "remove configuration ann a/b", "remove user bob"];
        assert_eq!(rows(&pruned), expected.map(|line| line.split(' ').collect::<Vec<_>>()));
        let key = fs::read_to_string(server.directory().join("reader.key")).unwrap();
        let empty = "users = [{ username = 'ann', api_keys = [] }, { username = 'admin' }]";
        apply(server, empty, &["--prune"]).expect(0);
        let actions: Vec<_> = audited(server).into_iter().map(|(action, _)| action).collect();
        let removals = ["user_configurations / destroy", "users / destroy", "user_api_keys / destroy"];
        assert_eq!(actions[actions.len() - 3..], removals);
        start_if_stopped(server);
        server.with(key.trim()).get("/users/me/configurations").expect(401);
        assert_eq!(server.admin().get("/users").json()["count"], 2);
    });
}

#[test]
fn the_last_administrator_stays_and_another_may_take_its_place() {
    running_and_stopped(|server| {
        for (file, flags, place, attribute) in [
            ("users = [{ username = 'admin', is_admin = false }]", &[][..], "users[0] (admin)", "Is admin"),
            ("users = [{ username = 'admin', suspended = true }]", &[], "users[0] (admin)", "Suspended"),
            (
                "users = [{ username = 'admin', expired_at = 2099-01-01T00:00:00Z }]",
                &[],
                "users[0] (admin)",
                "Expired at",
            ),
            ("users = []", &["--prune"], "user admin", "Is admin"),
            ("users = [{ username = 'ann', password_file = 'ann.password' }]", &["--prune"], "user admin", "Is admin"),
        ] {
            for dry_run in [&["--dry-run"][..], &[]] {
                let refused = apply(server, file, &[flags, dry_run].concat()).expect(1);
                let expected = format!("lodge: nothing was changed:\n{place}: {attribute} is frozen\n");
                assert_eq!(refused.err, expected, "{file}");
            }
        }
        assert_eq!(run(&mut server.command(&["user", "list"])).expect(0).out.lines().count(), 2);

        let exchanged = "users = [{ username = 'admin', is_admin = false },
            { username = 'ann', password_file = 'ann.password', is_admin = true }]";
        apply(server, exchanged, &[]).expect(0);

        start_if_stopped(server);
        server.with(&basic("ann", PASSWORD)).get("/users").expect(200);
        server.admin().get("/users").expect(403);
    });
}

#[test]
fn only_another_password_is_a_change_and_ends_the_sessions() {
    let server = Server::start();
    write_password(&server, "admin.password", ADMIN_PASSWORD);
    let session = server.session("admin");
    let file = "users = [{ username = 'admin', password_file = 'admin.password' }]";

    assert_eq!(apply(&server, file, &[]).expect(0).out, "nothing differs\n");
    session.get("/users/me").expect(200);
    write_password(&server, "admin.password", PASSWORD);
    apply(&server, file, &["--dry-run"]).expect(2);
    session.get("/users/me").expect(200);
    let changed = apply(&server, file, &[]).expect(0);

    assert_eq!(rows(&changed)[1], ["update", "user", "admin", "password"]);
    session.get("/users/me").expect(401);
    server.with(&basic("admin", PASSWORD)).get("/users/me").expect(200);
}

#[test]
fn the_file_with_the_initial_password_goes_with_that_password() {
    let server = crate::harness::ServerBuilder::new().without_variable("LODGE_ADMIN_PASSWORD").start();
    let initial = server.data_dir().join("initial-admin-password");
    write_password(&server, "admin.password", PASSWORD);
    let file = "users = [{ username = 'admin', password_file = 'admin.password' }]";
    apply(&server, file, &["--dry-run"]).expect(2);
    assert!(initial.exists());

    apply(&server, file, &[]).expect(0);

    assert!(!initial.exists());
}

#[test]
fn the_operation_is_the_operators_alone_and_takes_no_mistyped_parameter() {
    let server = Server::start();
    server.admin().post("/apply", &json!({"users": []})).expect(404);
    let local = server.local();
    for wrong in ["dryrun=true", "dry_run=yes", "dry_run=true&dry_run=false", "prune="] {
        local.post(&format!("/apply?{wrong}"), &json!({"users": []})).expect(400);
    }
    assert_eq!(local.post("/apply?prune=false", &json!({})).expect(200).json(), json!({"changes": []}));
    let twice = json!({"users": [{"username": "admin", "configurations": [{"key": "a"}, {"key": "a"}, {}]}]});
    let place = "users[0] (admin) configurations";
    let expected = [format!("{place}[1] (a): Key has already been taken"), format!("{place}[2]: Key can't be blank")];
    assert_eq!(local.post("/apply", &twice).expect(422).json()["messages"], json!(expected));
    for wrong in [json!({"users": 7}), json!({"users": [7]}), json!({"users": null})] {
        let refused = local.post("/apply", &wrong).expect(422).json();
        assert_eq!(refused["messages"], json!(["users: Base is invalid"]), "{wrong}");
    }
}
