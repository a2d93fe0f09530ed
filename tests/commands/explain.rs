//! `lodge explain`: who a credential stands for, and why it passes or not, with and without a running server.

use std::fs;

use serde_json::{Value, json};

use crate::{
    harness::{CommandOutput, Server, basic, password_of, run_with_input},
    http::api_keys::{Key, scopes},
};

const SOON: &str = "2100-01-01T00:00:00.000Z";
const PAST: &str = "2020-01-01T00:00:00.000Z";

fn explain(server: &Server, arguments: &[&str], token: &str) -> CommandOutput {
    run_with_input(&mut server.command(&[&["explain"], arguments].concat()), token)
}

#[track_caller]
fn explained(server: &Server, arguments: &[&str], token: &str, code: i32) -> Value {
    let output = explain(server, &[arguments, &["--json"]].concat(), token).expect(code);
    serde_json::from_str(&output.out).unwrap()
}

fn key_with(server: &Server, mut members: Value) -> Key {
    members["api_key_scopes"] = scopes(&["files / index", "media / *"]);
    Key::from_body(&server.user("ann"), &members)
}

#[test]
fn a_key_passes_with_the_scopes_that_it_has_and_lacks_others_in_the_words_of_the_403() {
    let mut server = Server::start();
    let key =
        key_with(&server, json!({"name": "ba\u{202e}ckup", "expires_at": SOON, "allowed_networks": ["10.0.0.0/8"]}));
    let id = server.id_of("ann");
    let lasting = key_with(&server, json!({}));
    let refused = lasting.client.get("/forward-auth?scope=files/index&scope=files/show").expect(403).json();
    let of_key = json!({"username": "ann", "user_id": id, "is_admin": false, "credential": "API key", "api_key_id": 1,
        "api_key_name": "ba\u{202e}ckup", "scopes": ["files/index", "media/*"], "expires_at": SOON,
        "allowed_networks": ["10.0.0.0/8"]});

    for is_running in [true, false] {
        if !is_running {
            server.stop();
        }
        let mut wanted = of_key.clone();
        wanted["passes"] = json!(true);
        let passes = ["--scope", "files/index", "--scope", "media / play"];
        assert_eq!(explained(&server, &passes, key.text(), 0), wanted, "{is_running}");
        wanted["passes"] = json!(false);
        wanted["reason"] = refused["error"].clone();
        let lacks = ["--scope", "files/index", "--scope", "files/show"];
        assert_eq!(explained(&server, &lacks, key.text(), 5), wanted, "{is_running}");
        let table = explain(&server, &["--any"], key.text()).expect(0).out;
        assert!(table.contains("api_key_name      ba\\u202eckup\n"), "{table}");
    }
    assert_eq!(refused["error"], "This API key lacks the scope files / show.");
}

#[test]
fn a_user_is_explained_as_by_a_session_or_a_password_and_the_role_counts() {
    let server = Server::start();
    let id = server.id_of("ann");
    let role = ["--any", "--role", "administrator"];
    let refused = server.user("ann").get("/forward-auth?scope=any&role=administrator").expect(403).json();

    let ann = explained(&server, &[&role[..], &["--user", "ANN"]].concat(), "", 5);
    let admin = explained(&server, &[&role[..], &["--user", "1"]].concat(), "", 0);
    let anything = explained(&server, &["--scope", "files/index", "--user", "ann"], "", 0);

    let of_ann = json!({"passes": false, "reason": refused["error"], "username": "ann", "user_id": id, "is_admin": false,
        "credential": "session or password", "scopes": ["*/*"]});
    assert_eq!(ann, of_ann);
    assert_eq!((&admin["passes"], &admin["username"]), (&json!(true), &json!("admin")));
    assert_eq!(anything["passes"], true);
    let nobody = explain(&server, &["--any", "--user", "nobody"], "").expect(1);
    assert_eq!(nobody.err, "lodge: there is no user nobody\n");
}

#[test]
fn what_is_wrong_with_a_credential_is_explained_to_the_operator() {
    let server = Server::start();
    let ann = server.user("ann");
    let id = server.id_of("ann");
    let (key, removed) = (key_with(&server, json!({})), key_with(&server, json!({})));
    ann.delete(&removed.path()).expect(204);
    let ended = key_with(&server, json!({"expires_at": PAST}));
    let session = server.session("ann");
    let authorization = session.authorization.clone().unwrap();
    let token = authorization.strip_prefix("Bearer ").unwrap();
    let reason = |token: &str| {
        let explanation = explained(&server, &["--any"], token, 5);
        (explanation["reason"].as_str().unwrap().to_owned(), explanation["user_id"].as_u64())
    };
    assert_eq!(explained(&server, &["--any"], token, 0)["credential"], "session");

    let neither = "This is neither an API key nor a session token; it may be mistyped.";
    for mistyped in [&key.text()[..75], "ann", &basic("ann", &password_of("ann")), &format!("Bearer {}", key.text())] {
        assert_eq!(reason(mistyped), (neither.to_owned(), None), "{mistyped}");
    }
    let unknown = "This server has no such API key; it may have been removed or rotated.";
    assert_eq!(reason(removed.text()), (unknown.to_owned(), None));
    assert_eq!(reason(ended.text()), ("This API key has expired.".to_owned(), Some(id)));
    session.delete("/users/sign_out").expect(204);
    let no_session = "This is the token of no session of this server; the session may have ended.";
    assert_eq!(reason(token), (no_session.to_owned(), None));
    server.admin().put(&format!("/users/{id}"), &json!({"suspended": true})).expect(200);
    assert_eq!(reason(key.text()), ("The account of this credential is suspended.".to_owned(), Some(id)));
    server.admin().put(&format!("/users/{id}"), &json!({"suspended": false, "expired_at": PAST})).expect(200);
    assert_eq!(reason(key.text()), ("The account of this credential has expired.".to_owned(), Some(id)));
    let of_account = explained(&server, &["--any", "--user", "ann"], "", 5);
    assert_eq!(of_account["reason"], "The account of this credential has expired.");
}

#[test]
fn a_key_is_read_from_the_first_line_of_a_file_or_of_standard_input() {
    let server = Server::start();
    let key = key_with(&server, json!({}));
    let file = server.directory().join("backup.key");
    fs::write(&file, format!("{}\r\nnot this\n", key.text())).unwrap();
    let path = file.to_str().unwrap();

    explain(&server, &["--any", "--key-file", path], "").expect(0);
    explain(&server, &["--any"], &format!("{}\n", key.text())).expect(0);

    let none = explain(&server, &["--any"], "\n").expect(1);
    assert_eq!(none.err, "lodge: no API key or session token was given\n");
    let missing = explain(&server, &["--any", "--key-file", &format!("{path}2")], "").expect(1);
    assert!(missing.err.contains("backup.key2 cannot be read: "), "{}", missing.err);
    fs::remove_file(file).unwrap();
}

#[test]
fn what_cannot_be_meant_is_a_mistake_in_the_flags() {
    let server = Server::start();
    for arguments in [
        &[][..],
        &["--role", "administrator"],
        &["--scope", "files"],
        &["--scope", "Files/index"],
        &["--scope", "files/index", "--any"],
        &["--any", "--role", "admin"],
        &["--any", "--user", "ann", "--key-file", "x"],
    ] {
        explain(&server, arguments, "").expect(2);
    }
}

#[test]
fn explaining_is_no_use_of_the_credential_and_leaves_no_entry() {
    let server = Server::start();
    let key = key_with(&server, json!({}));
    let count = || server.admin().get("/audit").expect(200).json()["count"].clone();
    let before = count();

    explain(&server, &["--scope", "files/index"], key.text()).expect(0);
    explain(&server, &["--scope", "files/show"], key.text()).expect(5);

    let usage = server.user("ann").get(&format!("{}/usage", key.path())).expect(200).json();
    assert_eq!((usage["api_key_scopes"].clone(), usage.get("last_used_at")), (json!([]), None));
    assert_eq!(count(), before);
}
