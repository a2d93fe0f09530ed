//! `lodge key`: API keys, through the socket of a running server and without one.

use serde_json::{Value, json};

use crate::harness::{CommandOutput, Server, run};

fn lodge(server: &Server, arguments: &[&str]) -> CommandOutput {
    run(&mut server.command(arguments))
}

fn json_of(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_key_is_added_rotated_without_an_outage_and_removed() {
    let server = Server::start();
    server.user("ann");
    let add = ["key", "add", "--user", "ann", "--name", "reader", "--scope", "users / show"];
    let key = lodge(&server, &add).expect(0).out.trim().to_owned();
    let me = |key: &str| server.with(&format!("Bearer {key}")).get("/users/me").status;
    assert_eq!(me(&key), 200);

    let new = lodge(&server, &["key", "rotate", "--user", "ann", "1", "--overlap", "1h"]).expect(0).out;

    assert_eq!([me(&key), me(new.trim())], [200, 200]);
    assert!(lodge(&server, &["key", "show", "--user", "ann", "1"]).expect(0).out.contains("former_value_expires_at"));
    lodge(&server, &["key", "end-former-value", "--user", "ann", "1"]).expect(0);
    assert_eq!([me(&key), me(new.trim())], [401, 200]);
    let last = lodge(&server, &["key", "rotate", "--user", "ann", "1"]).expect(0).out;
    assert_eq!([me(&key), me(new.trim()), me(last.trim())], [401, 401, 200]);
    lodge(&server, &["key", "remove", "--user", "ann", "1"]).expect(0);
    assert_eq!(me(last.trim()), 401);
    let unknown = lodge(&server, &["key", "remove", "--user", "ann", "1"]).expect(1);
    assert_eq!(unknown.err, "lodge: there is no API key 1 of ann\n");
}

#[test]
fn keys_are_listed_and_shown_masked_with_what_they_may_do_and_have_done() {
    let mut server = Server::start();
    let add = [
        &["key", "add", "--user", "admin", "--scope", "users / show", "--scope", "audit/index", "--json"][..],
        &["--expires-at", "2999-01-31T12:00:00Z", "--network", "127.0.0.0/8", "--network", "::1/128"],
    ];
    let added = json_of(&lodge(&server, &add.concat()).expect(0).out).remove(0);
    let value = added["key"].as_str().unwrap();
    server.with(&format!("Bearer {value}")).get("/users/me").expect(200);

    let shown = json_of(&lodge(&server, &["key", "show", "--user", "admin", "1", "--json"]).expect(0).out).remove(0);

    let scopes = json!([{"controller": "users", "action": "show"}, {"controller": "audit", "action": "index"}]);
    assert_eq!(shown["api_key_scopes"], scopes);
    assert_eq!(shown["allowed_networks"], json!(["127.0.0.0/8", "::1/128"]));
    assert_eq!(shown["used_scopes"][0]["controller"], "users");
    assert_eq!(shown["used_scopes"].as_array().unwrap().len(), 1);
    let text = lodge(&server, &["key", "show", "--user", "admin", "1"]).expect(0).out;
    assert!(text.contains("users / show, last used 20"), "{text}");
    server.stop();
    for arguments in [&["key", "list", "--user", "admin"][..], &["key", "show", "--user", "admin", "1"]] {
        let output = lodge(&server, arguments).expect(0).out;
        assert!(output.contains("2999-01-31T12:00:00.000Z") && !output.contains(value), "{output}");
    }
}

#[test]
fn what_the_api_refuses_of_a_key_is_refused_in_its_words() {
    let server = Server::start();
    for (arguments, code) in [
        (&["--scope", "users"][..], 2),
        (&["--scope", "us ers / index"], 1),
        (&["--scope", "users / index", "--network", "here"], 1),
        (&["--scope", "users / index", "--expires-at", "soon"], 1),
    ] {
        lodge(&server, &[&["key", "add", "--user", "admin"], arguments].concat()).expect(code);
    }
    lodge(&server, &["key", "add", "--user", "ann", "--scope", "users / index"]).expect(1);
    lodge(&server, &["key", "rotate", "--user", "admin", "1"]).expect(1);
    assert_eq!(server.admin().get("/users/me/api_keys").json()["count"], 0);
}
