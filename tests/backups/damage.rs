//! Whether a store agrees with itself, and what happens if it does not.

use std::{fs, net::TcpListener};

use lodge::store::{
    engine::{Changes, Engine, Tree},
    sled::Sled,
};

use crate::{harness::Server, lodge, restore::with_one_of_each, run, store_of, text, usernames};

const CACHE_BYTES: u64 = 16 << 20;
const ADVICE: [&str; 2] = ["lodge restore", "--accept-loss"];

/// Changes rows of a stopped server's store behind its back.
fn change(server: &Server, tree: Tree, key: &[u8], value: Option<&[u8]>) {
    let store = Sled::open(&store_of(server), CACHE_BYTES).unwrap();
    store.commit(&Changes::from([((tree, key.to_vec()), value.map(<[u8]>::to_vec))])).unwrap();
}

#[track_caller]
fn is_refused_with_advice(server: &Server) {
    let said = lodge(server, &["serve"]).expect(12);
    assert!(ADVICE.iter().all(|way| said.err.contains(way)), "{}", said.err);
}

#[test]
fn a_sound_store_is_told_in_one_line_while_the_server_runs_and_when_it_does_not() {
    let (mut server, _) = with_one_of_each();

    let running = lodge(&server, &["verify"]).expect(0);
    server.stop();
    let stopped = lodge(&server, &["verify"]).expect(0);

    let line = "the store agrees with itself: 2 users, 1 configurations, 1 API keys, 0 sessions\n";
    assert_eq!([running.out.as_str(), stopped.out.as_str()], [line, line]);
    assert_eq!([running.err.as_str(), stopped.err.as_str()], ["", ""]);
}

#[test]
fn a_store_with_a_damaged_row_is_not_served_until_a_backup_takes_its_place() {
    type Damage = (Tree, &'static [u8], Option<&'static [u8]>);
    let damages: [Damage; 5] = [
        (Tree::UsersByUsername, b"ann", None),
        (Tree::UsersByUsername, b"ann", Some(&[0, 0, 0, 1])),
        (Tree::UsersByUsername, b"zoe", Some(&[0, 0, 0, 2])),
        (Tree::Users, &[0, 0, 0, 2], None),
        (Tree::Meta, b"integrity", None),
    ];
    let (mut server, _) = with_one_of_each();
    let file = crate::back_up(&server, "backup");
    for (tree, key, value) in damages {
        server.stop();
        change(&server, tree, key, value);
        is_refused_with_advice(&server);
        let verified = lodge(&server, &["verify"]);
        assert_ne!(verified.code, Some(0), "{}", verified.out);
        lodge(&server, &["restore", text(&file)]).expect(0);
        server.start_again();
        assert_eq!(usernames(&server), ["admin", "ann"]);
    }
}

#[test]
fn a_server_goes_on_with_what_is_left_only_if_it_is_told_to() {
    let (mut server, key) = with_one_of_each();
    server.stop();
    change(&server, Tree::UsersByUsername, b"ann", None);
    is_refused_with_advice(&server);

    // It goes on up to the address, which is in use.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    run(&mut server.command(&["serve", "--accept-loss", "--listen", &listen])).expect(14);
    server.start_again();

    assert_eq!(usernames(&server), ["admin", "ann"]);
    server.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
    server.stop();
    lodge(&server, &["verify"]).expect(0);
    assert_eq!(crate::entries_beginning(&server.data_dir(), "store.replaced-").len(), 1);
}

#[test]
fn a_store_that_lost_its_files_or_its_witness_is_not_served() {
    for name in ["db", "witness"] {
        let (mut server, _) = with_one_of_each();
        server.stop();
        fs::remove_file(store_of(&server).join(name)).unwrap();
        is_refused_with_advice(&server);
    }
}
