//! A new secret in place of one that was leaked or lost.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{
    backups::{lodge, restore::with_one_of_each, secret_of, text},
    harness::{Client, Server, basic, password_of},
};

/// A stopped server with one API key and one session, and who holds them.
fn stopped() -> (Server, Client, Client) {
    let (mut server, key) = with_one_of_each();
    let session = server.session("ann");
    assert!(server.stop().success());
    (server, key, session)
}

fn status(server: &Server, holder: &Client) -> u16 {
    server.with(holder.authorization.as_deref().unwrap()).get("/users/me").status
}

fn shown_key(server: &Server) -> String {
    let ann = server.with(&basic("ann", &password_of("ann")));
    let shown = ann.get("/users/me/api_keys").expect(200).json();
    shown["api_keys"][0]["key"].as_str().map_or_else(String::new, str::to_owned)
}

#[test]
fn without_yes_the_rotation_says_what_it_would_end_and_changes_nothing() {
    let (mut server, key, session) = stopped();
    let secret = fs::read(secret_of(&server)).unwrap();

    let output = lodge(&server, &["secret", "rotate"]).expect(1);

    assert!(output.out.contains("this would end 1 sessions"), "{}", output.out);
    assert!(output.out.contains("and API key 1 of user 2"), "{}", output.out);
    assert!(output.err.contains("nothing was changed"), "{}", output.err);
    assert_eq!(fs::read(secret_of(&server)).unwrap(), secret);
    server.start_again();
    assert_eq!([status(&server, &key), status(&server, &session)], [200, 200]);
}

#[test]
fn where_the_new_secret_cannot_be_written_nothing_ends() {
    let (mut server, key, session) = stopped();
    let places = [server.directory().join("nowhere/secret"), server.directory().join("taken")];
    fs::create_dir(&places[1]).unwrap();

    for place in &places {
        lodge(&server, &["secret", "rotate", "--yes", "--secret-file", text(place)]).expect(13);
    }

    lodge(&server, &["audit", "--verify"]).expect(0);
    server.start_again();
    assert_eq!([status(&server, &key), status(&server, &session)], [200, 200]);
}

#[test]
fn where_the_audit_log_cannot_be_sealed_nothing_ends() {
    let (mut server, key, session) = stopped();
    fs::create_dir(server.data_dir().join("audit/seal.new")).unwrap();

    lodge(&server, &["secret", "rotate", "--yes"]).expect(10);

    fs::remove_dir(server.data_dir().join("audit/seal.new")).unwrap();
    lodge(&server, &["audit", "--verify"]).expect(0);
    server.start_again();
    assert_eq!([status(&server, &key), status(&server, &session)], [200, 200]);
}

#[test]
fn earlier_entries_of_the_audit_log_are_verified_under_a_new_secret() {
    for is_lost in [false, true] {
        let (server, ..) = stopped();
        if is_lost {
            fs::remove_file(secret_of(&server)).unwrap();
        }
        for _ in 0..2 {
            lodge(&server, &["secret", "rotate", "--yes"]).expect(0);
        }
        let whole = lodge(&server, &["audit", "--verify"]).expect(0).out;
        assert!(whole.contains("earlier changes cannot be detected"), "{whole}");
        let file = server.data_dir().join("audit/audit-000000000001.jsonl");
        let text = fs::read_to_string(&file).unwrap();
        fs::write(&file, text.replacen("theme", "thyme", 1)).unwrap();

        let changed = lodge(&server, &["audit", "--verify"]).expect(1).err;

        let number = text.lines().position(|line| line.contains("theme")).unwrap() + 1;
        assert!(
            changed.contains(&format!("entry {number} in audit-000000000001.jsonl is not what was written")),
            "{changed}"
        );
    }
}

#[test]
fn the_rotation_ends_sessions_and_keys_and_leaves_passwords() {
    let (mut server, key, session) = stopped();
    let secret = fs::read(secret_of(&server)).unwrap();

    lodge(&server, &["secret", "rotate", "--yes"]).expect(0);

    let new = fs::read(secret_of(&server)).unwrap();
    assert_ne!(new, secret);
    assert_eq!(new.len(), 32);
    assert_eq!(fs::metadata(secret_of(&server)).unwrap().permissions().mode() & 0o777, 0o600);
    server.start_again();
    assert_eq!([status(&server, &key), status(&server, &session)], [401, 401]);
    assert_eq!(shown_key(&server), "");
    server.session("admin").get("/users/me").expect(200);
    server.stop();
    assert!(lodge(&server, &["verify"]).expect(0).out.contains("0 API keys"));
}

#[test]
fn keys_that_are_kept_stay_valid_and_are_shown_masked() {
    let (mut server, key, session) = stopped();
    let whole = key.authorization.clone().unwrap();

    lodge(&server, &["secret", "rotate", "--yes", "--keep-keys"]).expect(0);
    server.start_again();

    assert_eq!([status(&server, &key), status(&server, &session)], [200, 401]);
    assert_eq!(shown_key(&server), format!("lodge_********{}", &whole[whole.len() - 4..]));
    let newer = server.key("admin", &["users / show"]);
    newer.get("/users/1").expect(200);
    let admin = server.admin().get("/users/me/api_keys").expect(200).json();
    assert_eq!(admin["api_keys"][0]["key"].as_str(), newer.authorization.as_deref());
}

#[test]
fn a_lost_secret_is_replaced_and_the_server_starts() {
    let (mut server, key, session) = stopped();
    fs::remove_file(secret_of(&server)).unwrap();
    lodge(&server, &["serve"]).expect(13);

    lodge(&server, &["secret", "rotate", "--yes", "--keep-keys"]).expect(0);
    server.start_again();

    assert_eq!([status(&server, &key), status(&server, &session)], [200, 401]);
}

#[test]
fn the_secret_of_a_running_server_is_not_replaced() {
    let (server, key) = with_one_of_each();
    let secret = fs::read(secret_of(&server)).unwrap();

    lodge(&server, &["secret", "rotate", "--yes"]).expect(11);

    assert_eq!(fs::read(secret_of(&server)).unwrap(), secret);
    assert_eq!(status(&server, &key), 200);
}
