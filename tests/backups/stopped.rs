//! What is in a backup file, and what is not.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use data_encoding::{BASE64, HEXLOWER};

use crate::{
    backups::{
        container::{lines, of_kind, text as unpacked},
        lodge,
        restore::with_one_of_each,
        secret_of, text,
    },
    harness::{ADMIN_PASSWORD, Client, Server, password_of},
};

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// None of these is in the file, packed or not; the secret may be, as its hexadecimal digits.
fn has_nothing_secret(server: &Server, key: &Client, file: &Path, with_secret: bool) {
    let secret = fs::read(secret_of(server)).unwrap();
    let whole = key.authorization.clone().unwrap();
    let body = whole.trim_start_matches("lodge_");
    let mut secrets = vec![secret.clone(), BASE64.encode(&secret).into_bytes()];
    secrets.extend(
        [ADMIN_PASSWORD.to_owned(), password_of("ann"), whole.clone(), body.to_owned()].map(String::into_bytes),
    );
    secrets.push(body.as_bytes()[..body.len() - 4].to_vec());
    let digits = HEXLOWER.encode(&secret).into_bytes();
    let (raw, unpacked) = (fs::read(file).unwrap(), unpacked(file).into_bytes());
    for secret in &secrets {
        assert!(!contains(&raw, secret) && !contains(&unpacked, secret), "{}", String::from_utf8_lossy(secret));
    }
    assert_eq!(contains(&unpacked, &digits), with_secret);
}

#[test]
fn a_backup_of_a_stopped_server_is_that_of_the_running_one_and_says_what_it_is() {
    let (mut server, key) = with_one_of_each();
    let running = crate::backups::back_up(&server, "running");
    server.stop();
    let stopped = crate::backups::back_up(&server, "stopped");

    has_nothing_secret(&server, &key, &running, false);
    has_nothing_secret(&server, &key, &stopped, false);
    let (running, of_stopped) = (lines(&running), lines(&stopped));
    assert_eq!(running[1..], of_stopped[1..]);
    let header = &of_stopped[0]["header"];
    assert_eq!(header["format"], "lodge backup");
    assert_eq!(header["version"], 2);
    assert_eq!(header["store"], running[0]["header"]["store"]);
    let commit = |header: &serde_json::Value| header["commit"].as_u64().unwrap();
    assert!(commit(header) > commit(&running[0]["header"]), "the audit log has gone on");
    let state = &of_stopped[1]["state"];
    assert_eq!([&state["users"], &state["configurations"], &state["api_keys"]], [2, 1, 1]);
    let kinds = ["user", "configuration", "api_key"].map(|kind| of_kind(&of_stopped, kind).len());
    assert_eq!(kinds, [2, 1, 1]);
    assert_eq!(of_stopped.len(), 7, "a header, a state, the key of used identifiers and the records");
    assert_eq!(fs::metadata(&stopped).unwrap().permissions().mode() & 0o777, 0o600);
    let footer: serde_json::Value = serde_json::from_str(unpacked(&stopped).lines().last().unwrap()).unwrap();
    assert_eq!(footer["footer"]["records"], 4);
    server.start_again();
}

#[test]
fn the_secret_is_in_a_backup_only_if_it_is_asked_for() {
    let (mut server, key) = with_one_of_each();
    for name in ["running", "stopped"] {
        let file = server.directory().join(name);
        lodge(&server, &["backup", text(&file), "--with-secret"]).expect(0);
        has_nothing_secret(&server, &key, &file, true);
        let secret = HEXLOWER.encode(&fs::read(secret_of(&server)).unwrap());
        assert_eq!(of_kind(&lines(&file), "secret"), [secret]);
        server.kill();
    }
}

#[test]
fn a_backup_that_cannot_be_written_leaves_the_older_one_and_nothing_else() {
    let (mut server, _) = with_one_of_each();
    let file = crate::backups::back_up(&server, "backup");
    let bytes = fs::read(&file).unwrap();
    for _ in 0..2 {
        let nowhere = server.directory().join("nowhere/backup");
        lodge(&server, &["backup", text(&nowhere)]).expect(18);
        let directory = server.data_dir();
        lodge(&server, &["backup", text(&directory)]).expect(18);
        server.kill();
    }
    assert_eq!(fs::read(&file).unwrap(), bytes);
    assert_eq!(crate::backups::entries_beginning(server.directory(), "data.unfinished").len(), 0);
}

#[test]
fn a_failed_backup_is_recorded_only_if_the_secret_may_have_left_with_it() {
    let (mut server, _) = with_one_of_each();
    server.stop();
    let nowhere = server.directory().join("nowhere/backup");
    let records = || lodge(&server, &["audit", "--action", "backups / create"]).expect(0).out.lines().count();

    lodge(&server, &["backup", text(&nowhere)]).expect(18);
    assert_eq!(records(), 0);
    lodge(&server, &["backup", text(&nowhere), "--with-secret"]).expect(18);
    assert_eq!(records(), 1);

    crate::backups::back_up(&server, "backup");
    assert_eq!(records(), 2);
}

#[test]
fn a_backup_without_the_secret_says_so_and_leaves_the_audit_log_as_it_is() {
    let mut server = Server::start();
    server.stop();
    let (file, secret) = (server.directory().join("backup"), secret_of(&server));
    let back_up = || lodge(&server, &["backup", text(&file)]).expect(0).err;

    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    let exposed = back_up();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&secret, server.directory().join("aside")).unwrap();
    let missing = back_up();
    fs::rename(server.directory().join("aside"), &secret).unwrap();

    let why = [
        format!("the secret {} can be read by others (mode 644)", secret.display()),
        format!("the secret {} is missing", secret.display()),
    ];
    for (output, why) in [exposed, missing].iter().zip(why) {
        assert!(output.contains(&format!("the audit log cannot record this: {why}")), "{output}");
    }
    lodge(&server, &["audit", "--verify"]).expect(0);
}
