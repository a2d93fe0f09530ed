//! The console in a real browser: Chromium, driven by the scripts beside this file. `.ci/run` installs what they need.

mod tools;

use std::{env, fs, process::Command};

use lodge::{
    domain::{Id, SystemId, User, Username},
    store::{DiskReserve, Sequence, Store, StoreError, Tables},
};

use self::tools::command;
pub use self::tools::missing;
use crate::harness::{ADMIN_PASSWORD, Server, ServerBuilder, is_possible};

/// Runs the flow of that name against a server of its own, whose administrator has the password that the first start generates.
#[track_caller]
fn run(flow: &str) {
    run_after(flow, |_| ());
}

/// The same, after something was done to the server.
#[track_caller]
fn run_after(flow: &str, prepare: impl FnOnce(&mut Server)) {
    if !is_possible(flow, missing()) {
        return;
    }
    let mut server = ServerBuilder::new().without_variable("LODGE_ADMIN_PASSWORD").start();
    let password = fs::read_to_string(server.data_dir().join("initial-admin-password")).unwrap();
    prepare(&mut server);

    finish(flow, command(flow, &server.address.to_string(), password.trim_end()));
}

/// Runs the flow of that name, which gets these variables too, against that address of a proxy of the server's.
#[track_caller]
pub fn run_through(flow: &str, address: &str, variables: &[(&str, &str)]) {
    let mut command = command(flow, address, ADMIN_PASSWORD);
    command.envs(variables.iter().copied());
    finish(flow, command);
}

#[track_caller]
fn finish(flow: &str, mut command: Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{flow}:\n{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn signing_in_and_out() {
    run("signing-in");
}

#[test]
fn the_own_account_and_its_configurations() {
    run("own-account");
}

#[test]
fn api_keys_and_sessions() {
    run("keys");
}

#[test]
fn administration() {
    run("administration");
}

#[test]
fn ten_thousand_users() {
    run_after("many-users", |server| {
        assert!(server.stop().success());
        populate(server, 10_000);
        server.start_again();
    });
}

#[test]
fn interruptions() {
    run("interruptions");
}

#[test]
fn hostile_names() {
    run("hostile-names");
}

#[test]
fn by_keyboard() {
    run("keyboard");
}

#[test]
fn the_documentation_of_the_api() {
    run("documentation");
}

#[test]
fn appearance() {
    run("appearance");
}

/// Takes pictures of every page below `target/console`, each of which is checked as well.
#[test]
fn screenshots() {
    if env::var_os("LODGE_TEST_SCREENSHOTS").is_some() || env::var_os("LODGE_TEST_EVERYTHING").is_some() {
        run("screenshots");
    }
}

/// Gives a stopped server as many users as make that number, written at once: each request for one would hash a password.
fn populate(server: &Server, users: u32) {
    let store = Store::open(&server.data_dir().join("store"), 1 << 24, DiskReserve::NONE).unwrap();
    let administrator = store.user(Id::FIRST).unwrap().unwrap();
    store
        .write_blocking(move |txn| {
            for number in 2..=users {
                let username = Username::parse(&format!("worker-{number:05}")).unwrap();
                let id = txn.next_id(Sequence::Users)?;
                let user_id = (number % 10 == 0).then(|| SystemId::new(i128::from(100_000 + number)).unwrap());
                let new = User::new(id, username, administrator.password.clone(), administrator.created_at);
                txn.put(&User { user_id, ..new }).unwrap();
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    store.finish();
}
