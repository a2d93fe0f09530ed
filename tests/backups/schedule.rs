//! Backups that the server makes by itself.

use std::{collections::BTreeSet, fs, path::PathBuf};

use serde_json::Value;

use crate::{
    backups::{
        container::{lines, of_kind},
        entries_beginning, lodge, restored, secret_of, text, usernames,
    },
    harness::{Metrics, Request, Server, ServerBuilder, wait_until},
};

/// The result of the last backup, as the server reports it.
fn last_backup(server: &Server) -> Value {
    server.anonymous().send(&Request::whole("GET", "/readyz")).expect(200).json()["last_backup"].clone()
}

/// The credentials in the audit log's entries about backups.
fn records(server: &Server) -> Vec<Value> {
    let output = lodge(server, &["audit", "--action", "backups / create"]).expect(0);
    let entry = |line| serde_json::from_str::<Value>(line).unwrap();
    output.out.lines().map(|line| entry(line)["credential"].clone()).collect()
}

#[test]
fn a_scheduled_server_keeps_the_configured_number_of_backups_and_reports_the_last() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("backups");
    let builder =
        builder.flag("--backup-dir", text(&directory)).flag("--backup-every", "1s").flag("--backup-keep", "2");
    let server = builder.start();
    server.user("ann");
    let whole = || -> BTreeSet<PathBuf> {
        let paths = if directory.exists() { entries_beginning(&directory, "lodge-") } else { Vec::new() };
        paths.into_iter().filter(|path| path.to_string_lossy().ends_with(".backup")).collect()
    };

    let mut seen = BTreeSet::new();
    wait_until("a fourth backup was made", || {
        let present = whole();
        assert!(present.len() <= 3, "two are kept, and a third only until the oldest is gone: {present:?}");
        seen.extend(present);
        seen.len() >= 4
    });
    wait_until("the oldest is gone", || whole().len() <= 2);

    let ready = server.anonymous().send(&Request::whole("GET", "/readyz")).expect(200).json();
    assert_eq!(ready["status"], "ready");
    assert_eq!(ready["last_backup"]["succeeded"], true, "{ready}");
    let records = records(&server);
    assert!(records.len() >= 3 && records.iter().all(|method| method == "server"), "{records:?}");
    let newest = seen.pop_last().unwrap();
    let kept = server.directory().join("kept.backup");
    let copied = std::fs::copy(&newest, &kept).or_else(|_| std::fs::copy(whole().last().unwrap(), &kept));
    copied.unwrap();
    assert_eq!(of_kind(&lines(&kept), "user").len(), 2);
    assert!(of_kind(&lines(&kept), "secret").is_empty());
    assert_eq!(usernames(&restored(&kept, &secret_of(&server))), ["admin", "ann"]);
}

#[test]
fn a_scheduled_backup_that_fails_is_reported_and_the_server_keeps_running() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("taken");
    std::fs::write(&directory, "a file").unwrap();
    let server = builder.flag("--backup-dir", text(&directory)).start();

    server.wait_for_log("no backup was made");
    wait_until("the failure is reported", || last_backup(&server)["succeeded"] == false);

    assert_eq!(usernames(&server), ["admin"]);
    assert_eq!(records(&server), [Value::Null; 0], "no backup was made");
}

#[test]
fn a_server_that_restarts_repeatedly_replaces_no_older_backup() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("backups");
    let mut server = builder.flag("--backup-dir", text(&directory)).flag("--backup-keep", "1").start();
    wait_until("the first backup was made", || last_backup(&server)["succeeded"] == true);
    let first = entries_beginning(&directory, "lodge-");

    for _ in 0..3 {
        server.restart();
        assert_eq!(usernames(&server), ["admin"]);
    }

    assert_eq!(entries_beginning(&directory, "lodge-"), first);
    assert_eq!(last_backup(&server), Value::Null);
    assert_eq!(records(&server).len(), 1);
}

#[test]
fn a_backup_from_the_future_prevents_none_and_is_removed_before_those_of_now() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("backups");
    let mut server = builder.flag("--backup-dir", text(&directory)).flag("--backup-keep", "1").start();
    wait_until("a first backup was made", || last_backup(&server)["succeeded"] == true);
    assert!(server.stop().success());
    let first = entries_beginning(&directory, "lodge-").remove(0);
    let name = first.file_name().unwrap().to_str().unwrap();
    let year = name.find('T').unwrap() - "2026-01-01".len();
    let future = directory.join(format!("{}9999{}", &name[..year], &name[year + 4..]));
    fs::write(&future, "from before the clock was set back").unwrap();
    fs::remove_file(first).unwrap();

    server.start_again();
    wait_until("a backup was made", || last_backup(&server)["succeeded"] == true);

    let left = entries_beginning(&directory, "lodge-");
    assert_eq!(left.iter().map(|path| of_kind(&lines(path), "user").len()).collect::<Vec<_>>(), [1]);
}

#[test]
fn two_servers_share_a_directory_and_neither_counts_or_removes_what_the_other_or_a_person_made() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("backups");
    fs::create_dir(&directory).unwrap();
    let by_hand =
        ["lodge-before-upgrade.backup", "lodge-2026-01-01T00-00-00-000Z.backup"].map(|name| directory.join(name));
    for path in &by_hand {
        fs::write(path, "made by hand").unwrap();
    }
    let rare = builder.flag("--backup-dir", text(&directory)).start();
    wait_until("the rare backup was made", || last_backup(&rare)["succeeded"] == true);
    let kept: BTreeSet<_> = entries_beginning(&directory, "lodge-").into_iter().collect();

    let frequent = ServerBuilder::new().flag("--backup-dir", text(&directory)).flag("--backup-every", "1s");
    let frequent = frequent.flag("--backup-keep", "1").start();
    frequent.wait_for_log("backed up");
    let first = frequent.log();
    wait_until("more backups were made", || frequent.log().matches("backed up").count() >= 3);

    assert_eq!(first.matches("no backup was made").count(), 0);
    let present: BTreeSet<_> = entries_beginning(&directory, "lodge-").into_iter().collect();
    assert!(present.is_superset(&kept), "{present:?} lacks some of {kept:?}");
    assert_eq!(last_backup(&rare)["succeeded"], true);
}

#[test]
fn a_backup_that_was_deleted_is_no_longer_reported_as_succeeded() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("backups");
    let server = builder.flag("--backup-dir", text(&directory)).start();
    let age = || Metrics::parse(&server.admin().get("/metrics").expect(200).text()).find("lodge_backup_age_seconds");
    wait_until("a backup was made", || last_backup(&server)["succeeded"] == true);
    assert!(age().is_some());

    fs::remove_file(entries_beginning(&directory, "lodge-").remove(0)).unwrap();

    wait_until("it is missed", || last_backup(&server)["succeeded"] == false);
    assert_eq!(age(), None);
    server.wait_for_log("the last backup has been deleted");
}
