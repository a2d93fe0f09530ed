//! A store of an older format is brought to the present one.

use std::{fs, ops::ControlFlow, path::PathBuf, time::Instant};

use lodge::store::{
    StoreError,
    engine::{Changes, Engine, KeyRange, Tree, Visit},
    integrity::{Integrity, RowHasher},
    sled::Sled,
    table::ReadRows,
};

use crate::{
    back_up, entries_beginning,
    harness::{Client, Server, basic, password_of},
    lodge,
    restore::with_one_of_each,
    restored, run_and_kill, secret_of, store_of, usernames,
};

/// How often the server is killed while it brings the store up.
const KILLS: usize = 30;
const CACHE_BYTES: u64 = 16 << 20;

/// Makes of a stopped server's store one of format 1.
fn age(server: &Server) {
    let store = Sled::open(&store_of(server), CACHE_BYTES).unwrap();
    let mut changes = without_audit_log(&store);
    changes.extend(["store_id", "digest_key", "integrity"].map(|key| row(key, None)));
    changes.extend([row("format", Some(1_u32.to_be_bytes().to_vec()))]);
    store.commit(&changes).unwrap();
    drop(store);
    fs::remove_file(store_of(server).join("witness")).unwrap();
    fs::remove_dir_all(server.data_dir().join("audit")).unwrap();
}

/// Makes of a stopped server's store one of format 2, which has a digest of its rows.
fn age_to_format_2(server: &Server) {
    let store = Sled::open(&store_of(server), CACHE_BYTES).unwrap();
    let mut changes = without_audit_log(&store);
    changes.extend([row("format", Some(2_u32.to_be_bytes().to_vec()))]);
    store.commit(&changes).unwrap();
    let stored = Stored(&store);
    let hasher = RowHasher::of(&stored).unwrap().unwrap();
    let commit = Integrity::stored(&stored).unwrap().unwrap().commit;
    let Integrity { rows, digest, .. } = Integrity::scan_all(&stored, &hasher, &mut |_| {}).unwrap();
    let before: [u64; 10] = rows[..10].try_into().unwrap();
    let bytes = bincode::serde::encode_to_vec((commit, before, digest), bincode::config::standard()).unwrap();
    store.commit(&Changes::from([row("integrity", Some([vec![1], bytes].concat()))])).unwrap();
    drop(store);
    fs::remove_dir_all(server.data_dir().join("audit")).unwrap();
}

struct Stored<'a>(&'a Sled);

impl ReadRows for Stored<'_> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(tree, key)?)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(self.0.scan(tree, range, visit)?)
    }
}

fn row(key: &str, value: Option<Vec<u8>>) -> ((Tree, Vec<u8>), Option<Vec<u8>>) {
    ((Tree::Meta, key.as_bytes().to_vec()), value)
}

fn without_audit_log(store: &Sled) -> Changes {
    let mut changes = Changes::from([row("audit", None)]);
    store
        .scan(Tree::Audit, &KeyRange::all(), &mut |key, _| {
            changes.insert((Tree::Audit, key.to_vec()), None);
            ControlFlow::Continue(())
        })
        .unwrap();
    changes
}

fn aged() -> (Server, Client) {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age(&server);
    (server, key)
}

fn backups(server: &Server) -> Vec<PathBuf> {
    entries_beginning(&server.data_dir().join("backups"), "before-format-3-")
}

#[track_caller]
fn is_all_there(server: &Server, key: &Client) {
    assert_eq!(usernames(server), ["admin", "ann"]);
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
    let ann = server.with(&basic("ann", &password_of("ann")));
    assert_eq!(ann.get("/users/me/configurations").expect(200).json()["count"], 1);
}

#[test]
fn a_store_of_the_first_format_is_brought_up_after_a_backup_of_it() {
    let (mut server, key) = aged();

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("bringing the store from format 1 to 3"));
    assert_eq!(backups(&server).len(), 1);
    is_all_there(&restored(&backups(&server)[0], &secret_of(&server)), &key);
    server.stop();
    assert!(lodge(&server, &["verify"]).expect(0).out.contains("2 users, 1 configurations, 1 API keys"));
    server.start_again();
    assert_eq!(backups(&server).len(), 1, "the second start has nothing to bring up");
}

#[test]
fn a_store_of_the_second_format_is_brought_up_with_what_it_knows_of_itself() {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age_to_format_2(&server);
    lodge(&server, &["verify"]).expect(0);

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("bringing the store from format 2 to 3"));
    assert_eq!(backups(&server).len(), 1);
    server.restart();
    is_all_there(&server, &key);
    assert!(server.stop().success());
    lodge(&server, &["verify"]).expect(0);
    let log = lodge(&server, &["audit"]).expect(0).out;
    assert!(log.lines().next().is_some_and(|first| first.contains("from format 2 to 3")), "{log}");
    lodge(&server, &["audit", "--verify"]).expect(0);
}

#[test]
fn a_store_of_the_first_format_can_be_backed_up_and_verified_before_it_is_brought_up() {
    let (server, key) = aged();

    let file = back_up(&server, "backup");
    lodge(&server, &["verify"]).expect(0);

    is_all_there(&restored(&file, &secret_of(&server)), &key);
}

#[test]
fn an_upgrade_that_is_killed_is_done_again_and_loses_nothing() {
    let (mut server, key) = aged();
    let begun = Instant::now();
    server.start_again();
    let takes = begun.elapsed();
    is_all_there(&server, &key);
    for _ in 0..KILLS {
        assert!(server.stop().success());
        age(&server);
        run_and_kill(&mut server.command(&["serve"]), takes);
        server.start_again();
        is_all_there(&server, &key);
    }
    server.stop();
    lodge(&server, &["verify"]).expect(0);
    for file in backups(&server) {
        if !file.to_string_lossy().ends_with(".unfinished") {
            lodge::backup::check(&file).unwrap();
        }
    }
}
