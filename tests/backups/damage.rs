//! The consistency of a store, and what happens to an inconsistent one.

use std::{fs, net::TcpListener};

use lodge::{
    domain::{Configuration, ConfigurationKey, ConfigurationValue, Id},
    store::{
        DiskReserve, Sequence, Store, StoreError,
        engine::{Changes, Engine, Tree},
        sled::Sled,
    },
};

use crate::{
    backups::{CommandOutput, lodge, restore::with_one_of_each, run, store_of, text, usernames},
    harness::{Server, journal::damage_first_record, older::make_older},
};

const CACHE_BYTES: u64 = 16 << 20;
const ADVICE: [&str; 2] = ["lodge restore", "--accept-loss"];

/// Changes rows of a stopped server's index directly.
fn change(server: &Server, tree: Tree, key: &[u8], value: Option<&[u8]>) {
    let store = Sled::open(&store_of(server).join("index"), CACHE_BYTES).unwrap();
    store.commit(&Changes::from([((tree, key.to_vec()), value.map(<[u8]>::to_vec))])).unwrap();
}

#[track_caller]
fn is_refused_with_advice(server: &Server) {
    let output = lodge(server, &["serve"]).expect(12);
    assert!(ADVICE.iter().all(|way| output.err.contains(way)), "{}", output.err);
}

/// Starts the server with `--accept-loss`; it goes on up to the address, which is in use (14), if it goes on.
fn accept_loss(server: &Server) -> CommandOutput {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    run(&mut server.command(&["serve", "--accept-loss", "--listen", &listen]))
}

#[test]
fn a_consistent_store_is_reported_in_one_line_with_and_without_a_running_server() {
    let (mut server, _) = with_one_of_each();

    let running = lodge(&server, &["verify"]).expect(0);
    server.stop();
    let stopped = lodge(&server, &["verify"]).expect(0);

    let line = "the store is consistent: 2 users, 1 configurations, 1 API keys, 0 sessions\n";
    assert_eq!([running.out.as_str(), stopped.out.as_str()], [line, line]);
    assert_eq!([running.err.as_str(), stopped.err.as_str()], ["", ""]);
}

#[test]
fn an_index_with_a_damaged_row_is_rebuilt_from_the_journal() {
    type Damage = (Tree, &'static [u8], Option<&'static [u8]>);
    let damages: [Damage; 5] = [
        (Tree::UsersByUsername, b"ann", None),
        (Tree::UsersByUsername, b"ann", Some(&[0, 0, 0, 1])),
        (Tree::UsersByUsername, b"zoe", Some(&[0, 0, 0, 2])),
        (Tree::Users, &[0, 0, 0, 2], None),
        (Tree::Meta, b"integrity", None),
    ];
    let (mut server, _) = with_one_of_each();
    for (tree, key, value) in damages {
        server.stop();
        change(&server, tree, key, value);
        let verified = lodge(&server, &["verify"]);
        assert_ne!(verified.code, Some(0), "{}", verified.out);
        server.start_again();
        server.wait_for_log("the index of the store is rebuilt from the journal");
        assert_eq!(usernames(&server), ["admin", "ann"]);
        lodge(&server, &["verify"]).expect(0);
    }
}

#[test]
fn a_store_with_a_damaged_journal_is_not_served_until_a_backup_is_restored() {
    let (mut server, _) = with_one_of_each();
    let file = crate::backups::back_up(&server, "backup");
    server.stop();
    damage_first_record(&store_of(&server));

    is_refused_with_advice(&server);
    let verified = lodge(&server, &["verify"]);
    assert_ne!(verified.code, Some(0), "{}", verified.out);
    lodge(&server, &["restore", text(&file)]).expect(0);
    server.start_again();
    assert_eq!(usernames(&server), ["admin", "ann"]);
}

#[test]
fn a_server_continues_with_what_is_left_only_with_accept_loss() {
    let (mut server, key) = with_one_of_each();
    server.stop();
    damage_first_record(&store_of(&server));
    is_refused_with_advice(&server);

    let output = accept_loss(&server).expect(14);
    assert!(output.err.contains("no commit is missing"), "the index is whole: {}", output.err);
    server.start_again();

    assert_eq!(usernames(&server), ["admin", "ann"]);
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
    server.stop();
    lodge(&server, &["verify"]).expect(0);
    assert_eq!(crate::backups::entries_beginning(&server.data_dir(), "store.replaced-").len(), 1);
}

#[test]
fn a_store_without_its_journal_is_not_served() {
    let (mut server, _) = with_one_of_each();
    server.stop();
    fs::remove_dir_all(store_of(&server).join("journal")).unwrap();
    is_refused_with_advice(&server);
}

#[test]
fn a_salvaged_store_without_an_administrator_is_not_served() {
    let (mut server, _) = with_one_of_each();
    let file = crate::backups::back_up(&server, "backup");
    server.stop();

    make_older(&store_of(&server), |rows| {
        for (tree, key) in [(Tree::UsersByUsername, b"admin".as_slice()), (Tree::Users, &[0, 0, 0, 1])] {
            rows.commit(&Changes::from([((tree, key.to_vec()), None)])).unwrap();
        }
    });
    let output = accept_loss(&server).expect(12);
    assert!(output.err.contains("no administrator is among what can be read"), "{}", output.err);
    assert!(output.err.contains("lodge restore"), "{}", output.err);
    fs::remove_file(store_of(&server).join("db")).unwrap();
    let output = accept_loss(&server).expect(12);
    assert!(output.err.contains("its file `db` is missing"), "{}", output.err);
    let kept =
        ["store.new", "store.replaced-"].map(|name| crate::backups::entries_beginning(&server.data_dir(), name).len());
    assert_eq!(kept, [0, 0], "nothing was changed");

    is_refused_with_advice(&server);
    lodge(&server, &["restore", text(&file)]).expect(0);
    server.start_again();
    assert_eq!(usernames(&server), ["admin", "ann"]);
}

/// How many configurations make a store too large to be read whole before it is served: each is a record and an entry.
const MANY: u32 = 50_001;

/// Gives the administrator of a stopped server that many configurations.
fn fill(server: &Server) {
    let store = Store::open(&store_of(server), CACHE_BYTES, DiskReserve::NONE).unwrap();
    let configuration = |number: u32| Configuration {
        id: Id::new(number).unwrap(),
        owner: Id::new(1).unwrap(),
        key: ConfigurationKey::parse(&format!("setting {number}")).unwrap(),
        value: ConfigurationValue::default(),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    for first in (1..=MANY).step_by(2000) {
        let put_some = move |txn: &mut lodge::store::Txn<'_>| {
            for number in first..(first + 2000).min(MANY + 1) {
                txn.put(&configuration(number)).unwrap();
            }
            txn.set_sequence(Sequence::Configurations, u64::from(MANY));
            Ok::<_, StoreError>(())
        };
        runtime.block_on(store.write(put_some)).unwrap();
    }
}

#[test]
fn a_large_store_is_checked_while_it_is_served_and_the_server_stops_if_it_lost_data() {
    let mut server = Server::start();
    server.stop();
    fill(&server);

    server.start_again();
    server.wait_for_log("the whole store was checked: nothing is lost");
    let configurations = server.admin().get("/users/me/configurations?limit=1&offset=50000").expect(200).json();
    assert_eq!(configurations["count"], MANY);
    assert_eq!(configurations["configurations"][0]["id"], MANY);
    server.stop();
    lodge(&server, &["verify"]).expect(0);

    change(&server, Tree::ConfigurationsByKey, b"\0\0\0\x01setting 77", None);
    server.start_again();
    assert_eq!(server.wait().code(), Some(12), "{}", server.log());
    assert!(server.log().contains("`configurations_by_key` has 50000 rows instead of 50001"), "{}", server.log());
    lodge(&server, &["verify"]).expect(1);
    server.start_again();
    server.wait_for_log("the index of the store is rebuilt from the journal");
    server.wait_for_log("the whole store was checked: nothing is lost");
}
