//! Checkpoints made while the store is written, and the exchange of an index that has outgrown its rows.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use lodge::{
    files::bytes_below,
    store::{CheckpointPolicy, DiskReserve, Loss, Store, StoreError, Tables, Txn, integrity::Integrity},
};
use tempfile::TempDir;

use crate::{
    harness::repetitions::repetitions,
    histories::runtime,
    values::{configuration, id, user},
};

const CACHE_BYTES: u64 = 1 << 20;
/// Small segments, so that a test writes several.
const ROOM: DiskReserve = DiskReserve { segment_bytes: 256 << 10, ..DiskReserve::NONE };
/// How long anything may take.
const TIMEOUT: Duration = Duration::from_mins(1);
const VALUE_BYTES: usize = 8 << 10;
const CONFIGURATIONS: u32 = 8;

fn open(directory: &Path) -> Store {
    Store::open(directory, CACHE_BYTES, ROOM).unwrap()
}

/// A store with a user, whose journal may have so many bytes after a checkpoint.
fn maintained(directory: &Path, journal_bytes: u64, index_bytes: u64) -> Store {
    let store = open(directory);
    runtime().block_on(store.initialise()).unwrap();
    store.write_blocking(|txn| txn.put(&user(1, "ann")).map_err(|_| StoreError::Closed)).unwrap();
    let policy = CheckpointPolicy { journal_bytes, age: Duration::from_hours(1), index_bytes };
    store.maintain(directory, policy).unwrap();
    store
}

/// A text that compression makes a quarter smaller at most, and that the number determines.
fn text(number: u32) -> String {
    let mut state = u64::from(number) | 1;
    let digits = (0..VALUE_BYTES).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'0' + u8::try_from(state >> 58).unwrap())
    });
    digits.collect()
}

fn put(store: &Store, number: u32) {
    let (slot, text) = (1 + number % CONFIGURATIONS, text(number));
    let record = configuration(1, slot, &format!("key-{slot}"), &text);
    store.write_blocking(move |txn| txn.put(&record).map_err(|_| StoreError::Closed)).unwrap();
}

fn values(store: &Store) -> BTreeMap<u32, String> {
    let found = (1..=CONFIGURATIONS).filter_map(|slot| store.configuration(id(1), id(slot)).unwrap());
    found.map(|found| (found.id.get(), found.value.as_str().to_owned())).collect()
}

fn files(directory: &Path, name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory.join(name)).into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_whole = |path: &PathBuf| path.extension().is_none();
    let mut files: Vec<_> = entries.filter(is_whole).collect();
    files.sort();
    files
}

/// Writes until something holds; returns the next number.
fn write_until(store: &Store, mut number: u32, holds: impl Fn() -> bool) -> u32 {
    let deadline = Instant::now() + TIMEOUT;
    while !holds() {
        assert!(Instant::now() < deadline, "it does not come about in {number} writes");
        put(store, number);
        number += 1;
    }
    number
}

fn assert_is_whole(directory: &Path, expected: &BTreeMap<u32, String>, commit: u64) {
    let store = open(directory);
    assert_eq!(Integrity::stored(&store).unwrap().unwrap().commit, commit);
    assert_eq!(values(&store), *expected);
    assert_eq!(store.loss().unwrap(), Loss::new());
}

#[test]
fn a_store_is_rebuilt_from_either_checkpoint_and_the_journal_after_it() {
    let directory = TempDir::new().unwrap();
    let store = maintained(directory.path(), 1 << 20, u64::MAX / 4);
    let first_segment = files(directory.path(), "journal").remove(0);

    let has_two = || files(directory.path(), "checkpoints").len() == 2 && !first_segment.exists();
    let next = write_until(&store, 1, has_two);
    put(&store, next);
    let (expected, commit) = (values(&store), Integrity::stored(&store).unwrap().unwrap().commit);
    drop(store);

    for damaged in 0..3 {
        fs::remove_dir_all(directory.path().join("index")).unwrap();
        let checkpoints = files(directory.path(), "checkpoints");
        assert!(checkpoints.len() == 2, "{checkpoints:?}");
        if damaged < 2 {
            if let Some(newest) = checkpoints.iter().rev().take(damaged).next() {
                fs::write(newest, "something else").unwrap();
            }
            assert_is_whole(directory.path(), &expected, commit);
        } else {
            for file in &checkpoints {
                fs::write(file, "something else").unwrap();
            }
            let refused = Store::open(directory.path(), CACHE_BYTES, ROOM).unwrap_err().to_string();
            assert!(refused.contains("no sound checkpoint leads there"), "{refused}");
        }
    }
}

/// How many rounds of rewriting everything there are, unless `LODGE_TEST_GROWTH` is set.
const ROUNDS: usize = 40;

#[test]
fn a_store_that_is_rewritten_again_and_again_keeps_within_its_bound() {
    const WRITTEN_AT_ONCE: u32 = 128;
    let directory = TempDir::new().unwrap();
    let index_bytes = CheckpointPolicy::default().index_bytes;
    let store = maintained(directory.path(), CheckpointPolicy::default().journal_bytes, index_bytes);
    let row_bytes = u64::from(8 * WRITTEN_AT_ONCE) * VALUE_BYTES as u64;
    let bound = 4 * row_bytes + (256 << 20);

    let mut highest = 0;
    for round in 0..repetitions("LODGE_TEST_GROWTH", ROUNDS) {
        for first in (1..=8 * WRITTEN_AT_ONCE).step_by(WRITTEN_AT_ONCE as usize) {
            let text = text(u32::try_from(round).unwrap() * 1000 + first);
            let records =
                (first..first + WRITTEN_AT_ONCE).map(move |slot| configuration(1, slot, &slot.to_string(), &text));
            let put_all = move |txn: &mut Txn<'_>| records.clone().try_for_each(|record| txn.put(&record));
            store.write_blocking(move |txn| put_all(txn).map_err(|_| StoreError::Closed)).unwrap();
        }
        highest = highest.max(bytes_below(directory.path()));
        assert!(highest <= bound, "{highest} bytes for {row_bytes} of rows after {round} rounds");
    }
    eprintln!("at most {highest} bytes for {row_bytes} of rows; {bound} are allowed");
    assert_eq!(store.loss().unwrap(), Loss::new());
}

#[test]
fn an_index_that_outgrows_its_rows_is_exchanged_while_it_is_read_and_written() {
    let directory = TempDir::new().unwrap();
    let store = maintained(directory.path(), 4 << 20, 0);
    let index = directory.path().join("index/db");
    let inode = || fs::metadata(&index).map_or(0, |metadata| metadata.ino());
    let (first, is_over) = (inode(), AtomicBool::new(false));

    let expected = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                assert!(store.user(id(1)).unwrap().is_some(), "the user is always there");
                assert_eq!(store.loss().unwrap(), Loss::new(), "a snapshot is whole");
            }
        });
        let next = write_until(&store, 1, || ![0, first].contains(&inode()) || reader.is_finished());
        (next..next + 50).for_each(|number| put(&store, number));
        is_over.store(true, Ordering::SeqCst);
        reader.join().unwrap();
        values(&store)
    });

    let commit = Integrity::stored(&store).unwrap().unwrap().commit;
    assert!(inode() != first && store.failure().borrow().is_none());
    drop(store);
    assert_is_whole(directory.path(), &expected, commit);
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    assert_is_whole(directory.path(), &expected, commit);
}
