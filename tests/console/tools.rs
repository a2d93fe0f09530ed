//! What runs the scripts beside this file: Node.js, Chromium, and the packages that `.ci/run` installs.

use std::{env, path::Path, process::Command};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/console");
const PACKAGES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/console/node_modules");
const CHROMIUM: &str = "/usr/bin/chromium";

/// The command that runs the flow of that name against the server at that address, whose administrator has that password.
pub fn command(flow: &str, address: &str, password: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(format!("{SCRIPTS}/run.mjs")).arg(flow);
    command.env("LODGE_TEST_URL", format!("http://{address}")).env("LODGE_TEST_PASSWORD", password);
    command.env("LODGE_TEST_CHROMIUM", CHROMIUM);
    command
}

/// What this machine lacks for a browser.
pub fn missing() -> Option<&'static str> {
    let has_node = env::var_os("PATH").is_some_and(|path| env::split_paths(&path).any(|at| at.join("node").exists()));
    let has_package = |name: &str| Path::new(PACKAGES).join(name).exists();
    let needed = [
        (has_node, "node is missing"),
        (Path::new(CHROMIUM).exists(), "chromium is missing"),
        (has_package("playwright-core"), "playwright-core is missing below target/ci/console"),
        (has_package("axe-core"), "axe-core is missing below target/ci/console"),
    ];
    needed.into_iter().find(|(is_there, _)| !is_there).map(|(_, missing)| missing)
}
