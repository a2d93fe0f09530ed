//! The console in a real browser: Chromium, driven by the scripts beside this file. `.ci/run` installs what they need.

use std::{env, path::Path, process::Command};

use crate::harness::{ADMIN_PASSWORD, Server, is_possible};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console");
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/console/node_modules");
const CHROMIUM: &str = "/usr/bin/chromium";

/// Runs the script with that argument against a server of its own.
#[track_caller]
fn run(flow: &str) {
    if !is_possible(flow, missing()) {
        return;
    }
    let server = Server::start();
    let mut command = Command::new("node");
    command.arg(format!("{SCRIPTS}/run.mjs")).arg(flow);
    command.env("LODGE_TEST_URL", format!("http://{}", server.address)).env("LODGE_TEST_PASSWORD", ADMIN_PASSWORD);
    command.env("LODGE_TEST_CHROMIUM", CHROMIUM);

    let output = command.output().unwrap();

    assert!(output.status.success(), "{flow}:\n{}", String::from_utf8_lossy(&output.stderr));
    print!("{}", String::from_utf8_lossy(&output.stdout));
}

/// What this machine lacks for a browser.
fn missing() -> Option<&'static str> {
    let has_node = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|at| at.join("node").exists()));
    let needed = [
        (has_node, "node is missing"),
        (Path::new(CHROMIUM).exists(), "chromium is missing"),
        (Path::new(TOOLS).join("playwright-core").exists(), "playwright-core is missing below target/ci/console"),
        (Path::new(TOOLS).join("axe-core").exists(), "axe-core is missing below target/ci/console"),
    ];
    needed.into_iter().find(|(is_there, _)| !is_there).map(|(_, missing)| missing)
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

/// Prints how soon there is something to see.
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
