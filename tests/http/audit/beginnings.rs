//! The audit log where the store or the secret is not the one that it was written with.

use std::path::Path;

use super::*;

#[track_caller]
fn is_not_whole(server: &Server, fault: &str) {
    let output = lodge(server, &["audit", "--verify"]);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains(fault), "{stderr}");
}

#[track_caller]
fn run(server: &Server, arguments: &[&str]) {
    let output = lodge(server, arguments);
    assert!(output.status.success(), "{output:?}");
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().unwrap()).collect()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

#[test]
fn after_a_store_was_moved_away_the_log_continues_unsealed_until_the_secret_is_rotated() {
    let (mut server, _) = with_ann();
    assert!(server.stop().success());
    let before = printed(&server, &[]);
    fs::rename(server.data_dir().join("store"), server.data_dir().join("store.away")).unwrap();

    server.start_again();

    let after = printed(&server, &[]);
    let (kept, new) = after.split_at(before.len());
    assert_eq!(kept, before);
    assert_eq!(actions(new), ["audit / continue", "server / start", "users / create"]);
    let end = before.len();
    assert_eq!(new[0]["details"], json!([format!("the store knew of 0 entries, and the files end with entry {end}")]));
    is_not_whole(&server, &format!("the log up to entry {end} may have been changed, or the secret or the store"));
    server.restart();
    is_not_whole(&server, &format!("as entry {} reports", end + 1));
    assert!(server.stop().success());
    run(&server, &["secret", "rotate", "--yes"]);
    is_whole(&server);
    server.start_again();
    is_whole(&server);
    assert_eq!(server.log().matches("the audit log continues after its files").count(), 1);
}

#[test]
fn a_secret_that_was_replaced_by_hand_is_reported_until_it_is_rotated() {
    let (mut server, _) = with_ann();
    assert!(server.stop().success());
    fs::write(server.data_dir().join("secret"), [7; 32]).unwrap();

    server.start_again();

    server.restart();
    is_not_whole(&server, "may have been changed, or the secret or the store was replaced other than by a");
    assert_eq!(server.log().matches("the audit log was written under another secret, or was changed").count(), 1);
    assert!(server.stop().success());
    run(&server, &["secret", "rotate", "--yes", "--keep-keys"]);
    server.start_again();
    is_whole(&server);
}

#[test]
fn a_secret_that_was_lost_is_replaced_and_the_log_is_whole() {
    let (mut server, _) = with_ann();
    assert!(server.stop().success());
    fs::remove_file(server.data_dir().join("secret")).unwrap();

    run(&server, &["secret", "rotate", "--yes"]);

    is_whole(&server);
    server.start_again();
    is_whole(&server);
}

#[test]
fn a_store_that_was_put_back_alone_is_continued_by_a_rotation_too() {
    let (mut server, _) = with_ann();
    assert!(server.stop().success());
    let (store, older) = (server.data_dir().join("store"), server.directory().join("older"));
    copy(&store, &older);
    server.start_again();
    assert!(server.stop().success());
    let before = printed(&server, &[]);
    fs::remove_dir_all(&store).unwrap();
    copy(&older, &store);

    run(&server, &["secret", "rotate", "--yes"]);

    is_whole(&server);
    let after = printed(&server, &[]);
    assert_eq!(after[..before.len()], before);
    let new = ["audit / continue", "secret / rotate", "audit / continue", "secret / rotate"];
    assert_eq!(actions(&after[before.len()..]), new);
    server.start_again();
    is_whole(&server);
}

#[test]
fn a_restore_without_the_secret_leaves_the_log_to_the_one_that_is_put_back() {
    for is_new in [false, true] {
        let (mut server, _) = with_ann();
        let file = server.directory().join("backup").to_str().unwrap().to_owned();
        run(&server, &["backup", &file]);
        assert!(server.stop().success());
        let (secret, aside) = (server.data_dir().join("secret"), server.directory().join("secret"));
        fs::rename(&secret, &aside).unwrap();
        if is_new {
            fs::remove_dir_all(server.data_dir()).unwrap();
        }

        let output = lodge(&server, &["restore", &file]);

        assert!(output.status.success(), "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("the audit log cannot record this"), "{stderr}");
        fs::rename(&aside, &secret).unwrap();
        server.start_again();
        is_whole(&server);
        assert_eq!(actions(&printed(&server, &[])).contains(&"users / create"), !is_new);
    }
}

#[test]
fn a_restore_over_a_store_that_cannot_be_read_continues_what_the_files_have() {
    let (mut server, _) = with_ann();
    let file = server.directory().join("backup").to_str().unwrap().to_owned();
    run(&server, &["backup", &file]);
    assert!(server.stop().success());
    let before = printed(&server, &[]);
    fs::remove_dir_all(server.data_dir().join("store/journal")).unwrap();
    fs::remove_file(server.data_dir().join("store/index/db")).unwrap();

    run(&server, &["restore", &file]);

    is_whole(&server);
    let after = printed(&server, &[]);
    assert_eq!(after[..before.len()], before);
    assert_eq!(actions(&after[before.len()..]), ["audit / continue", "backups / restore"]);
    server.start_again();
    is_whole(&server);
}

#[test]
fn no_loss_is_accepted_without_the_secret() {
    let (mut server, _) = with_ann();
    server.kill();
    damage_first_record(&server.data_dir().join("store"));
    let (secret, aside) = (server.data_dir().join("secret"), server.directory().join("secret"));
    fs::rename(&secret, &aside).unwrap();

    assert_eq!(lodge(&server, &["serve", "--accept-loss"]).status.code(), Some(13));

    fs::rename(&aside, &secret).unwrap();
    let kept = fs::read_dir(server.data_dir()).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    assert_eq!(kept.filter(|name| name.starts_with("store.")).collect::<Vec<_>>(), Vec::<String>::new());
}
