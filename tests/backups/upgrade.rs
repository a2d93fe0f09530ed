//! A store of an older format is brought to the present one.

use std::{fs, net::TcpListener, ops::ControlFlow, path::PathBuf, time::Instant};

use data_encoding::HEXLOWER;
use lodge::{
    audit::EntryView,
    domain::{AuditEntry, Event},
    secret::{Purpose, RootSecret},
    store::{
        audit::{AuditState, LogPosition, after, state},
        engine::{Changes, Engine, KeyRange, Tree},
        integrity::{Integrity, RowHasher},
        record::encode,
        rows::Committed,
        sled::Sled,
    },
};
use ring::{
    digest::{SHA256, digest},
    hmac,
};
use serde::Serialize;
use serde_json::json;

use crate::{
    backups::{
        back_up, entries_beginning, lodge, restore::with_one_of_each, restored, run_and_kill, secret_of, store_of,
        usernames,
    },
    harness::{Client, Server, basic, older::make_older, password_of},
};

/// How often the server is killed while it brings the store up.
const KILLS: usize = 30;

/// Makes of a stopped server's store one of format 1.
fn age(server: &Server) {
    make_older(&store_of(server), |store| {
        let mut changes = without_audit_log(store);
        changes.extend(["store_id", "digest_key", "integrity"].map(|key| row(key, None)));
        changes.extend([row("format", Some(1_u32.to_be_bytes().to_vec()))]);
        store.commit(&changes).unwrap();
    });
    fs::remove_file(store_of(server).join("witness")).unwrap();
    fs::remove_dir_all(server.data_dir().join("audit")).unwrap();
}

/// Writes the digest of the rows as version `version` had it, with the numbers of rows of the first `N` trees.
fn set_integrity<const N: usize>(store: &Sled, version: u8)
where
    [u64; N]: Serialize,
{
    let stored = Committed(store);
    let hasher = RowHasher::of(&stored).unwrap().unwrap();
    let commit = Integrity::stored(&stored).unwrap().unwrap().commit;
    let Integrity { rows, digest, .. } = Integrity::scan_all(&stored, &hasher, &mut |_| {}).unwrap();
    let older: [u64; N] = rows[..N].try_into().unwrap();
    let bytes = bincode::serde::encode_to_vec((commit, older, digest), bincode::config::standard()).unwrap();
    store.commit(&Changes::from([row("integrity", Some([vec![version], bytes].concat()))])).unwrap();
}

/// Makes of a stopped server's store one of format 2, which has a digest of its rows.
fn age_to_format_2(server: &Server) {
    make_older(&store_of(server), |store| {
        let mut changes = without_audit_log(store);
        changes.extend([row("format", Some(2_u32.to_be_bytes().to_vec()))]);
        store.commit(&changes).unwrap();
        set_integrity::<10>(store, 1);
    });
    fs::remove_dir_all(server.data_dir().join("audit")).unwrap();
}

/// Makes of a stopped server's store one of format 3, whose audit log has a link and an HMAC of it in each entry.
fn age_to_format_3(server: &Server) {
    let secret = RootSecret::open(&secret_of(server), false).unwrap();
    let mut text = String::new();
    make_older(&store_of(server), |store| {
        let mut changes = without_rows_of_format_4(store);
        changes.extend([row("format", Some(3_u32.to_be_bytes().to_vec()))]);
        text = link_entries(&Committed(store), &secret, &mut changes);
        store.commit(&changes).unwrap();
        set_integrity::<11>(store, 2);
    });
    fs::write(server.data_dir().join("audit/audit-000000000001.jsonl"), text).unwrap();
}

/// The rows of an audit log that is whole in the store as 0.3.0 wrote them, and its lines.
fn link_entries(stored: &Committed<'_>, secret: &RootSecret, changes: &mut Changes) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::AuditLog).expose());
    let sign = |message: &[&[u8]]| <[u8; 32]>::try_from(hmac::sign(&key, &message.concat()).as_ref()).unwrap();
    let (mut link, mut text) = ([0; 32], String::new());
    for AuditEntry { id, mut event, .. } in after(stored, 0, 1000).unwrap() {
        // Affected records had no owners.
        event.subject.owner = None;
        let body = serde_json::to_string(&EntryView::of(id, &event)).unwrap();
        let linked = digest(&SHA256, &[&link[..], body.as_bytes()].concat());
        link = linked.as_ref().try_into().unwrap();
        let mac = sign(&[b"entry", &link]);
        let open = body.strip_suffix('}').unwrap();
        text.extend([open, r#","link":""#, &HEXLOWER.encode(&link), r#"","mac":""#, &HEXLOWER.encode(&mac), "\"}\n"]);
        let Event { at, actor, action, outcome, subject, count } = event;
        let event = (at, actor, action, outcome, subject.target, subject.details, count);
        let bytes = bincode::serde::encode_to_vec((id, event, link, mac), bincode::config::standard()).unwrap();
        changes.insert((Tree::Audit, id.to_be_bytes().to_vec()), Some([vec![1], bytes].concat()));
    }
    let last = |position: LogPosition| LogPosition { mac: link, ..position };
    let state = state(stored).unwrap().unwrap();
    assert_eq!((state.exported.id, state.pruned.id, state.dropped.id), (state.last.id, 0, 0));
    let mut state = AuditState { last: last(state.last), exported: last(state.exported), ..state };
    let positions = [state.last, state.exported, state.pruned, state.dropped];
    let positions = positions.map(|position| [&position.id.to_be_bytes()[..], &position.mac].concat()).concat();
    state.seal = sign(&[b"state", &positions, &state.key_id, &state.key_since.to_be_bytes()]);
    changes.extend([row("audit", Some(encode(&state)))]);
    text
}

fn row(key: &str, value: Option<Vec<u8>>) -> ((Tree, Vec<u8>), Option<Vec<u8>>) {
    ((Tree::Meta, key.as_bytes().to_vec()), value)
}

/// The rows that no format before 4 has, to be removed: identifiers that accounts have had, and activity.
fn without_rows_of_format_4(store: &Sled) -> Changes {
    let mut changes = Changes::from([row("identifier_key", None), row("activity_since", None)]);
    remove_all(store, Tree::UsedIdentifiers, &mut changes);
    remove_all(store, Tree::Activity, &mut changes);
    changes
}

fn without_audit_log(store: &Sled) -> Changes {
    let mut changes = without_rows_of_format_4(store);
    changes.extend([row("audit", None)]);
    remove_all(store, Tree::Audit, &mut changes);
    changes
}

fn remove_all(store: &Sled, tree: Tree, changes: &mut Changes) {
    store
        .scan(tree, &KeyRange::all(), &mut |key, _| {
            changes.insert((tree, key.to_vec()), None);
            ControlFlow::Continue(())
        })
        .unwrap();
}

fn aged() -> (Server, Client) {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age(&server);
    (server, key)
}

fn backups(server: &Server) -> Vec<PathBuf> {
    entries_beginning(&server.data_dir().join("backups"), "before-format-5-")
}

#[track_caller]
fn is_all_there(server: &Server, key: &Client) {
    assert_eq!(usernames(server), ["admin", "ann"]);
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
    let ann = server.with(&basic("ann", &password_of("ann")));
    assert_eq!(ann.get("/users/me/configurations").expect(200).json()["count"], 1);
}

#[test]
fn a_store_of_the_first_format_is_upgraded_after_a_backup() {
    let (mut server, key) = aged();

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("upgrading the store from format 1 to 5"));
    assert_eq!(backups(&server).len(), 1);
    is_all_there(&restored(&backups(&server)[0], &secret_of(&server)), &key);
    server.stop();
    assert!(lodge(&server, &["verify"]).expect(0).out.contains("2 users, 1 configurations, 1 API keys"));
    server.start_again();
    assert_eq!(backups(&server).len(), 1, "the second start has nothing to bring up");
}

#[test]
fn a_store_of_the_second_format_is_upgraded_with_its_integrity_record() {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age_to_format_2(&server);
    lodge(&server, &["verify"]).expect(0);

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("upgrading the store from format 2 to 5"));
    assert_eq!(backups(&server).len(), 1);
    server.restart();
    is_all_there(&server, &key);
    assert!(server.stop().success());
    lodge(&server, &["verify"]).expect(0);
    let log = lodge(&server, &["audit"]).expect(0).out;
    assert!(log.lines().next().is_some_and(|first| first.contains("from format 2 to 5")), "{log}");
    lodge(&server, &["audit", "--verify"]).expect(0);
}

#[test]
fn a_store_of_the_third_format_is_upgraded_with_its_audit_log() {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age_to_format_3(&server);
    lodge(&server, &["verify"]).expect(0);
    lodge(&server, &["audit", "--verify"]).expect(0);
    let before = lodge(&server, &["audit"]).expect(0).out;

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("upgrading the store from format 3 to 5"));
    assert_eq!(backups(&server).len(), 1);
    lodge(&server, &["audit", "--verify"]).expect(0);
    server.restart();
    assert!(server.stop().success());
    lodge(&server, &["verify"]).expect(0);
    lodge(&server, &["audit", "--verify"]).expect(0);
    let after = lodge(&server, &["audit"]).expect(0).out;
    let new = after.strip_prefix(&before).unwrap();
    assert!(new.lines().next().is_some_and(|first| first.contains("from format 3 to 5")), "{new}");
    assert!(before.contains("\"link\":") && !new.contains("\"link\":"), "{after}");

    lodge(&server, &["secret", "rotate", "--yes"]).expect(0);
    lodge(&server, &["audit", "--verify"]).expect(0);
    let file = server.data_dir().join("audit/audit-000000000001.jsonl");
    fs::write(&file, fs::read_to_string(&file).unwrap().replacen("theme", "thyme", 1)).unwrap();
    let changed = lodge(&server, &["audit", "--verify"]).expect(1).err;
    assert!(changed.contains("in audit-000000000001.jsonl is not what was written"), "{changed}");
}

/// Makes of a stopped server's store one of format 4, which has no journal.
fn age_to_format_4(server: &Server) {
    make_older(&store_of(server), |_| {});
}

#[test]
fn a_store_of_the_fourth_format_gets_a_journal_and_keeps_nothing_of_its_former_files() {
    let (mut server, key) = with_one_of_each();
    assert!(server.stop().success());
    age_to_format_4(&server);
    lodge(&server, &["verify"]).expect(0);

    server.start_again();

    is_all_there(&server, &key);
    assert!(server.log().contains("upgrading the store from format 4 to 5"));
    assert_eq!(backups(&server).len(), 1);
    let mut names: Vec<_> = fs::read_dir(store_of(&server))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.retain(|name| name != "ballast");
    names.sort();
    assert_eq!(names, ["checkpoints", "index", "journal"]);
    server.kill();
    fs::remove_dir_all(store_of(&server).join("index")).unwrap();
    server.start_again();
    is_all_there(&server, &key);
    assert!(server.stop().success());
    lodge(&server, &["verify"]).expect(0);
    lodge(&server, &["audit", "--verify"]).expect(0);
}

#[test]
fn identifiers_of_accounts_are_remembered_from_the_upgrade_on() {
    for age in [age, age_to_format_2, age_to_format_3] {
        let (mut server, _) = with_one_of_each();
        let path = format!("/users/{}", server.id_of("ann"));
        server.admin().put(&path, &json!({"user_id": 1001})).expect(200);
        assert!(server.stop().success());
        age(&server);

        server.start_again();

        let body = json!({"username": "zoe", "password": "a long and fine one", "user_id": 1001});
        server.key("admin", &["users / create"]).post("/users", &body).expect(422);
        assert!(server.stop().success());
        lodge(&server, &["verify"]).expect(0);
    }
}

#[test]
fn a_store_of_an_older_format_is_refused_without_its_checkpoint() {
    for age in [age_to_format_2, age_to_format_3, age_to_format_4] {
        let (mut server, _) = with_one_of_each();
        assert!(server.stop().success());
        age(&server);
        fs::remove_file(store_of(&server).join("witness")).unwrap();
        // The address is taken, so that a server that started would end.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();

        let listen = taken.local_addr().unwrap().to_string();
        let output = lodge(&server, &["serve", "--listen", &listen]).expect(12);

        assert!(output.err.contains("the file `witness` beside it is missing"), "{}", output.err);
    }
}

#[test]
fn a_store_of_the_first_format_can_be_backed_up_and_verified_before_the_upgrade() {
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
