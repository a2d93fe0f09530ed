//! The local door through which commands reach a running server.

use std::{
    env, fs,
    io::{Read, Write},
    net::Shutdown,
    os::unix::{fs::PermissionsExt, net::UnixStream, process::CommandExt},
    path::Path,
    process::Command,
};

use tempfile::TempDir;

use crate::{
    backups::{lodge, run, text, usernames},
    harness::{Server, ServerBuilder, copy_lodge},
};

/// Everything the door answers to these bytes.
fn asked(server: &Server, question: &[u8]) -> Vec<u8> {
    let mut stream = UnixStream::connect(server.data_dir().join("door")).unwrap();
    stream.write_all(question).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap();
    answer
}

#[test]
fn the_door_is_its_owners_alone() {
    let server = Server::start();
    let mode = fs::metadata(server.data_dir().join("door")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_question_that_is_not_known_gets_a_sentence() {
    let server = Server::start();
    for question in [
        &b"\"dance\"\n"[..],
        b"\n",
        b"",
        b"{\"backup\":{}}\n",
        b"{\"clear_locks\":{\"address\":\"x\"}}\n",
        &[0xff; 4096],
    ] {
        let answer = asked(&server, question);
        let (head, sentence) = answer.split_at(5);
        assert_eq!(head[0], b'e');
        assert_eq!(u32::from_be_bytes(head[1..].try_into().unwrap()) as usize, sentence.len());
        assert!(String::from_utf8_lossy(sentence).contains("does not know that question"));
    }
    assert_eq!(usernames(&server), ["admin"]);
}

#[test]
fn visitors_who_say_nothing_leave_room_for_the_next_once_they_go() {
    let server = Server::start();
    let connect = || UnixStream::connect(server.data_dir().join("door")).unwrap();
    let silent: Vec<_> = (0..20).map(|_| connect()).collect();
    assert_eq!(usernames(&server), ["admin"]);
    drop(silent);
    crate::harness::wait_until("the door has room again", || lodge(&server, &["verify"]).code == Some(0));
}

#[test]
fn a_server_in_a_directory_with_a_very_long_name_has_a_door_too() {
    let builder = ServerBuilder::new();
    let long = builder.data_dir().with_file_name("x".repeat(120));
    let file = builder.data_dir().with_file_name("backup");
    let server = builder.variable("LODGE_DATA_DIR", text(&long)).start();

    let said = lodge(&server, &["backup", text(&file)]).expect(0);

    assert!(said.out.contains("backed up 1 records"), "{}", said.out);
    assert!(long.join("door").exists());
    lodge(&server, &["verify"]).expect(0);
    run(&mut server.command(&["restore", text(&file)])).expect(11);
}

#[test]
fn a_backup_is_told_though_whoever_asked_for_it_has_gone() {
    let server = Server::start();
    let mut stream = UnixStream::connect(server.data_dir().join("door")).unwrap();
    stream.shutdown(Shutdown::Read).unwrap();
    stream.write_all(b"{\"backup\":{\"with_secret\":true}}\n").unwrap();

    crate::harness::wait_until("the backup is told", || {
        let told = lodge(&server, &["audit", "--action", "backups / create"]).expect(0).out;
        told.lines().count() == 1 && told.contains("with the server's secret")
    });
}

/// The user `nobody` nearly everywhere; that somebody has the id is not needed.
const FOREIGN_UID: u32 = 65_534;

#[test]
fn nobody_but_root_and_the_servers_own_user_is_let_in() {
    if !rustix::process::geteuid().is_root() {
        assert!(env::var_os("LODGE_TEST_EVERYTHING").is_none(), "only root can come as somebody else");
        eprintln!("left out: visitors of the local door who are somebody else: this is not root");
        return;
    }
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    let place = TempDir::new().unwrap();
    let lodge = place.path().join("lodge");
    copy_lodge(&lodge);
    // Whatever the modes of the files, the peer is looked at.
    let server = Server::start();
    for path in [place.path(), server.directory(), &server.data_dir(), &server.data_dir().join("door")] {
        open(path);
    }
    let backup_by = |uid: u32| {
        let mut command = Command::new(&lodge);
        let file = place.path().join(format!("backup of {uid}"));
        run(command.args(["backup", "--data-dir", text(&server.data_dir()), text(&file)]).env_clear().uid(uid))
    };

    assert_eq!(backup_by(FOREIGN_UID).code, Some(18));
    assert_eq!(fs::read_dir(place.path()).unwrap().count(), 1, "no backup was begun");
    backup_by(0).expect(0);
}
