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
    harness::older::make_older,
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
fn lost(directory: &Path) -> String {
    match Store::open(directory, CACHE_BYTES, DiskReserve::NONE) {
        Err(OpenError::Lost { what, .. }) => what,
        other => panic!("it is not refused as lost: {other:?}"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[test]
fn a_store_that_was_closed_in_order_is_opened() {
    let directory = on_disk();
    assert_eq!(open(directory.path()).loss().unwrap(), Loss::new());
}

/// A store on disk as a server of format 4 would have written it.
fn older_on_disk() -> TempDir {
    let directory = on_disk();
    make_older(directory.path(), |_| {});
    directory
}

#[test]
fn a_store_of_an_older_format_that_was_closed_in_order_is_opened() {
    let store = open(older_on_disk().path());
    assert!(store.is_older());
    assert_eq!((store.loss().unwrap(), rows_of(&store, Tree::Users).len()), (Loss::new(), 3));
}

#[test]
fn a_store_of_an_older_format_that_lags_its_witness_is_refused_with_both_numbers() {
    let (directory, older) = (on_disk(), TempDir::new().unwrap());
    copy(directory.path(), &older.path().join("store"));
    let store = open(directory.path());
    (4..=6).for_each(|number| write(&store, vec![Step::PutUser(user(number, &format!("user-{number}")))]));
    store.finish();
    drop(store);
    make_older(directory.path(), |_| {});
    let older = older.path().join("store");
    make_older(&older, |_| {});

    fs::copy(directory.path().join("witness"), older.join("witness")).unwrap();

    assert_eq!(lost(&older), "its last commit is number 2, and number 5 was acknowledged");
}

#[test]
fn a_store_of_an_older_format_beside_another_witness_or_without_one_or_without_its_file_is_refused() {
    let (directory, other) = (older_on_disk(), older_on_disk());
    let witness = directory.path().join("witness");

    fs::copy(other.path().join("witness"), &witness).unwrap();
    assert_eq!(lost(directory.path()), "the file `witness` beside it belongs to another store");
    fs::write(&witness, [0; 8192]).unwrap();
    assert_eq!(lost(directory.path()), "the file `witness` beside it is damaged");
    fs::remove_file(&witness).unwrap();
    assert_eq!(lost(directory.path()), "the file `witness` beside it is missing");

    fs::remove_file(other.path().join("db")).unwrap();
    assert_eq!(lost(other.path()), "its file `db` is missing");
    assert!(!other.path().join("db").exists());
}

#[test]
fn a_store_of_an_older_format_that_lacks_rows_is_refused_with_their_number_tree_by_tree() {
    let directory = older_on_disk();
    let users = rows_of(&open(directory.path()), Tree::Users);
    let sled = Sled::open(directory.path(), CACHE_BYTES).unwrap();

    sled.commit(&Changes::from([((Tree::Users, users[1].0.clone()), None)])).unwrap();
    drop(sled);

    assert_eq!(lost(directory.path()), "`users` has 2 rows instead of 3");
    assert_eq!(lost(directory.path()), "`users` has 2 rows instead of 3");
}

#[test]
fn an_index_whose_making_ended_between_the_two_pieces_of_its_settings_is_made_again() {
    let settings = fs::read(on_disk().path().join("index/conf")).unwrap();
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("conf"), &settings[..settings.len() - 4]).unwrap();

    drop(Sled::open(directory.path(), CACHE_BYTES).unwrap());

    assert_eq!(fs::read(directory.path().join("conf")).unwrap(), settings);
}

fn names(store: &Store) -> Vec<Vec<u8>> {
    rows_of(store, Tree::UsersByUsername).into_iter().map(|(name, _)| name).collect()
}

/// A change to the index of a store, given its directory and that of an older copy.
type Change = fn(&Path, &Path);

#[test]
fn whatever_happens_to_the_index_it_is_what_the_journal_says() {
    let changes: [(&str, Change); 7] = [
        ("it is gone", |index, _| fs::remove_dir_all(index).unwrap()),
        ("its file is gone", |index, _| fs::remove_file(index.join("db")).unwrap()),
        ("it is a file", |index, _| {
            fs::remove_dir_all(index).unwrap();
            fs::write(index, "something else").unwrap();
        }),
        ("it is an older copy", |index, older| {
            fs::remove_dir_all(index).unwrap();
            copy(older, index);
        }),
        ("it is another store's", |index, _| {
            fs::remove_dir_all(index).unwrap();
            copy(&on_disk().path().join("index"), index);
        }),
        ("a row is missing", |index, _| {
            let sled = Sled::open(index, CACHE_BYTES).unwrap();
            sled.commit(&Changes::from([((Tree::UsersByUsername, b"user-5".to_vec()), None)])).unwrap();
        }),
        ("it is marked as damaged", |index, _| fs::write(index.join("distrusted"), "").unwrap()),
    ];
    for (what, change) in changes {
        let (directory, older) = (on_disk(), TempDir::new().unwrap());
        let older = older.path().join("index");
        copy(&directory.path().join("index"), &older);
        let store = open(directory.path());
        (4..=6).for_each(|number| write(&store, vec![Step::PutUser(user(number, &format!("user-{number}")))]));
        drop(store);

        change(&directory.path().join("index"), &older);

        let store = open(directory.path());
        let expected = ["ann", "bob", "cid", "user-4", "user-5", "user-6"].map(|name| name.as_bytes().to_vec());
        assert_eq!(
            (names(&store), store.loss().unwrap(), stored(&store).commit),
            (expected.to_vec(), Loss::new(), 5),
            "{what}"
        );
    }
}

#[test]
fn a_journal_that_ends_before_its_index_is_refused_unless_the_index_is_damaged() {
    let (directory, newer) = (on_disk(), TempDir::new().unwrap());
    let newer = newer.path().join("store");
    copy(directory.path(), &newer);
    let store = open(&newer);
    write(&store, vec![Step::PutUser(user(4, "dot"))]);
    drop(store);
    let index = directory.path().join("index");
    fs::remove_dir_all(&index).unwrap();
    copy(&newer.join("index"), &index);

    assert_eq!(lost(directory.path()), "its journal ends with commit 2, and the index has commit 3");
    let sled = Sled::open(&index, CACHE_BYTES).unwrap();
    sled.commit(&Changes::from([((Tree::UsersByUsername, b"dot".to_vec()), None)])).unwrap();
    drop(sled);
    let store = open(directory.path());

    let expected = ["ann", "bob", "cid"].map(|name| name.as_bytes().to_vec());
    assert_eq!((names(&store), stored(&store).commit), (expected.to_vec(), 2));
    assert!(directory.path().join("index.replaced/db").exists(), "what was there is kept");
}

#[test]
fn an_index_or_a_checkpoint_without_its_journal_is_not_a_new_store() {
    let directory = on_disk();
    fs::remove_dir_all(directory.path().join("journal")).unwrap();

    assert!(lost(directory.path()).contains("is missing"), "{}", lost(directory.path()));
    fs::rename(directory.path().join("index"), directory.path().join("checkpoints")).unwrap();
    assert!(lost(directory.path()).contains("is missing"), "{}", lost(directory.path()));
}
