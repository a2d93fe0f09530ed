//! `lodge doctor`: what it finds, with and without a running server.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
};

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use serde_json::{Value, json};

use super::mode;
use crate::harness::{Server, ServerBuilder};

/// The exit code, and the findings of these checks as `severity: problem`.
fn found(command: &mut Command, checks: &[&str]) -> (Option<i32>, Vec<String>) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let reply: Value =
        serde_json::from_slice(&stdout).unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&stderr)));
    let findings = reply["findings"].as_array().unwrap().iter();
    let of_checks = findings.filter(|finding| checks.contains(&finding["check"].as_str().unwrap()));
    let texts = of_checks.map(|finding| {
        assert!(!finding["advice"].as_str().unwrap().is_empty(), "{finding}");
        format!("{}: {}", finding["severity"].as_str().unwrap(), finding["problem"].as_str().unwrap())
    });
    (status.code(), texts.collect())
}

/// Opens the data directory and the secret to all users.
fn open_to_all(data_dir: &Path) {
    for (path, mode) in [(data_dir.to_owned(), 0o755), (data_dir.join("secret"), 0o644)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
}

#[test]
fn it_finds_the_same_of_a_running_and_of_a_stopped_server_and_changes_nothing() {
    let mut server = Server::start();
    let ann =
        json!({"username": "ann", "password": "ann lives here", "user_id": 1_999_999_999, "group_id": 1_999_999_998});
    server.admin().post("/users", &ann).expect(201);
    server.admin().post("/users", &json!({"username": "bob", "password": "bob lives here", "user_id": 0})).expect(201);
    let data = server.data_dir();
    open_to_all(&data);
    let examined =
        |server: &Server| found(&mut server.command(&["doctor", "--json"]), &["secrets", "accounts", "settings"]);

    let running = examined(&server);
    assert!(server.stop().success());
    open_to_all(&data);
    let stopped = examined(&server);

    let expected = [
        format!("error: the server's secret in {} can be read by others (mode 644)", data.join("secret").display()),
        "warning: the account `ann` has the user_id 1999999999, which no user of this system has".to_owned(),
        "warning: the account `ann` has the group_id 1999999998, which no group of this system has".to_owned(),
    ];
    assert_eq!(running, (Some(4), expected.to_vec()));
    assert_eq!(stopped, running);
    assert_eq!([mode(&data), mode(&data.join("secret"))], [0o755, 0o644]);
}

#[test]
fn findings_are_printed_with_what_to_do_and_the_worst_come_first() {
    let mut server = Server::start();
    assert!(server.stop().success());
    let data = server.data_dir();
    open_to_all(&data);

    let Output { status, stdout, stderr } = server.command(&["doctor"]).output().unwrap();

    let [stdout, stderr] = [stdout, stderr].map(|text| String::from_utf8(text).unwrap());
    let secret = data.join("secret");
    let first = format!(
        "error:   the server's secret in {secret} can be read by others (mode 644)\n         \
         chmod 600 {secret}; if they may have read it, it needs `lodge secret rotate` too\n",
        secret = secret.display()
    );
    assert!(stdout.starts_with(&first), "{stdout}");
    let open = format!("warning: the data directory {} has the mode 755: it is open to other users\n", data.display());
    assert!(stdout.contains(&open), "{stdout}");
    assert!(stderr.starts_with("lodge: 1 errors and "), "{stderr}");
    assert_eq!(status.code(), Some(4));
}

#[test]
fn before_the_first_start_a_missing_directory_is_a_note_and_is_not_created() {
    let builder = ServerBuilder::new();
    let checks = ["data_directory", "secrets", "accounts", "settings"];

    let (_, findings) = found(&mut builder.command(&["doctor", "--json"]), &checks);

    assert_eq!(findings, [format!("note: the data directory {} does not exist", builder.data_dir().display())]);
    assert!(!builder.data_dir().exists());
}

#[test]
fn a_certificate_that_has_expired_is_an_error_and_the_settings_of_the_file_count() {
    let builder = ServerBuilder::new();
    let place = builder.data_dir().parent().unwrap().to_owned();
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.not_after = date_time_ymd(2020, 1, 1);
    let key = KeyPair::generate().unwrap();
    let [certificate, key_file, file] = ["cert.pem", "key.pem", "lodge.toml"].map(|name| place.join(name));
    fs::write(&certificate, params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(&key_file, key.serialize_pem()).unwrap();
    fs::set_permissions(&key_file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&file, "tls-cert = \"cert.pem\"\ntls-key = \"key.pem\"\n").unwrap();

    let examined = found(builder.command(&["doctor", "--json", "--config"]).arg(&file), &["certificate", "settings"]);

    let problem = "error: the certificate cert.pem expired at 2020-01-01T00:00:00.000Z, and clients refuse it";
    assert_eq!(examined, (Some(4), vec![problem.to_owned()]));
}

#[test]
fn settings_that_cannot_be_used_are_findings_beside_the_others() {
    let builder = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "99");

    let (code, findings) = found(&mut builder.command(&["doctor", "--json"]), &["settings", "data_directory"]);

    assert!(findings[0].starts_with("error: ") && findings[0].contains("scrypt-cost"), "{findings:?}");
    assert_eq!((code, findings.len()), (Some(4), 2));
}

#[test]
fn what_is_found_is_printed_without_invisible_characters() {
    let builder = ServerBuilder::new();
    let odd = builder.data_dir().with_file_name("da\u{1b}[31mta");

    let Output { stdout, .. } = builder.command(&["doctor"]).env("LODGE_DATA_DIR", &odd).output().unwrap();

    let stdout = String::from_utf8(stdout).unwrap();
    assert!(stdout.contains("da\\u001b[31mta does not exist\n") && !stdout.contains('\u{1b}'), "{stdout}");
}

#[test]
fn accounts_that_another_command_is_using_are_a_warning() {
    let mut server = Server::start();
    assert!(server.stop().success());
    let lock = fs::File::open(server.data_dir().join("lock")).unwrap();
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive).unwrap();

    let (_, findings) = found(&mut server.command(&["doctor", "--json"]), &["accounts"]);

    let [finding] = findings.as_slice() else { panic!("{findings:?}") };
    assert!(finding.starts_with("warning: the accounts cannot be read: another lodge is using"), "{finding}");
}

#[test]
fn a_store_without_its_secret_is_an_error() {
    let mut server = Server::start();
    assert!(server.stop().success());
    let secret = server.data_dir().join("secret");
    fs::remove_file(&secret).unwrap();

    let examined = found(&mut server.command(&["doctor", "--json"]), &["secrets"]);

    let problem = format!("error: the server's secret in {} is missing", secret.display());
    assert_eq!(examined, (Some(4), vec![problem]));
}
