//! What is refused changes nothing, and everything that is wrong is named at once.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use serde_json::json;

use super::{ACCOUNTS, PASSWORD, apply, running_and_stopped, write, write_password};
use crate::harness::{Server, run};

#[test]
fn a_file_that_cannot_be_read_is_refused_by_its_line_and_without_quoting_it() {
    let server = Server::start();
    let deep = "[".repeat(100_000);
    let long = format!("# {}", "x".repeat(8 << 20));
    for (contents, expected) in [
        (&b"\xff\xfeu\0s\0"[..], "it is text in UTF-16; save it as UTF-8"),
        (b"# Z\xfcrich\n", "it is not text in UTF-8"),
        (b"users = [\n{ secret = \n", "it is no TOML that can be used: "),
        (b"{\"users\": [],\n\"users\": []}", "it is no JSON that can be used: a member is given twice"),
        (b"{\"users\": [}", "it is no JSON that can be used: "),
        (b"[[users]]\nusername = 'a'\nusername = 'b'\n", "it is no TOML that can be used: "),
        (format!("users = {deep}").as_bytes(), "it is no TOML that can be used: "),
        (format!("{{\"users\": {deep}").as_bytes(), "it is no JSON that can be used: the text is nested too deep"),
        (long.as_bytes(), "it is larger than 8 MiB"),
    ] {
        let refused = apply(&server, contents, &["--dry-run"]).expect(1);
        assert!(refused.err.contains(expected), "{expected}: {}", refused.err);
        assert!(refused.err.len() < 500 && !refused.err.contains("secret"), "{}", refused.err);
    }
    let refused = apply(&server, "\n\nusers = 7 7", &[]).expect(1);
    assert!(refused.err.trim_end().ends_with("at line 3"), "{}", refused.err);
}

#[test]
fn what_is_no_file_is_refused() {
    let server = Server::start();
    let directory = server.directory().to_str().unwrap().to_owned();
    for (path, why) in
        [("/dev/zero", "not a regular file"), ("nothing", "No such file"), (&directory, "not a regular file")]
    {
        let refused = run(&mut server.command(&["apply", path])).expect(1);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    run(&mut server.command(&["apply"])).expect(2);
}

#[test]
fn a_byte_order_mark_is_no_part_of_a_file_or_a_password() {
    let server = Server::start();
    write_password(&server, "ann.password", &format!("\u{feff}{PASSWORD}\r"));
    apply(&server, format!("\u{feff}{ACCOUNTS}"), &[]).expect(0);
    server.with(&crate::harness::basic("ann", PASSWORD)).get("/users/me").expect(200);
}

#[test]
fn everything_that_the_file_has_wrong_is_named_at_once_with_its_place_and_the_nearest_name() {
    let server = Server::start();
    let file = r#"
user = 7
[[users]]
username = "ann"
password = "a house with a view"
password_file = "nothing"
isadmin = true
configurations = { theme = 7 }
api_keys = [{ name = "reader", scopes = [], api_key_scopes = ["users"], expires = 7 }, { write_to = 7 }, 7]
[[users]]
api_keys = 7
configurations = []
"#;

    let refused = apply(&server, file, &[]).expect(1);

    let mut lines: Vec<_> = refused.err.lines().skip(1).map(str::to_owned).collect();
    lines.sort();
    let mut expected = vec![
        "`user` is unknown; is `users` meant?",
        "users[0] (ann) api_keys[0] (reader): `expires` is unknown; is `expires_at` meant?",
        "users[0] (ann) api_keys[0] (reader): `scopes` is unknown",
        "users[0] (ann) api_keys[0] (reader): api_key_scopes: a scope is written as `users / index`",
        "users[0] (ann) api_keys[1]: `name` is missing",
        "users[0] (ann) api_keys[1]: `write_to` is not a text",
        "users[0] (ann) api_keys[2]: is not a table",
        "users[0] (ann): `isadmin` is unknown; is `is_admin` meant?",
        "users[0] (ann): `password` is unknown; is `password_file` meant?",
        "users[0] (ann): configurations: the value of `theme` is not a text",
        "users[0] (ann): password_file nothing: No such file or directory (os error 2)",
        "users[1]: `api_keys` is not a list",
        "users[1]: `configurations` is not a table",
        "users[1]: `username` is missing",
    ];
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert!(!refused.err.contains(PASSWORD));
}

#[test]
fn everything_that_the_server_finds_wrong_is_named_at_once_and_nothing_is_changed() {
    running_and_stopped(|server| {
        write_password(server, "short.password", "short");
        write_password(server, "name.password", "house.with-a.view");
        let file = r#"
            [[users]]
            username = "ann"
            password_file = "short.password"
            email = "nobody"
            [[users]]
            username = "bob"
            [[users]]
            username = "House.with-a.View"
            password_file = "name.password"
            [[users]]
            username = "admin"
            configurations = { ".." = "", theme = "dark" }
            api_keys = [{ name = "a", api_key_scopes = ["Users / index"] }, { name = "b" }, { name = "b" }, { name = "" }]
            [[users]]
            username = "ADMIN"
            is_admin = 7
        "#;

        let refused = apply(server, file, &["--dry-run"]).expect(1);

        let mut lines: Vec<_> = refused.err.lines().skip(1).map(str::to_owned).collect();
        lines.sort();
        let mut expected = vec![
            "users[0] (ann): Email is invalid",
            "users[0] (ann): Password is too short (minimum is 8 bytes)",
            "users[1] (bob): Password can't be blank",
            "users[2] (House.with-a.View): Password is invalid",
            "users[3] (admin) api_keys[0] (a): Api key scopes is invalid",
            "users[3] (admin) api_keys[2] (b): Name has already been taken",
            "users[3] (admin) api_keys[3] (): Name can't be blank",
            "users[3] (admin) configurations[0] (..): Key is invalid",
            "users[4] (ADMIN): Is admin is invalid",
            "users[4] (ADMIN): Username has already been taken",
        ];
        expected.sort_unstable();
        assert_eq!(lines, expected);
        apply(server, file, &[]).expect(1);
        assert_eq!(run(&mut server.command(&["configuration", "list", "--user", "admin", "--json"])).expect(0).out, "");
        assert_eq!(run(&mut server.command(&["user", "list", "--json"])).expect(0).out.lines().count(), 1);
    });
}

#[test]
fn more_records_than_an_account_may_have_are_refused() {
    let server =
        crate::harness::ServerBuilder::new().flag("--max-configurations", "2").flag("--max-api-keys", "1").start();
    let admin = server.admin();
    admin.post("/users/me/configurations", &json!({"key": "old"})).expect(201);
    let file = r#"users = [{ username = "admin", configurations = { a = "", b = "" },
        api_keys = [{ name = "a", write_to = "a.key" }, { name = "b", write_to = "b.key" }] }]"#;

    let refused = apply(&server, file, &[]).expect(1);

    let expected = "lodge: nothing was changed:\n\
        users[0] (admin) configurations[1] (b): There are too many configurations (maximum is 2)\n\
        users[0] (admin) api_keys[1] (b): There are too many API keys (maximum is 1)\n";
    assert_eq!(refused.err, expected);
    assert!(!server.directory().join("a.key").exists());
    let pruned = "users = [{ username = 'admin', configurations = { a = '', b = '' } }]";
    apply(&server, pruned, &["--prune"]).expect(0);
    assert_eq!(admin.get("/users/me/configurations").json()["count"], 2);
}

#[test]
fn a_body_beyond_the_servers_limit_is_refused_in_its_words() {
    let server = Server::start();
    let value = "x".repeat(60_000);
    let keys: Vec<_> = (0..10).map(|number| format!("k{number} = '{value}'")).collect();
    let file = format!("users = [{{ username = 'admin', configurations = {{ {} }} }}]", keys.join(", "));
    let refused = apply(&server, file, &["--dry-run"]).expect(1);
    assert_eq!(refused.err, "lodge: The body has more than 524288 bytes.\n");
}

#[test]
fn two_keys_of_one_name_are_not_told_apart_and_refused() {
    let server = Server::start();
    let admin = server.admin();
    for _ in 0..2 {
        admin.post("/users/me/api_keys", &json!({"name": "reader"})).expect(201);
    }
    let file = "users = [{ username = 'admin', api_keys = [{ name = 'reader', write_to = 'k' }] }]";
    for flags in [&[][..], &["--prune"]] {
        let refused = apply(&server, file, flags).expect(1);
        assert!(refused.err.ends_with("api_keys[0] (reader): Name has already been taken\n"), "{}", refused.err);
    }
    assert_eq!(admin.get("/users/me/api_keys").json()["count"], 2);
}

#[test]
fn a_password_in_a_file_that_others_can_read_or_that_is_none_is_refused() {
    let server = Server::start();
    write_password(&server, "ann.password", PASSWORD);
    let [exposed, link] = ["exposed", "link"].map(|name| server.directory().join(name));
    fs::write(&exposed, PASSWORD).unwrap();
    fs::set_permissions(&exposed, fs::Permissions::from_mode(0o644)).unwrap();
    symlink("/dev/zero", &link).unwrap();
    write_password(&server, "long", &"x".repeat(5_000));
    for (name, why) in [
        ("exposed", "can be read by others"),
        ("link", "it is not a regular file"),
        ("long", "it is too large to be a password"),
    ] {
        let file = format!("users = [{{ username = 'ann', password_file = '{name}' }}]");
        let refused = apply(&server, file, &[]).expect(1);
        assert!(refused.err.contains(why), "{}", refused.err);
    }
    let binary = write(&server, "binary", b"a house with \xff a view");
    fs::set_permissions(&binary, fs::Permissions::from_mode(0o600)).unwrap();
    let absolute = format!("users = [{{ username = 'ann', password_file = {binary:?} }}]");
    assert!(apply(&server, absolute, &[]).expect(1).err.contains("it is not text in UTF-8"));
}
