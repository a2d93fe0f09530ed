//! Assertions as services check them, with the libraries that services use. `.ci/run` installs both.

use std::process::Command;

use serde_json::{Value, json};

use super::{JWKS, builder, created, keys, proxied};
use crate::harness::{CommandOutput, Server, is_possible, run};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/http/assertions");
/// What assertions can be signed with.
const ALGORITHMS: [&str; 2] = ["ES256", "EdDSA"];
const TOOLS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/ci/verifiers");

/// Whether a script can be run on this machine.
fn has(test: &str, mut program: Command) -> bool {
    let found = program.output().is_ok_and(|output| output.status.success());
    is_possible(test, (!found).then_some("the libraries below target/ci/verifiers are missing"))
}

fn python() -> Command {
    Command::new(format!("{TOOLS}/bin/python"))
}

fn node() -> Command {
    let mut node = Command::new("node");
    // Modules are looked for beside the script and in the directories above it alone.
    node.env("LODGE_TEST_JOSE", format!("{TOOLS}/node_modules/jose"));
    node
}

/// The output of a script that checks the token with the server's keys, as a service of that name.
fn verify(
    mut program: Command,
    script: &str,
    server: &Server,
    algorithm: &str,
    audience: &str,
    token: &str,
) -> CommandOutput {
    let jwks = format!("http://{}{JWKS}", server.address);
    run(program.arg(format!("{SCRIPTS}/{script}")).args([&jwks, algorithm, audience, token]))
}

fn check(program: fn() -> Command, script: &str) {
    for algorithm in ALGORITHMS {
        check_with(program, script, algorithm);
    }
}

/// Checks what a library accepts and refuses of a server with that algorithm.
fn check_with(program: fn() -> Command, script: &str, algorithm: &str) {
    let server = builder().flag("--assertion-algorithm", algorithm).start();
    let verify = |audience: &str, token: &str| verify(program(), script, &server, algorithm, audience, token);
    let key = server.key("ann", &["files / index", "media / *"]);
    let by_proxy = proxied(&key, "scope=any&aud=files");

    for token in [&by_proxy, &created(&server.session("ann"), "files")] {
        let claims: Value = serde_json::from_str(&verify("files", token).expect(0).out).unwrap();
        assert_eq!((&claims["preferred_username"], &claims["aud"]), (&json!("ann"), &json!("files")));
    }
    let session = server.sign_in("ann");
    let (message, signature) = by_proxy.rsplit_once('.').unwrap();
    let (head, claims) = message.split_once('.').unwrap();
    let last = if claims.ends_with('A') { "B" } else { "A" };
    let forged = format!("{head}.{}{last}.{signature}", &claims[..claims.len() - 1]);
    for (what, audience, token) in [
        ("for another service", "https://media.example", by_proxy.as_str()),
        ("a session", "files", session.trim_start_matches("Bearer ")),
        ("forged", "files", &forged),
        ("without a signature", "files", &format!("{message}.")),
    ] {
        let refused = verify(audience, token);
        assert!(refused.code == Some(3), "{what}: {:?} {} {}", refused.code, refused.out, refused.err);
    }
    assert_eq!(keys(&server).len(), 1);
}

#[test]
fn pyjwt_verifies_assertions_with_the_published_keys() {
    let mut import = python();
    import.args(["-c", "import jwt, cryptography"]);
    if has("pyjwt", import) {
        check(python, "verify.py");
    }
}

#[test]
fn jose_verifies_assertions_with_the_published_keys() {
    let mut import = node();
    import.args(["--input-type=module", "-e", "await import(process.env.LODGE_TEST_JOSE + '/dist/webapi/index.js')"]);
    if has("jose", import) {
        check(node, "verify.mjs");
    }
}
