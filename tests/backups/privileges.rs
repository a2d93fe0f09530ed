//! Root in another user's data directory: whose rights which file is opened with, and whose what is made is.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        net::UnixListener,
        process::CommandExt,
    },
    path::{Path, PathBuf},
    process::Command,
    sync::mpsc::{self, TryRecvError},
    thread,
};

use serde_json::Value;

use crate::{
    backups::{
        contents, lodge,
        planted::{OWNER, stopped_server_of_owner},
        text,
    },
    harness::{Server, copy_lodge, wait_until},
};

/// A directory beside the server's that only root can enter.
fn of_root(server: &Server) -> PathBuf {
    let directory = server.directory().join("root");
    fs::create_dir(&directory).unwrap();
    fs::set_permissions(&directory, fs::Permissions::from_mode(0o700)).unwrap();
    directory
}

fn owner_and_mode(path: &Path) -> (u32, u32) {
    let metadata = fs::symlink_metadata(path).unwrap();
    (metadata.uid(), metadata.mode() & 0o777)
}

/// The users whom the audit log names for what commands have done.
fn named_users(server: &Server) -> Vec<Value> {
    let printed = lodge(server, &["audit"]).expect(0).out;
    let entries = printed.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    entries.filter(|entry| entry["credential"] == "local").map(|entry| entry["system_uid"].clone()).collect()
}

#[test]
fn root_reads_and_writes_only_where_the_operator_says() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    let roots = of_root(&server);
    let [backup, secret] = ["backup", "secret"].map(|name| roots.join(name));
    let (backup, secret) = (text(&backup), text(&secret));

    lodge(&server, &["backup", backup, "--with-secret"]).expect(0);
    lodge(&server, &["restore", backup]).expect(0);
    lodge(&server, &["secret", "rotate", "--yes", "--secret-file", secret]).expect(0);
    lodge(&server, &["backup", backup, "--with-secret", "--secret-file", secret]).expect(0);
    lodge(&server, &["audit", "--verify", "--secret-file", secret]).expect(0);
    let left = lodge(&server, &["restore", backup, "--secret-file", secret]).expect(0).out;
    lodge(&server, &["verify"]).expect(0);

    assert!(left.contains("was ignored"), "{left}");
    assert_eq!(owner_and_mode(Path::new(backup)), (0, 0o600));
    assert_eq!(owner_and_mode(Path::new(secret)), (OWNER, 0o600), "the server has to read it");
    let paths = contents(&server.data_dir());
    let foreign: Vec<_> = paths.keys().filter(|path| owner_and_mode(path).0 != OWNER).collect();
    assert_eq!(foreign, [] as [&PathBuf; 0]);
    let users = named_users(&server);
    assert!(!users.is_empty() && users.iter().all(|user| user == 0), "{users:?}");
}

#[test]
fn a_named_file_in_a_directory_of_the_owner_is_opened_with_the_owners_rights() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    let roots = of_root(&server);
    let [backup, secret, link] = ["backup", "secret", "link"].map(|name| roots.join(name));
    lodge(&server, &["backup", text(&backup)]).expect(0);
    fs::copy(server.data_dir().join("secret"), &secret).unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let [planted_backup, planted_secret, inside] = ["b", "s", "i"].map(|name| server.data_dir().join(name));
    symlink(&backup, &planted_backup).unwrap();
    symlink(&secret, &planted_secret).unwrap();
    symlink(&planted_secret, &link).unwrap();

    lodge(&server, &["backup", text(&inside)]).expect(0);
    lodge(&server, &["restore", text(&planted_backup)]).expect(18);
    for leads_through_data in [&planted_secret, &link] {
        lodge(&server, &["audit", "--verify", "--secret-file", text(leads_through_data)]).expect(13);
    }

    assert_eq!(owner_and_mode(&inside), (OWNER, 0o600));
    lodge(&server, &["audit", "--verify", "--secret-file", text(&secret)]).expect(0);
}

#[test]
fn root_connects_to_no_socket_of_another_user() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    let socket = server.directory().join("socket");
    let listener = UnixListener::bind(&socket).unwrap();
    let (knocked, knocks) = mpsc::channel();
    thread::spawn(move || listener.accept().map(|_| knocked.send(())));
    let place = server.data_dir().join("lodge.sock");
    let plants: [fn(&Path, &Path); 2] =
        [|socket, place| symlink(socket, place).unwrap(), |socket, place| fs::hard_link(socket, place).unwrap()];

    for plant in plants {
        let _ = fs::remove_file(&place);
        plant(&socket, &place);
        lodge(&server, &["verify"]).expect(0);
    }

    assert_eq!(knocks.try_recv(), Err(TryRecvError::Empty));
}

#[test]
fn a_running_servers_log_names_root() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    let roots = of_root(&server);
    let program = server.directory().join("lodge");
    copy_lodge(&program);
    let mut command = Command::new(&program);
    command.env_clear().envs(server.command(&[]).get_envs().filter_map(|(name, value)| Some((name, value?))));
    let mut running = command.current_dir("/").uid(OWNER).gid(OWNER).spawn().unwrap();
    wait_until("the server runs", || lodge(&server, &["locks"]).code == Some(0));

    let backup = roots.join("backup");
    lodge(&server, &["backup", text(&backup)]).expect(0);
    let users = named_users(&server);
    running.kill().unwrap();
    running.wait().unwrap();

    assert_eq!(users.last(), Some(&0.into()), "{users:?}");
    assert_eq!(owner_and_mode(&backup), (0, 0o600));
}

#[test]
fn a_directory_that_its_owner_cannot_reach_is_refused_with_what_can_be_done() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    fs::set_permissions(server.directory(), fs::Permissions::from_mode(0o700)).unwrap();

    let output = lodge(&server, &["verify"]).expect(10).err;

    assert!(output.contains("let that user enter the directories above it"), "{output}");
}

#[test]
fn the_file_of_a_new_key_is_the_operators_and_a_password_is_read_with_the_operators_rights() {
    let Some((server, _)) = stopped_server_of_owner() else { return };
    let roots = of_root(&server);
    let [accounts, password, key] = ["accounts.toml", "password", "key"].map(|name| roots.join(name));
    fs::write(
        &accounts,
        "users = [{ username = 'eve', password_file = 'password', api_keys = [{ name = 'a', write_to = 'key' }] }]",
    )
    .unwrap();
    fs::write(&password, "a house with a view").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();

    lodge(&server, &["apply", text(&accounts)]).expect(0);

    assert_eq!(owner_and_mode(&key), (0, 0o600));
    let foreign = contents(&server.data_dir()).into_keys().find(|path| owner_and_mode(path).0 != OWNER);
    assert_eq!(foreign, None);
}
