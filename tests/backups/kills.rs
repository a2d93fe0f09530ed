//! Restores, backups and starts that are killed at any moment.

use std::{
    fs,
    os::unix::fs::MetadataExt,
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    backups::{back_up, entries_beginning, lodge, restore::with_one_of_each, run_and_kill, store_of, text, usernames},
    harness::{Server, repetitions, wait_until},
};

/// How often each is killed, unless `LODGE_TEST_KILLS` is set.
const KILLS: usize = 3;

fn kills() -> usize {
    repetitions("LODGE_TEST_KILLS", KILLS)
}

/// Starts a restore and kills it as soon as another store is in place.
fn run_and_kill_at_the_switch(server: &Server, restore: &mut Command) {
    let present = || fs::metadata(store_of(server)).map_or(0, |store| store.ino());
    let before = present();
    let mut child = restore.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_until("another store is in place", || present() != before);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[track_caller]
fn is_sound(server: &Server) {
    let output = lodge(server, &["verify"]).expect(0);
    assert!(output.out.contains("the store is consistent"), "{}", output.out);
}

#[test]
fn a_restore_that_is_killed_leaves_the_old_store_or_the_new_one() {
    let (mut server, _) = with_one_of_each();
    let files = [back_up(&server, "without"), {
        server.user("bob");
        back_up(&server, "with")
    }];
    let holdings = [vec!["admin", "ann"], vec!["admin", "ann", "bob"]];
    assert!(server.stop().success());
    let begun = Instant::now();
    lodge(&server, &["restore", text(&files[1])]).expect(0);
    let takes = begun.elapsed();

    let mut ends = [0, 0];
    let mut present = 1;
    for round in 0..kills() {
        let wanted = 1 - present;
        // Half of the kills come at any moment, half of them as soon as the new store is in place.
        let mut command = server.command(&["restore", text(&files[wanted])]);
        if round % 2 == 0 {
            run_and_kill(&mut command, takes);
        } else {
            run_and_kill_at_the_switch(&server, &mut command);
        }
        server.start_again();
        let users = usernames(&server);
        assert!(holdings.iter().any(|holding| *holding == users), "{users:?}");
        ends[usize::from(users == holdings[wanted])] += 1;
        present = if users == holdings[wanted] { wanted } else { present };
        is_sound(&server);
        assert!(server.stop().success());
        is_sound(&server);
    }
    assert!(
        kills() < 2 || ends.iter().all(|count| *count > 0),
        "all kills were before the switch or after it: {ends:?}"
    );
}

#[test]
fn a_restore_that_is_killed_at_the_switch_keeps_the_old_store() {
    let (mut server, _) = with_one_of_each();
    let file = back_up(&server, "backup");
    assert!(server.stop().success());
    let kept = || entries_beginning(&server.data_dir(), "store.replaced-").len();
    for _ in 0..kills() {
        let before = kept();
        run_and_kill_at_the_switch(&server, &mut server.command(&["restore", text(&file)]));
        lodge(&server, &["restore", text(&file)]).expect(0);
        assert_eq!(kept(), before + 2, "both replaced stores are kept");
    }
}

#[test]
fn a_backup_that_is_killed_leaves_the_older_file_whole() {
    let (mut server, _) = with_one_of_each();
    let file = server.directory().join("backup");
    for round in 0..kills() {
        let begun = Instant::now();
        lodge(&server, &["backup", text(&server.directory().join("other"))]).expect(0);
        run_and_kill(&mut server.command(&["backup", text(&file)]), begun.elapsed());
        if file.exists() {
            lodge::backup::check(&file).unwrap();
        }
        if round == kills() / 2 {
            assert!(server.stop().success());
        }
    }
    back_up(&server, "backup");
    assert!(!server.directory().join("backup.unfinished").exists());
    is_sound(&server);
}

#[test]
fn a_start_that_is_killed_loses_nothing() {
    let (mut server, _) = with_one_of_each();
    for _ in 0..kills() {
        assert!(server.stop().success());
        let begun = Instant::now();
        server.start_again();
        let takes = begun.elapsed();
        server.kill();
        run_and_kill(&mut server.command(&["serve"]), takes);
        server.start_again();
        assert_eq!(usernames(&server), ["admin", "ann"]);
    }
    assert!(server.stop().success());
    is_sound(&server);
}

#[test]
fn a_first_start_that_is_killed_is_done_again() {
    let mut server = Server::start();
    for _ in 0..kills() {
        let begun = Instant::now();
        server.kill();
        fs::remove_dir_all(server.data_dir()).unwrap();
        server.start_again();
        let takes = begun.elapsed();
        server.kill();
        fs::remove_dir_all(server.data_dir()).unwrap();
        run_and_kill(&mut server.command(&["serve"]), takes);
        server.start_again();
        assert_eq!(usernames(&server), ["admin"]);
    }
}

#[test]
fn a_server_that_is_stopped_as_soon_as_it_listens_stops_in_order() {
    let mut server = Server::start();
    for _ in 0..kills() {
        let status = server.stop();
        assert!(status.success(), "{status}");
        server.start_again();
    }
}
