//! `GET /status` and `lodge status`.

use std::{fs, os::unix::fs::PermissionsExt, process::Output};

use serde_json::{Value, json};

use crate::harness::{Server, ServerBuilder};

fn findings(status: &Value, check: &str) -> Vec<String> {
    let findings = status["findings"].as_array().unwrap().iter().filter(|finding| finding["check"] == check);
    findings.map(|finding| finding["problem"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn administrators_see_addresses_records_locks_and_the_stores_size() {
    let server = Server::start();
    server.session("ann");
    server.user("ann").post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);

    let status = server.admin().get("/status").expect(200).json();

    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["addresses"], json!([format!("http://{}", server.address)]));
    assert_eq!(status["records"], json!({"users": 2, "configurations": 1, "api_keys": 0, "sessions": 1}));
    assert_eq!(status["locks"], 0);
    assert!(status["store_bytes"].as_u64().unwrap() > 0 && status["started_at"].is_string(), "{status}");
    assert!(status["uptime_secs"].is_u64() && status.get("last_backup").is_none(), "{status}");
}

#[test]
fn the_status_has_the_findings_of_the_doctor() {
    let server = Server::start();
    let ann = json!({"username": "ann", "password": "ann lives here", "user_id": 1_999_999_999});
    server.admin().post("/users", &ann).expect(201);
    let secret = server.data_dir().join("secret");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();

    let status = server.admin().get("/status").expect(200).json();

    let problem = format!("the server's secret in {} can be read by others (mode 644)", secret.display());
    assert_eq!(findings(&status, "secrets"), [problem]);
    let missing = "the account `ann` has the user_id 1999999999, which no user of this system has";
    assert_eq!(findings(&status, "accounts"), [missing]);
    assert_eq!(status["findings"][0]["severity"], "error", "the worst come first");
}

#[test]
fn only_administrators_with_the_scope_see_the_status() {
    let server = Server::start();

    server.user("ann").get("/status").expect(403);
    server.key("ann", &["status / show"]).get("/status").expect(403);
    server.key("admin", &["users / index"]).get("/status").expect(403);
    server.key("admin", &["status / show"]).get("/status").expect(200);
    server.local().get("/status").expect(200);
}

#[test]
fn the_command_prints_the_status_of_a_running_server_alone() {
    let mut server = ServerBuilder::new().start();
    let run = |server: &Server, verb: &[&str]| {
        let Output { status, stdout, stderr } = server.command(verb).output().unwrap();
        (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
    };

    let (code, table, _) = run(&server, &["status"]);
    let (json_code, text, _) = run(&server, &["status", "--json"]);
    assert!(server.stop().success());
    let stopped = run(&server, &["status"]);

    assert_eq!([code, json_code], [Some(0); 2]);
    assert!(table.contains(&format!("\naddresses       http://{}\n", server.address)), "{table}");
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["records"]["users"], 1);
    let refusal = format!("lodge: no server is running on {}\n", server.data_dir().display());
    assert_eq!(stopped, (Some(1), String::new(), refusal));
}

#[test]
fn lockouts_are_counted() {
    let server = ServerBuilder::new().flag("--throttle-after", "1").start();
    server.with(&crate::harness::basic("admin", "not the keys to the house")).get("/users/me").expect(401);

    assert_eq!(server.local().get("/status").expect(200).json()["locks"], 1);
}
