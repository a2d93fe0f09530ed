//! The files for the values of new API keys.

use std::{fs, io::Write, process::Command};

use serde_json::json;

use super::{apply, audited, mode, running_and_stopped, write};
use crate::{
    disks::disk::{Disk, is_equipped},
    harness::{Server, run},
};

/// A file with two new keys of the administrator's.
fn two_keys(first: &str, second: &str) -> String {
    let key = |name: &str, path: &str| format!("{{ name = '{name}', write_to = '{path}' }}");
    format!("users = [{{ username = 'admin', api_keys = [{}, {}] }}]", key("a", first), key("b", second))
}

#[test]
fn a_file_that_is_there_or_cannot_be_made_stops_everything_before_it_begins() {
    running_and_stopped(|server| {
        write(server, "there", "mine");
        for (first, second, why) in [
            ("a.key", "there", "File exists"),
            ("a.key", "missing/b.key", "No such file or directory"),
            ("a.key", "a.key", "File exists"),
            ("a.key", "data", "File exists"),
        ] {
            let refused = apply(server, two_keys(first, second), &[]).expect(1);
            assert!(refused.err.starts_with("lodge: nothing was changed:\n"), "{}", refused.err);
            assert!(refused.err.contains("users[0] (admin) api_keys[1] (b): write_to "), "{}", refused.err);
            assert!(refused.err.contains(why), "{}", refused.err);
            assert!(!server.directory().join("a.key").exists(), "what was written is removed");
        }
        let refused = apply(server, two_keys("there", "data"), &[]).expect(1);
        assert_eq!(refused.err.matches("File exists").count() + refused.err.matches("already exists").count(), 2);
        let none = "users = [{ username = 'admin', api_keys = [{ name = 'a' }] }]";
        let refused = apply(server, none, &[]).expect(1);
        let expected = "users[0] (admin) api_keys[0] (a): `write_to` is missing, for the value of this new key\n";
        assert!(refused.err.ends_with(expected), "{}", refused.err);
        assert_eq!(fs::read_to_string(server.directory().join("there")).unwrap(), "mine");
        assert_eq!(audited(server), []);
    });
}

#[test]
fn a_full_disk_below_the_files_stops_everything_before_it_begins() {
    if !is_equipped("files of keys on a full disk", &["mount", "umount"]) {
        return;
    }
    let (server, disk) = (Server::start(), Disk::memory(64 << 10));
    let mut filler = fs::File::create(disk.path().join("filler")).unwrap();
    while filler.write_all(&[0; 1024]).is_ok() {}
    let file = two_keys("a.key", disk.path().join("b.key").to_str().unwrap());

    let refused = apply(&server, &file, &[]).expect(1);

    assert!(refused.err.contains("No space left on device"), "{}", refused.err);
    assert!(!server.directory().join("a.key").exists() && !disk.path().join("b.key").exists());
    assert_eq!(server.admin().get("/users/me/api_keys").json()["count"], 0);
    drop(filler);
    fs::remove_file(disk.path().join("filler")).unwrap();
    apply(&server, &file, &[]).expect(0);
    let value = fs::read_to_string(disk.path().join("b.key")).unwrap();
    server.with(value.trim()).get("/users/me/api_key").expect(200);
}

#[test]
fn a_key_is_made_with_the_value_of_a_dry_run_alone() {
    let server = Server::start();
    let (local, admin) = (server.local(), server.admin());
    let with =
        |key: &serde_json::Value| json!({"users": [{"username": "admin", "api_keys": [{"name": "a", "key": key}]}]});
    let without = json!({"users": [{"username": "admin", "api_keys": [{"name": "a"}]}]});

    let planned = local.post("/apply?dry_run=true", &without).expect(200).json();
    let refused = |body: &serde_json::Value| local.post("/apply", body).expect(422).json()["messages"].clone();

    let value = &planned["changes"][0]["key"];
    let place = "users[0] (admin) api_keys[0] (a): Key";
    assert_eq!(refused(&without), json!([format!("{place} can't be blank")]));
    let foreign = Server::start().admin().post("/users/me/api_keys", &json!({})).expect(201).json()["key"].clone();
    for wrong in [json!("lodge_nonsense"), foreign] {
        assert_eq!(refused(&with(&wrong)), json!([format!("{place} is invalid")]));
    }
    let other = admin.post("/users/me/api_keys", &json!({})).expect(201).json()["key"].clone();
    assert_eq!(refused(&with(&other)), json!([format!("{place} has already been taken")]));
    let twice = json!({"users": [{"username": "admin",
        "api_keys": [{"name": "a", "key": value}, {"name": "b", "key": value}]}]});
    let second = "users[0] (admin) api_keys[1] (b): Key has already been taken";
    assert_eq!(refused(&twice), json!([second]));
    local.post("/apply", &with(value)).expect(200);
    server.with(value.as_str().unwrap()).get("/users/me/api_key").expect(200);
}

#[test]
fn the_file_of_a_key_is_its_owners_alone_whatever_the_umask_is() {
    let server = Server::start();
    let path = write(&server, "accounts.toml", two_keys("a.key", "b.key"));
    let lodge = server.command(&["apply", path.to_str().unwrap()]);
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(lodge.get_program()).args(lodge.get_args());
    let variables = lodge.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.env_clear().envs(variables).current_dir(server.directory());

    run(&mut shell).expect(0);

    assert_eq!(["a.key", "b.key"].map(|name| mode(&server.directory().join(name))), [0o600; 2]);
}
