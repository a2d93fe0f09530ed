//! `lodge session` and `lodge configuration`: what belongs to a user.

use serde_json::{Value, json};

use crate::harness::{CommandOutput, Server, basic, password_of, run_with_input};

fn lodge(server: &Server, arguments: &[&str], input: &str) -> CommandOutput {
    run_with_input(&mut server.command(arguments), input)
}

fn json_of(output: &str) -> Vec<Value> {
    output.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn it_is_seen_who_is_signed_in_and_a_session_is_ended() {
    let mut server = Server::start();
    let (ann, again, admin) = (server.session("ann"), server.session("ann"), server.session("admin"));
    let list = |server: &Server, of: &[&str]| {
        let output = lodge(server, &[&["session", "list", "--json"], of].concat(), "").expect(0);
        json_of(&output.out)
    };
    let sessions = list(&server, &[]);
    assert_eq!(sessions.iter().map(|session| &session["username"]).collect::<Vec<_>>(), ["admin", "ann", "ann"]);
    assert_eq!(sessions[1]["address"], "127.0.0.1");
    let table = lodge(&server, &["session", "list", "--user", "ann"], "").expect(0).out;
    assert_eq!(table.lines().count(), 3, "{table}");

    let first = list(&server, &["--user", "ann"])[0]["id"].as_str().unwrap().to_owned();
    lodge(&server, &["session", "end", "--user", "ann", &first], "").expect(0);

    ann.get("/users/me").expect(401);
    again.get("/users/me").expect(200);
    let unknown = lodge(&server, &["session", "end", "--user", "admin", &first], "").expect(1);
    assert_eq!(unknown.err, format!("lodge: there is no session {first} of admin\n"));
    let odd = lodge(&server, &["session", "end", "--user", "ann", "x?y#z"], "").expect(1);
    assert_eq!(odd.err, "lodge: there is no session x?y#z of ann\n");
    lodge(&server, &["session", "end", "--user", "ann"], "").expect(2);
    server.stop();
    lodge(&server, &["session", "end", "--user", "ann", "--all"], "").expect(0);
    assert_eq!(list(&server, &["--user", "ann"]), Vec::<Value>::new());
    server.start_again();
    assert_eq!(list(&server, &[]).len(), 1, "{}", admin.authorization.is_some());
}

#[test]
fn configurations_are_set_read_and_unset_by_any_key() {
    let mut server = Server::start();
    server.user("ann");
    for is_running in [true, false] {
        if !is_running {
            server.stop();
        }
        for key in ["theme", "a/b c?", "7", "..x"] {
            for value in ["dark", "light\u{1b}[31m"] {
                lodge(&server, &["configuration", "set", "--user", "ann", key, value], "").expect(0);
                let get = ["configuration", "get", "--user", "ann", key, "--json"];
                let read = json_of(&lodge(&server, &get, "").expect(0).out);
                assert_eq!((&read[0]["key"], &read[0]["value"]), (&json!(key), &json!(value)));
            }
            let shown = lodge(&server, &["configuration", "get", "--user", "ann", key], "").expect(0).out;
            assert_eq!(shown, "light\\u001b[31m\n");
        }
        let list = lodge(&server, &["configuration", "list", "--user", "ann", "--json"], "").expect(0).out;
        assert_eq!(json_of(&list).len(), 4);
        for key in ["theme", "a/b c?", "7", "..x"] {
            lodge(&server, &["configuration", "unset", "--user", "ann", key], "").expect(0);
            let unset = lodge(&server, &["configuration", "unset", "--user", "ann", key], "").expect(1);
            assert_eq!(unset.err, format!("lodge: there is no configuration {key} of ann\n"));
        }
    }
}

#[test]
fn a_value_without_an_argument_is_all_of_standard_input_and_never_a_part_of_it() {
    let server = Server::start();
    let set = ["configuration", "set", "--user", "admin", "logo"];
    let longest = "x".repeat(64 << 10);

    lodge(&server, &set, "two\nlines\n").expect(0);
    let stored = server.admin().get("/users/me/configurations/logo").json();
    lodge(&server, &set, &longest).expect(0);
    let refused = lodge(&server, &set, &format!("{longest}xyz")).expect(1);

    assert_eq!(stored["value"], "two\nlines\n");
    assert!(refused.err.starts_with("lodge: Value is too long"), "{}", refused.err);
    assert_eq!(server.admin().get("/users/me/configurations/logo").json()["value"], longest);
}

#[test]
fn lists_have_every_item_once_however_many_pages_they_take() {
    let server = Server::start();
    for number in 0..41 {
        let body = json!({"key": format!("key {number}"), "value": "x"});
        server.user("ann").post("/users/me/configurations", &body).expect(201);
    }
    let list = lodge(&server, &["configuration", "list", "--user", "ann", "--json"], "").expect(0).out;
    let ids: Vec<_> = json_of(&list).iter().map(|configuration| configuration["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=41).collect::<Vec<_>>());
    server.with(&basic("ann", &password_of("ann"))).get("/users/me").expect(200);
}
