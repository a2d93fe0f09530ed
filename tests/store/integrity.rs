//! The integrity record: it follows every history, and a loss contradicts it.

use std::{fs, path::Path, sync::Arc};

use lodge::store::{
    DiskReserve, Loss, Store,
    engine::{Changes, Engine, KeyRange, Tree},
    integrity::{Integrity, RowHasher},
    memory::Memory,
    sled::{OpenError, Sled},
    table::ReadRows,
};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use crate::{
    counting::Counting,
    histories::{any_step, runtime},
    model::{Step, Undone, one_case_in, perform},
    values::{configuration, user},
};

const CACHE_BYTES: u64 = 1 << 20;

fn open(directory: &Path) -> Store {
    Store::open(directory, CACHE_BYTES, DiskReserve::NONE).unwrap()
}

fn initialise(store: &Store) {
    runtime().block_on(store.initialise()).unwrap();
}

/// One write of these steps; one that is refused changes nothing.
fn write(store: &Store, steps: Vec<Step>) {
    let work = |txn: &mut lodge::store::Txn<'_>| steps.into_iter().try_for_each(|step| perform(txn, step).map(drop));
    let _: Result<(), Undone> = runtime().block_on(store.write(work));
}

fn stored(rows: &dyn ReadRows) -> Integrity {
    Integrity::stored(rows).unwrap().expect("the store was initialised")
}

/// What the rows themselves add up to, under the number of the last commit.
fn scanned(rows: &dyn ReadRows) -> Integrity {
    let hasher = RowHasher::of(rows).unwrap().expect("the store was initialised");
    Integrity { commit: stored(rows).commit, ..Integrity::scan_all(rows, &hasher, &mut |_| {}).unwrap() }
}

proptest! {
    #![proptest_config(one_case_in(4))]

    #[test]
    fn after_any_history_the_store_knows_its_rows_and_has_counted_its_commits(
        history in vec(vec(any_step(), 1..6), 1..24),
    ) {
        let engine = Arc::new(Counting::default());
        let store = Store::over(Arc::clone(&engine) as Arc<dyn Engine>);
        initialise(&store);

        for steps in history {
            write(&store, steps);
            prop_assert_eq!(stored(&store).commit, engine.commits());
            prop_assert_eq!(stored(&store), scanned(&store));
        }
        prop_assert_eq!(store.loss().unwrap(), Loss::new());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_store_on_disk_knows_its_rows_and_goes_on_counting_when_it_is_opened_again(
        history in vec(vec(any_step(), 1..6), 1..12),
    ) {
        let directory = TempDir::new().unwrap();
        initialise(&open(directory.path()));

        for steps in history {
            let store = open(directory.path());
            let before = stored(&store);
            write(&store, steps);
            let after = stored(&store);
            let is_same = after == before;
            prop_assert!(is_same || after.commit == before.commit + 1, "{before:?}, then {after:?}");
            prop_assert_eq!(after, scanned(&store));
        }
    }
}

/// Three users in memory, the first with two configurations.
fn in_memory() -> (Arc<Memory>, Store) {
    let memory = Arc::new(Memory::default());
    let store = Store::over(Arc::clone(&memory) as Arc<dyn Engine>);
    fill(&store);
    (memory, store)
}

fn fill(store: &Store) {
    initialise(store);
    let users = ["ann", "bob", "cid"].into_iter().zip(1..).map(|(name, id)| Step::PutUser(user(id, name)));
    let settings =
        [(1, "theme"), (2, "language")].map(|(id, key)| Step::PutConfiguration(configuration(1, id, key, "")));
    write(store, users.chain(settings).collect());
}

fn rows_of(rows: &(impl ReadRows + ?Sized), tree: Tree) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut found = Vec::new();
    let visit = &mut |key: &[u8], value: &[u8]| {
        found.push((key.to_vec(), value.to_vec()));
        std::ops::ControlFlow::Continue(())
    };
    rows.scan(tree, &KeyRange::all(), visit).unwrap();
    found
}

/// A change that puts this value, or nothing, where the tree's row of that position is.
fn instead(store: &Store, tree: Tree, position: usize, value: Option<&[u8]>) -> Changes {
    let key = rows_of(store, tree).swap_remove(position).0;
    Changes::from([((tree, key), value.map(<[u8]>::to_vec))])
}

#[test]
fn rows_added_or_removed_without_the_store_are_counted_tree_by_tree() {
    let (memory, store) = in_memory();
    let mut changes = instead(&store, Tree::Users, 2, None);
    changes.extend(instead(&store, Tree::Configurations, 0, None));
    changes.extend(instead(&store, Tree::Configurations, 1, None));
    changes.insert((Tree::Sessions, b"a row".to_vec()), Some(Vec::new()));

    memory.commit(&changes).unwrap();

    let loss = [
        "`users` has 2 rows instead of 3",
        "`configurations` has 0 rows instead of 2",
        "`sessions` has 1 rows instead of 0",
    ];
    assert_eq!(store.loss().unwrap(), loss);
}

#[test]
fn a_value_changed_without_the_store_is_noticed() {
    let (memory, store) = in_memory();

    memory.commit(&instead(&store, Tree::Users, 0, Some(b"something else"))).unwrap();

    assert_eq!(store.loss().unwrap(), ["rows were changed outside of a commit"]);
}

#[test]
fn values_that_changed_places_are_noticed() {
    let (memory, store) = in_memory();
    let users = rows_of(&store, Tree::Users);
    let mut changes = instead(&store, Tree::Users, 0, Some(&users[1].1));
    changes.extend(instead(&store, Tree::Users, 1, Some(&users[0].1)));

    memory.commit(&changes).unwrap();

    assert_eq!(store.loss().unwrap(), ["rows were changed outside of a commit"]);
}

#[test]
fn a_store_that_knows_nothing_of_itself_any_more_has_lost_it() {
    for row in ["integrity", "digest_key"] {
        let (memory, store) = in_memory();

        memory.commit(&Changes::from([((Tree::Meta, row.into()), None)])).unwrap();

        assert_eq!(store.loss().unwrap(), ["the integrity record is missing"]);
    }
}

/// A store on disk with what [`fill`] writes, closed in order.
fn on_disk() -> TempDir {
    let directory = TempDir::new().unwrap();
    let store = open(directory.path());
    fill(&store);
    store.finish();
    directory
}

/// What a store that is not opened is reported to have lost.
fn lost(directory: &TempDir) -> String {
    match Store::open(directory.path(), CACHE_BYTES, DiskReserve::NONE) {
        Err(OpenError::Lost { what, .. }) => what,
        other => panic!("it is not refused as lost: {other:?}"),
    }
}

fn copy_files(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap).filter(|entry| entry.path().is_file()) {
        fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn a_store_that_was_closed_in_order_is_opened() {
    let directory = on_disk();
    assert_eq!(open(directory.path()).loss().unwrap(), Loss::new());
}

#[test]
fn a_store_older_than_its_checkpoint_is_refused_with_both_numbers() {
    let (directory, older) = (on_disk(), TempDir::new().unwrap());
    copy_files(directory.path(), older.path());
    let store = open(directory.path());
    (4..=6).for_each(|number| write(&store, vec![Step::PutUser(user(number, &format!("user-{number}")))]));
    store.finish();
    drop(store);

    fs::copy(directory.path().join("witness"), older.path().join("witness")).unwrap();

    assert_eq!(lost(&older), "its last commit is number 2, and number 5 was acknowledged");
}

#[test]
fn a_store_beside_the_witness_of_another_is_refused() {
    let (directory, other) = (on_disk(), on_disk());

    fs::copy(other.path().join("witness"), directory.path().join("witness")).unwrap();

    assert_eq!(lost(&directory), "the file `witness` beside it belongs to another store");
}

#[test]
fn a_store_without_its_witness_is_refused() {
    let directory = on_disk();

    fs::remove_file(directory.path().join("witness")).unwrap();

    assert_eq!(lost(&directory), "the file `witness` beside it is missing");
}

#[test]
fn a_store_with_a_damaged_witness_is_refused() {
    let directory = on_disk();

    fs::write(directory.path().join("witness"), [0; 8192]).unwrap();

    assert_eq!(lost(&directory), "the file `witness` beside it is damaged");
}

#[test]
fn a_witness_without_the_store_is_not_a_new_store() {
    let directory = on_disk();

    fs::remove_file(directory.path().join("db")).unwrap();

    assert_eq!(lost(&directory), "its file `db` is missing");
    assert!(!directory.path().join("db").exists());
}

#[test]
fn a_store_whose_making_ended_between_the_two_pieces_of_its_settings_is_made_again() {
    let settings = fs::read(on_disk().path().join("conf")).unwrap();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("conf"), &settings[..settings.len() - 4]).unwrap();

    fill(&open(directory.path()));

    assert_eq!(fs::read(directory.path().join("conf")).unwrap(), settings);
}

#[test]
fn a_store_that_lacks_rows_is_refused_with_their_number_tree_by_tree() {
    let directory = on_disk();
    let users = rows_of(&open(directory.path()), Tree::Users);
    let sled = Sled::open(directory.path(), CACHE_BYTES).unwrap();

    sled.commit(&Changes::from([((Tree::Users, users[1].0.clone()), None)])).unwrap();
    drop(sled);

    assert_eq!(lost(&directory), "`users` has 2 rows instead of 3");
    assert_eq!(lost(&directory), "`users` has 2 rows instead of 3");
}
