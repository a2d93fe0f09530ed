//! Applies that are killed, or that run at the same time.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use super::{write, write_password};
use crate::{
    backups::run_and_kill,
    harness::{CommandOutput, Server, basic, repetitions, run},
};

/// So many accounts, each with a password of their own and an API key whose value goes to a file.
fn accounts(server: &Server, count: usize) -> String {
    let users = (0..count).map(|number| {
        write_password(server, &format!("user{number}.password"), &password(number));
        json!({"username": format!("user{number}"), "password_file": format!("user{number}.password"),
            "api_keys": [{"name": "key", "write_to": format!("user{number}.key")}]})
    });
    json!({"users": users.collect::<Vec<_>>()}).to_string()
}

fn password(number: usize) -> String {
    format!("user {number} lives here")
}

/// The value in the file of that account's key, if the file is there.
fn value(server: &Server, number: usize) -> Option<String> {
    let value = fs::read_to_string(server.directory().join(format!("user{number}.key"))).ok()?;
    Some(value.trim().to_owned())
}

fn count(server: &Server) -> Value {
    server.admin().get("/users?limit=0").json()["count"].clone()
}

#[test]
fn two_at_once_leave_what_each_of_them_wants_and_files_of_valid_keys_alone() {
    let server = Server::start();
    let file = write(&server, "accounts.json", accounts(&server, 3));
    let run_one = || run(&mut server.command(&["apply", file.to_str().unwrap()]));

    let outputs: Vec<CommandOutput> = thread::scope(|scope| {
        let running: Vec<_> = (0..2).map(|_| scope.spawn(run_one)).collect();
        running.into_iter().map(|running| running.join().unwrap()).collect()
    });

    assert!(outputs.iter().any(|output| output.code == Some(0)), "{:?}", outputs[0].err);
    assert_eq!(count(&server), 4);
    for number in 0..3 {
        server.with(&basic(&format!("user{number}"), &password(number))).get("/users/me").expect(200);
        server.with(&value(&server, number).unwrap()).get("/users/me/api_key").expect(200);
    }
    for refused in outputs.iter().filter(|output| output.code != Some(0)) {
        let is_expected = refused.err.contains("File exists") || refused.err.contains("changed meanwhile");
        assert!(refused.code == Some(1) && is_expected, "{}", refused.err);
    }
}

#[test]
fn one_that_is_killed_has_done_all_or_nothing_and_no_value_of_a_key_is_lost() {
    for is_running in [true, false] {
        let takes = duration_of_one(is_running);
        let mut server = Server::start();
        let file = write(&server, "accounts.json", accounts(&server, 3));
        if !is_running {
            server.stop();
        }
        for _ in 0..kills() {
            run_and_kill(&mut server.command(&["apply", file.to_str().unwrap()]), takes);
            // What the server still does for a command that is gone is done once it has stopped.
            if is_running {
                server.stop();
            }
            server.start_again();
            assert_all_or_nothing(&server);
            if !is_running {
                server.stop();
            }
        }
        run(&mut server.command(&["apply", file.to_str().unwrap()])).expect(0);
        assert_eq!(run(&mut server.command(&["apply", file.to_str().unwrap()])).expect(0).out, "nothing differs\n");
    }
}

/// How often it is killed, unless `LODGE_TEST_KILLS` is set.
fn kills() -> usize {
    repetitions("LODGE_TEST_KILLS", 3)
}

fn duration_of_one(is_running: bool) -> Duration {
    let mut server = Server::start();
    let file = write(&server, "accounts.json", accounts(&server, 3));
    if !is_running {
        server.stop();
    }
    let begun = Instant::now();
    run(&mut server.command(&["apply", file.to_str().unwrap()])).expect(0);
    begun.elapsed()
}

/// Either every account is there and the values of their keys are in their files, or no account is; then files that are left
/// are removed, as an operator would.
fn assert_all_or_nothing(server: &Server) {
    let users = count(server).as_u64().unwrap();
    assert!(users == 1 || users == 4, "{users}");
    for number in 0..3 {
        let value = value(server, number);
        if users == 4 {
            server.with(&value.unwrap()).get("/users/me/api_key").expect(200);
        } else if value.is_some() {
            fs::remove_file(server.directory().join(format!("user{number}.key"))).unwrap();
        }
    }
}
