//! A backup in place of the store.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt, chown},
    path::Path,
};

use serde_json::json;

use crate::{
    backups::{
        back_up,
        container::{container, lines, text as unpacked},
        contents, entries_beginning, lodge, restored, run, secret_of, store_of, text, usernames,
    },
    harness::{Client, Server, ServerBuilder, basic, is_root, older::make_older, password_of},
};

/// Whose the directory is that root restores into: `nobody`.
const OWNER: u32 = 65_534;

/// A running server with the user `ann`, who has a configuration and this API key.
pub fn with_one_of_each() -> (Server, Client) {
    let server = Server::start();
    server.user("ann").post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);
    let key = server.key("ann", &["users / show", "api_keys / index", "api_keys / show"]);
    (server, key)
}

/// Restores into the server's own directory, and starts it again.
#[track_caller]
fn restore_and_start(server: &mut Server, file: &Path) -> String {
    assert!(server.stop().success());
    let output = lodge(server, &["restore", text(file)]).expect(0);
    server.start_again();
    output.out
}

#[test]
fn the_old_store_is_kept_beside_the_restored_one() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    server.user("bob");

    let output = restore_and_start(&mut server, &file);

    assert_eq!(usernames(&server), ["admin", "ann"]);
    let kept = entries_beginning(&server.data_dir(), "store.replaced-");
    assert_eq!(kept.len(), 1);
    assert!(output.contains(text(&kept[0])), "{output}");
    assert!(!server.data_dir().join("store.new").exists());
    server.stop();
    fs::remove_dir_all(store_of(&server)).unwrap();
    fs::rename(&kept[0], store_of(&server)).unwrap();
    server.start_again();
    assert_eq!(usernames(&server), ["admin", "ann", "bob"]);
}

/// The status of an account that a restricted key of the administrator's makes.
fn made_by_restricted_key(server: &Server, username: &str, user_id: u32) -> u16 {
    let body = json!({"username": username, "password": "a long and fine one", "user_id": user_id});
    server.key("admin", &["users / create"]).post("/users", &body).status
}

/// Makes an account, and removes it.
fn make_and_remove(server: &Server, username: &str, user_id: u32) {
    let body = json!({"username": username, "password": "a long and fine one", "user_id": user_id});
    let id = server.admin().post("/users", &body).expect(201).id();
    server.admin().delete(&format!("/users/{id}")).expect(204);
}

#[test]
fn names_and_ids_that_accounts_had_are_in_the_backup() {
    let (server, _) = with_one_of_each();
    make_and_remove(&server, "eve", 1001);

    let file = back_up(&server, "backup");
    let restored = restored(&file, &secret_of(&server));

    assert!(!unpacked(&file).contains("eve"));
    let statuses = [("eve", 1009), ("zoe", 1001), ("ann", 1009), ("zoe", 1009)];
    assert_eq!(statuses.map(|(name, id)| made_by_restricted_key(&restored, name, id)), [422, 422, 422, 201]);
}

#[test]
fn names_and_ids_that_accounts_of_the_replaced_store_have_or_had_are_not_forgotten() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    make_and_remove(&server, "eve", 1001);
    let kim = json!({"username": "kim", "password": "a long and fine one", "user_id": 1002});
    server.admin().post("/users", &kim).expect(201);

    restore_and_start(&mut server, &file);

    let statuses = [("eve", 1009), ("zoe", 1001), ("kim", 1009), ("zoe", 1002), ("zoe", 1009)];
    assert_eq!(statuses.map(|(name, id)| made_by_restricted_key(&server, name, id)), [422, 422, 422, 422, 201]);
    assert!(server.stop().success());
    lodge(&server, &["verify"]).expect(0);
}

#[test]
fn an_account_keeps_its_end_its_source_and_its_suspension() {
    let (server, _) = with_one_of_each();
    let path = format!("/users/{}", server.id_of("ann"));
    let newer = json!({"expired_at": "2300-01-01T00:00:00Z", "source_type": "cli_ldap", "suspended": true});
    let before = server.admin().put(&path, &newer).expect(200).json();

    let restored = restored(&back_up(&server, "backup"), &secret_of(&server));

    assert_eq!(restored.admin().get(&path).expect(200).json(), before);
}

#[test]
fn a_configuration_whose_key_is_a_dot_segment_is_restored_and_can_be_read() {
    let (server, _) = with_one_of_each();
    let mut lines = lines(&back_up(&server, "backup"));
    let stored = lines.iter_mut().find(|line| line.get("configuration").is_some()).unwrap();
    stored["configuration"]["key"] = json!("..");
    let file = server.directory().join("older.backup");
    fs::write(&file, container(&lines)).unwrap();

    let restored = restored(&file, &secret_of(&server));

    let ann = restored.with(&basic("ann", &password_of("ann")));
    let theme = json!({"id": 1, "key": "..", "value": "dark"});
    assert_eq!(ann.get("/users/me/configurations/%2E%2E").expect(200).json(), theme);
    assert_eq!(ann.get("/users/me/configurations").expect(200).json()["configurations"], json!([theme]));
    ann.put("/users/me/configurations/1", &json!({"key": ".."})).expect(422);
    let renamed = ann.put("/users/me/configurations/%2E%2E", &json!({"key": "theme"})).expect(200).json();
    assert_eq!(renamed["key"], "theme");
}

#[test]
fn ids_continue_from_the_higher_of_both_stores() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    let theirs = |server: &Server, name: &str| {
        let owner = server.user(name);
        let configuration = owner.post("/users/me/configurations", &json!({"key": "a", "value": "b"})).expect(201).id();
        let scopes = json!({"api_key_scopes": [{"controller": "users", "action": "show"}]});
        [server.id_of(name), configuration, owner.post("/users/me/api_keys", &scopes).expect(201).id()]
    };
    let [user, configuration, api_key] = theirs(&server, "bob");
    server.admin().delete(&format!("/users/{user}")).expect(204);
    server.admin().delete("/users/2").expect(204);

    restore_and_start(&mut server, &file);

    assert_eq!(theirs(&server, "cid"), [user + 1, configuration + 1, api_key + 1]);
    let newer = back_up(&server, "newer");
    let older = restored(&newer, &secret_of(&server));
    assert_eq!(theirs(&older, "dot"), [user + 2, configuration + 2, api_key + 2]);
}

#[test]
fn ids_continue_from_the_witness_when_a_store_of_an_older_format_is_gone() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    let bob = server.id_of("bob");
    server.admin().delete(&format!("/users/{bob}")).expect(204);
    server.stop();
    make_older(&store_of(&server), |_| {});
    fs::remove_file(store_of(&server).join("db")).unwrap();

    let output = lodge(&server, &["restore", text(&file)]).expect(0);
    server.start_again();

    assert!(output.out.contains("could not be read"), "{}", output.out);
    assert_eq!(server.id_of("cid"), bob + 1);
}

#[test]
fn ids_continue_after_those_of_a_store_whose_index_is_gone() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    let bob = server.id_of("bob");
    server.admin().delete(&format!("/users/{bob}")).expect(204);
    server.stop();
    fs::remove_dir_all(store_of(&server).join("index")).unwrap();

    let output = lodge(&server, &["restore", text(&file)]).expect(0);
    server.start_again();

    assert!(!output.out.contains("could not be read"), "{}", output.out);
    assert_eq!(server.id_of("cid"), bob + 1);
}

#[test]
fn keys_that_were_destroyed_since_the_backup_are_listed() {
    let (mut server, key) = with_one_of_each();
    let file = back_up(&server, "backup");
    let unchanged = back_up(&server, "unchanged");
    let lasting = restore_and_start(&mut server, &unchanged);
    server.user("ann").delete("/users/me/api_keys/1").expect(204);

    let output = restore_and_start(&mut server, &file);

    assert!(!lasting.contains("valid again"), "{lasting}");
    assert!(output.contains("these API keys, which the replaced store did not have, are valid again"), "{output}");
    assert!(output.contains("API key 1 of user 2"), "{output}");
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
}

#[test]
fn nothing_is_restored_while_a_server_uses_the_directory() {
    let (server, _) = with_one_of_each();
    let file = back_up(&server, "backup");

    let output = lodge(&server, &["restore", text(&file)]).expect(11);

    assert!(output.err.contains("another lodge is using the data directory"), "{}", output.err);
    assert_eq!(entries_beginning(&server.data_dir(), "store."), Vec::<std::path::PathBuf>::new());
    assert_eq!(usernames(&server), ["admin", "ann"]);
}

#[test]
fn nothing_is_restored_under_a_server_whose_lock_was_removed() {
    let (server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    fs::remove_file(server.data_dir().join("lock")).unwrap();

    let output = lodge(&server, &["restore", text(&file)]).expect(11);

    assert!(output.err.contains("another lodge is using the store"), "{}", output.err);
    assert_eq!(entries_beginning(&server.data_dir(), "store."), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_missing_secret_is_restored_from_the_backup_and_an_existing_one_is_kept() {
    let (mut server, key) = with_one_of_each();
    let file = server.directory().join("with-secret");
    lodge(&server, &["backup", text(&file), "--with-secret"]).expect(0);
    server.stop();
    let secret = fs::read(secret_of(&server)).unwrap();

    fs::remove_file(secret_of(&server)).unwrap();
    let taken = lodge(&server, &["restore", text(&file)]).expect(0);
    assert!(taken.out.contains("the secret of the backup was saved in"), "{}", taken.out);
    assert_eq!(fs::read(secret_of(&server)).unwrap(), secret);
    assert_eq!(fs::metadata(secret_of(&server)).unwrap().permissions().mode() & 0o777, 0o600);

    fs::write(secret_of(&server), [7; 32]).unwrap();
    let left = lodge(&server, &["restore", text(&file)]).expect(0);
    assert!(left.out.contains("was ignored"), "{}", left.out);
    assert_eq!(fs::read(secret_of(&server)).unwrap(), [7; 32]);

    fs::write(secret_of(&server), &secret).unwrap();
    server.start_again();
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
}

#[test]
fn without_any_secret_the_restore_says_how_to_go_on() {
    let (server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    let builder = ServerBuilder::new();

    let output = run(&mut builder.command(&["restore", text(&file)])).expect(0);

    assert!(output.out.contains("lodge secret rotate"), "{}", output.out);
    run(&mut builder.command(&["serve"])).expect(13);
    run(&mut builder.command(&["secret", "rotate", "--yes"])).expect(0);
    assert_eq!(usernames(&builder.start()), ["admin", "ann"]);
}

#[test]
fn files_that_root_writes_in_a_directory_belong_to_its_owner() {
    if !is_root("root in another user's directory") {
        return;
    }
    let (mut server, _) = with_one_of_each();
    let file = server.directory().join("backup");
    lodge(&server, &["backup", text(&file), "--with-secret"]).expect(0);
    server.stop();
    fs::remove_file(secret_of(&server)).unwrap();
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o755)).unwrap();
    let give = || contents(&server.data_dir()).keys().for_each(|path| chown(path, Some(OWNER), Some(OWNER)).unwrap());
    let commands: [&[&str]; 5] = [
        &["verify"],
        &["backup", "another"],
        &["restore", text(&file)],
        &["secret", "rotate"],
        &["secret", "rotate", "--yes"],
    ];
    let mut foreign = Vec::new();
    for command in commands {
        give();
        lodge(&server, command);
        let paths = contents(&server.data_dir());
        let of_root = paths.keys().filter(|path| fs::symlink_metadata(path).unwrap().uid() != OWNER);
        foreign.extend(of_root.map(|path| (command.join(" "), path.clone())));
    }
    assert_eq!(foreign, []);
}

#[test]
fn leftovers_of_an_interrupted_restore_are_harmless() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    server.user("bob");
    server.stop();
    let beside = server.data_dir().join("store.new");
    fs::create_dir(&beside).unwrap();
    fs::write(beside.join("db"), "half of it").unwrap();
    server.start_again();
    assert_eq!(usernames(&server), ["admin", "ann", "bob"]);

    restore_and_start(&mut server, &file);

    assert_eq!(usernames(&server), ["admin", "ann"]);
    assert!(!beside.exists());
}

#[test]
fn a_restore_that_was_interrupted_between_its_renames_is_detected() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    server.stop();
    let kept = server.data_dir().join("store.replaced-2026-01-01T00-00-00Z");
    fs::rename(store_of(&server), &kept).unwrap();

    let output = lodge(&server, &["serve"]).expect(10);

    assert!(output.err.contains("a restore was interrupted"), "{}", output.err);
    assert!(output.err.contains(text(&kept)), "{}", output.err);
    assert!(!store_of(&server).exists());
    lodge(&server, &["restore", text(&file)]).expect(0);
    server.start_again();
    assert_eq!(usernames(&server), ["admin", "ann"]);
    assert!(kept.exists());
}

/// A backup of version 1 with its secret: of `admin` and of `Ann`, who has a setting and the key below.
const OF_VERSION_1: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/backup-version-1");
const KEY_OF_ANN: &str = "lodge_fE6k2kfKRnSve7nYFD-0CuAs0Kjv6mQRvPzm4hyEELLMPLds_zBArIxjeluQm7zVKCrlUA";

#[test]
fn a_backup_of_version_1_is_restored() {
    let builder = ServerBuilder::new();
    run(&mut builder.command(&["restore", OF_VERSION_1])).expect(0);
    let server = builder.start();

    let ann = server.with(&basic("ann", "a house with a view"));
    let account = server.with(KEY_OF_ANN).get("/users/me").expect(200).json();
    assert_eq!(account, ann.get("/users/2").expect(200).json());
    assert_eq!(
        account,
        json!({
            "id": 2, "user_id": 1000, "group_id": 1000, "username": "Ann", "email": "ann@example.org", "is_admin": false,
            "created_at": "2026-11-23T23:32:26.517Z", "updated_at": "2026-11-23T23:32:26.517Z",
        })
    );
    let configuration = ann.get("/users/me/configurations/th%C3%A8me%2F1").expect(200).json();
    assert_eq!(configuration, json!({"id": 1, "key": "thème/1", "value": "dark\n\0"}));
    let scopes = json!([{"controller": "users", "action": "show"}, {"controller": "files", "action": "*"}]);
    let key = json!({"id": 1, "key": KEY_OF_ANN, "name": "reader", "api_key_scopes": scopes});
    assert_eq!(ann.get("/users/me/api_keys/1").expect(200).json(), key);
    let admin = server.with(&basic("admin", "the golden administrator"));
    let bob = json!({"username": "bob", "password": "a garden with a gate"});
    assert_eq!(admin.post("/users", &bob).expect(201).json()["id"], 3);
}
