//! `lodge user`: accounts, through the socket of a running server and without one.

use std::{
    fs::{self, File},
    io::{Read, Write},
    process::{Command, Stdio},
};

use serde_json::{Value, json};

use crate::harness::{ADMIN_PASSWORD, CommandOutput, Server, basic, is_possible, password_of, run, run_with_input};

/// Runs `lodge` with these arguments on the server's directory, and this standard input.
fn lodge(server: &Server, arguments: &[&str], input: &str) -> CommandOutput {
    run_with_input(&mut server.command(arguments), input)
}

fn json_of(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Does it with a server that runs, and with one that does not.
fn running_and_stopped(each: impl Fn(&mut Server)) {
    let mut server = Server::start();
    each(&mut server);
    let mut server = Server::start();
    server.stop();
    each(&mut server);
}

#[test]
fn an_account_is_added_shown_changed_and_removed() {
    running_and_stopped(|server| {
        let add = ["user", "add", "ann", "--admin", "--email", "ann@example.org", "--user-id", "1000", "--json"];
        let added = json_of(&lodge(server, &add, &format!("{}\n", password_of("ann"))).expect(0).out);
        assert_eq!(added[0]["id"], 2);

        lodge(server, &["user", "set", "ann", "--username", "anna", "--admin=false", "--email", ""], "").expect(0);

        let shown = json_of(&lodge(server, &["user", "show", "ANNA", "--json"], "").expect(0).out);
        let by_id = json_of(&lodge(server, &["user", "show", "2", "--json"], "").expect(0).out);
        assert_eq!(shown, by_id);
        let members = ["username", "is_admin", "user_id", "email"].map(|name| &shown[0][name]);
        assert_eq!(members, [&json!("anna"), &json!(false), &json!(1000), &Value::Null]);
        let table = lodge(server, &["user", "list"], "").expect(0).out;
        let begin: Vec<_> = table.lines().map(|line| line.split("  ").next().unwrap()).collect();
        assert_eq!(begin, ["ID", "1", "2"]);

        assert_eq!(lodge(server, &["user", "remove", "anna"], "").expect(0).out, "user anna is removed\n");
        let gone = lodge(server, &["user", "show", "anna"], "").expect(1);
        assert_eq!(gone.err, "lodge: there is no user anna\n");
    });
}

#[test]
fn a_lost_password_is_replaced_and_its_sessions_end() {
    running_and_stopped(|server| {
        let is_running = server.anonymous().try_send(&crate::harness::Request::whole("GET", "/healthz")).is_ok();
        let session = is_running.then(|| server.session("admin"));

        let output = lodge(server, &["user", "password", "admin"], "another house altogether\n").expect(0);

        assert_eq!(output.out, "user admin has a new password\n");
        if !is_running {
            server.start_again();
        }
        server.with(&basic("admin", ADMIN_PASSWORD)).get("/users/me").expect(401);
        let admin = server.with(&basic("admin", "another house altogether"));
        admin.get("/users/me").expect(200);
        session.map(|session| session.get("/users/me").expect(401));
        let entries = admin.get("/audit").json();
        let entries = entries["audit_entries"].as_array().unwrap();
        let is_change = |entry: &&Value| entry["action"] == "users / update";
        let change = entries.iter().find(is_change).unwrap();
        assert_eq!((&change["credential"], &change["user_id"]), (&json!("local"), &Value::Null));
    });
}

#[test]
fn a_password_comes_from_standard_input_alone_and_a_refused_one_changes_nothing() {
    let server = Server::start();
    lodge(&server, &["user", "password", "admin", "another house altogether"], "").expect(2);

    for (input, why) in [("", "no password was given"), ("short\n", "too short"), ("password1\n", "assword")] {
        let refused = lodge(&server, &["user", "password", "admin"], input).expect(1);
        assert!(refused.err.contains(why), "{}", refused.err);
    }

    server.admin().get("/users/me").expect(200);
}

#[test]
fn what_the_api_refuses_is_refused_in_its_words() {
    running_and_stopped(|server| {
        let taken = lodge(server, &["user", "add", "Admin"], "a house with a view\n").expect(1);
        assert_eq!(taken.err, "lodge: Username has already been taken\n");
        lodge(server, &["user", "remove", "admin"], "").expect(1);
        lodge(server, &["user", "set", "admin", "--expired-at", "soon"], "").expect(1);
        lodge(server, &["user", "show", "ann"], "").expect(1);
        lodge(server, &["user", "show", "99999999999999999999"], "").expect(1);
        lodge(server, &["user", "set", "admin", "--user-id", "root"], "").expect(2);
        lodge(server, &["user"], "").expect(2);
    });
}

#[test]
fn a_suspended_account_is_refused_until_it_is_resumed() {
    let mut server = Server::start();
    let ann = server.user("ann");
    for is_running in [true, false] {
        for (verb, what, status) in [("suspend", "suspended", 401), ("resume", "no longer suspended", 200)] {
            if !is_running {
                server.stop();
            }
            let output = lodge(&server, &["user", verb, "ann"], "").expect(0);
            assert_eq!(output.out, format!("user ann is {what}\n"));
            if !is_running {
                server.start_again();
            }
            server.with(ann.authorization.as_deref().unwrap()).get("/users/me").expect(status);
        }
    }
    lodge(&server, &["user", "suspend", "admin"], "").expect(1);
}

#[test]
fn failed_attempts_of_a_user_are_forgotten() {
    let mut server = crate::harness::ServerBuilder::new().flag("--throttle-after", "1").start();
    server.with(&basic("admin", "not the keys to the house")).get("/users/me").expect(401);
    server.admin().get("/users/me").expect(429);

    lodge(&server, &["user", "unlock", "admin"], "").expect(0);

    server.admin().get("/users/me").expect(200);
    server.stop();
    let stopped = lodge(&server, &["user", "unlock", "admin"], "").expect(1);
    assert!(stopped.err.contains("no server is running on"), "{}", stopped.err);
}

#[test]
fn a_wrong_password_of_the_first_administrator_has_the_way_out_in_the_log_once_an_hour() {
    const WAY_OUT: &str = "`lodge user password 1` replaces it";
    let server = Server::start();
    server.user("ann");
    server.with(&basic("ann", "not the keys to the house")).get("/users/me").expect(401);
    assert!(!server.whole_log().contains(WAY_OUT));

    for _ in 0..2 {
        server.with(&basic("admin", "not the keys to the house")).get("/users/me").expect(401);
    }

    assert_eq!(server.whole_log().matches(WAY_OUT).count(), 1);
    lodge(&server, &["user", "password", "1"], "another house altogether\n").expect(0);
    server.with(&basic("admin", "another house altogether")).get("/users/me").expect(200);
}

#[test]
fn a_file_with_settings_names_the_data_directory_for_every_command() {
    let server = Server::start();
    let file = server.directory().join("lodge.toml");
    fs::write(&file, format!("data-dir = {:?}\n", server.data_dir())).unwrap();
    for arguments in [&["user", "list"][..], &["session", "list"], &["verify"], &["locks"], &["audit"]] {
        let mut command = server.command(arguments);
        command.env_remove("LODGE_DATA_DIR").arg("--config").arg(&file).current_dir("/");
        run(&mut command).expect(0);
    }
}

#[test]
fn a_closed_output_ends_a_list_and_a_full_one_fails_it() {
    let server = Server::start();
    let full = File::options().write(true).open("/dev/full").unwrap();
    let (reader, closed) = std::io::pipe().unwrap();
    drop(reader);

    let closed = server.command(&["user", "list"]).stdout(closed).output().unwrap();
    let full = server.command(&["user", "list"]).stdout(full).output().unwrap();

    assert_eq!([closed.status.code(), full.status.code()], [Some(0), Some(10)]);
}

#[test]
fn a_password_that_is_typed_is_not_shown() {
    let missing = Command::new("script").arg("--version").output().is_err().then_some("script");
    if !is_possible("a_password_that_is_typed_is_not_shown", missing) {
        return;
    }
    let server = Server::start();
    let typed = "another house altogether";
    let lodge = format!("{} user password admin", env!("CARGO_BIN_EXE_lodge"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &lodge, "/dev/null"]).env("LODGE_DATA_DIR", server.data_dir());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());

    let mut shown = shown_up_to(&mut screen, "New password of admin: ");
    writeln!(keyboard, "{typed}").unwrap();
    shown += &shown_up_to(&mut screen, "The same again: ");
    writeln!(keyboard, "{typed}").unwrap();
    screen.read_to_string(&mut shown).unwrap();

    assert!(child.wait().unwrap().success(), "{shown}");
    assert!(!shown.contains(typed), "{shown}");
    server.with(&basic("admin", typed)).get("/users/me").expect(200);
}

#[test]
fn the_terminal_shows_again_what_is_typed_after_a_signal_at_the_question() {
    let missing = Command::new("script").arg("--version").output().is_err().then_some("script");
    if !is_possible("the_terminal_shows_again_what_is_typed_after_a_signal_at_the_question", missing) {
        return;
    }
    let server = Server::start();
    for key in [b"\x03", b"\x1c"] {
        // The shell outlives the keys that end the command.
        let lodge = format!("trap : INT QUIT; {} user password admin; stty -a", env!("CARGO_BIN_EXE_lodge"));
        let mut command = Command::new("script");
        command.args(["--quiet", "--command", &lodge, "/dev/null"]).env("LODGE_DATA_DIR", server.data_dir());
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());

        shown_up_to(&mut screen, "New password of admin: ");
        keyboard.write_all(key).unwrap();
        let mut modes = String::new();
        screen.read_to_string(&mut modes).unwrap();

        child.wait().unwrap();
        let is_shown = modes.split_whitespace().find_map(|word| word.ends_with("echo").then_some(word == "echo"));
        assert_eq!(is_shown, Some(true), "{modes}");
    }
    server.admin().get("/users/me").expect(200);
}

/// What is on the screen once it shows that text.
fn shown_up_to(screen: &mut impl Read, text: &str) -> String {
    let mut shown = Vec::new();
    while !shown.ends_with(text.as_bytes()) {
        let mut byte = [0];
        screen.read_exact(&mut byte).unwrap();
        shown.push(byte[0]);
    }
    String::from_utf8_lossy(&shown).into_owned()
}

#[test]
fn two_different_passwords_are_refused_and_nothing_is_changed() {
    let missing = Command::new("script").arg("--version").output().is_err().then_some("script");
    if !is_possible("two_different_passwords_are_refused_and_nothing_is_changed", missing) {
        return;
    }
    let server = Server::start();
    let lodge = format!("{} user password admin", env!("CARGO_BIN_EXE_lodge"));
    let mut command = Command::new("script");
    command.args(["--quiet", "--return", "--command", &lodge, "/dev/null"]).env("LODGE_DATA_DIR", server.data_dir());
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keyboard, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());

    shown_up_to(&mut screen, "New password of admin: ");
    writeln!(keyboard, "another house altogether").unwrap();
    let mut shown = shown_up_to(&mut screen, "The same again: ");
    writeln!(keyboard, "another house entirely").unwrap();
    screen.read_to_string(&mut shown).unwrap();

    assert_eq!(child.wait().unwrap().code(), Some(1), "{shown}");
    assert!(shown.contains("the two passwords differ; nothing was changed"), "{shown}");
    server.admin().get("/users/me").expect(200);
}

#[test]
fn a_refusal_has_no_invisible_characters() {
    let server = Server::start();
    let refused = lodge(&server, &["user", "show", "a\u{1b}[31m\u{202e}"], "").expect(1);
    assert_eq!(refused.err, "lodge: there is no user a\\u001b[31m\\u202e\n");
}

#[test]
fn a_restore_that_was_interrupted_is_reported_and_nothing_is_made_in_its_place() {
    let mut server = Server::start();
    server.stop();
    let [store, kept] = ["store", "store.replaced-20261127T000000Z"].map(|name| server.data_dir().join(name));
    fs::rename(&store, &kept).unwrap();

    let refused = lodge(&server, &["user", "list"], "").expect(10);

    assert!(refused.err.contains("a restore was interrupted: the store is in "), "{}", refused.err);
    assert!(!store.exists() && kept.exists());
}

#[test]
fn a_change_of_a_stopped_server_continues_the_log_where_its_files_end() {
    let mut server = Server::start();
    server.stop();
    let [store, older] = ["store", "older"].map(|name| server.data_dir().join(name));
    run(Command::new("cp").arg("-a").args([&store, &older])).expect(0);
    server.start_again();
    server.user("ann");
    server.stop();
    fs::remove_dir_all(&store).unwrap();
    fs::rename(&older, &store).unwrap();

    lodge(&server, &["user", "add", "bob"], "bob lives here\n").expect(0);

    let printed = lodge(&server, &["audit"], "").expect(0).out;
    let entries = json_of(&printed);
    let ids: Vec<_> = entries.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=ids.len() as u64).collect::<Vec<_>>(), "no number is given twice");
    let actions: Vec<_> = entries.iter().rev().take(2).map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["users / create", "audit / continue"]);
}
