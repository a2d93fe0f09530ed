//! Backups that the server makes by itself.

use std::{collections::BTreeSet, path::PathBuf};

use crate::{
    container::{lines, of_kind},
    entries_beginning,
    harness::{Request, ServerBuilder},
    restored, secret_of, text, usernames, wait_until,
};

#[test]
fn a_scheduled_server_keeps_as_many_backups_as_it_was_told_and_tells_of_the_last() {
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
    let newest = seen.pop_last().unwrap();
    let kept = server.directory().join("kept.backup");
    let copied = std::fs::copy(&newest, &kept).or_else(|_| std::fs::copy(whole().last().unwrap(), &kept));
    copied.unwrap();
    assert_eq!(of_kind(&lines(&kept), "user").len(), 2);
    assert!(of_kind(&lines(&kept), "secret").is_empty());
    assert_eq!(usernames(&restored(&kept, &secret_of(&server))), ["admin", "ann"]);
}

#[test]
fn a_scheduled_backup_that_fails_is_told_and_the_server_goes_on() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().with_file_name("taken");
    std::fs::write(&directory, "a file").unwrap();
    let server = builder.flag("--backup-dir", text(&directory)).start();

    server.wait_for_log("no backup was made");
    let ready = || server.anonymous().send(&Request::whole("GET", "/readyz")).expect(200).json();
    wait_until("the failure is told", || ready()["last_backup"]["succeeded"] == false);

    assert_eq!(usernames(&server), ["admin"]);
}
