//! The committer: who waits together is made durable together, and a failure of the storage ends all writing.

use std::{
    future::Future,
    panic::resume_unwind,
    sync::{Arc, mpsc},
};

use futures_util::{
    FutureExt,
    future::{join, join_all},
};
use lodge::{
    domain::{Id, Page},
    store::{Sequence, Store, StoreError, Tables, Txn, engine::Engine, memory::Memory, sled::Sled},
};
use tempfile::TempDir;
use tokio::{runtime::Builder, task::unconstrained};

use crate::{
    counting::Counting,
    values::{findings_beside_sequences, id, user},
};

/// How many writes may wait for the store beside the one that is being run.
const MAX_WAITING: u32 = 4096;

/// Why a write changed nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Undone {
    Asked,
    Panicked,
    Failed,
    Busy,
    Other(String),
}

impl From<StoreError> for Undone {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Panicked => Self::Panicked,
            StoreError::Failed(_) => Self::Failed,
            StoreError::Busy => Self::Busy,
            other => Self::Other(other.to_string()),
        }
    }
}

/// Runs the work unconstrained, so that no future waits for its turn before its write does.
fn run<T>(work: impl Future<Output = T>) -> T {
    Builder::new_current_thread().build().unwrap().block_on(unconstrained(work))
}

fn put(txn: &mut Txn<'_>, number: u32) -> u32 {
    txn.put(&user(number, &format!("user-{number}"))).unwrap();
    number
}

async fn add(store: &Store, number: u32) -> Result<u32, Undone> {
    store.write(move |txn| Ok(put(txn, number))).await
}

/// Holds up the store until the other writes are waiting too, so that they are one group.
async fn together<T>(store: &Store, others: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let (all_wait, all_waiting) = mpsc::channel();
    let first = store.write(move |_| {
        all_waiting.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    let others = join_all(others.into_iter().map(Box::pin));
    let open = async { all_wait.send(()).unwrap() };
    let (_, (others, ())) = join(first, join(others, open)).await;
    others
}

fn numbers(store: &Store) -> Vec<u32> {
    let page = store.users(Page { limit: Page::MAX, offset: 0 }).unwrap();
    page.records.iter().map(|user| user.id.get()).collect()
}

async fn next_user(store: &Store, number: u32) -> Result<u32, Undone> {
    store
        .write(move |txn| {
            let id = txn.next_id(Sequence::Users)?.get();
            txn.put(&user(id, &format!("user-{number}"))).unwrap();
            match number {
                13 => Err(Undone::Asked),
                // A panic without a message, where `panic!` would print it among the results of the tests.
                31 => resume_unwind(Box::new("a bug in this write")),
                _ => Ok(id),
            }
        })
        .await
}

fn writes_that_fail_change_nothing_and_the_others_are_kept(store: &Store) {
    let outcomes = run(join_all((0..64).map(|number| next_user(store, number))));

    let mut ids = 1..=62;
    let expected: Vec<_> = (0..64)
        .map(|number| match number {
            13 => Err(Undone::Asked),
            31 => Err(Undone::Panicked),
            _ => Ok(ids.next().unwrap()),
        })
        .collect();
    assert_eq!(outcomes, expected);
    assert_eq!(numbers(store), (1..=62).collect::<Vec<_>>());
    assert_eq!(store.user_by_username("user-13").unwrap(), None);
    assert_eq!(store.user_by_username("user-31").unwrap(), None);
    assert_eq!(findings_beside_sequences(store).faults, [""; 0]);
}

#[test]
fn in_memory_writes_that_fail_change_nothing_and_the_others_are_kept() {
    writes_that_fail_change_nothing_and_the_others_are_kept(&Store::over(Arc::new(Memory::default())));
}

#[test]
fn on_disk_writes_that_fail_change_nothing_and_the_others_are_kept() {
    let directory = TempDir::new().unwrap();
    let sled = Sled::open(directory.path(), 1 << 20).unwrap();
    writes_that_fail_change_nothing_and_the_others_are_kept(&Store::over(Arc::new(sled)));
}

#[test]
fn writes_that_wait_together_are_one_commit() {
    let engine = Arc::new(Counting::default());
    let store = Store::over(Arc::clone(&engine) as Arc<dyn Engine>);

    let outcomes = run(together(&store, (1..=64).map(|number| add(&store, number))));

    assert_eq!(outcomes, (1..=64).map(Ok).collect::<Vec<_>>());
    assert_eq!(engine.commits(), 1);
}

#[test]
fn a_write_sees_those_before_it_in_its_group() {
    let store = Store::over(Arc::new(Memory::default()));
    let count = || store.write(|txn| Ok::<_, StoreError>(txn.users(Page { limit: 0, offset: 0 })?.count));
    let add_and_count = async |number| {
        let (added, counted) = join(add(&store, number), count()).await;
        (added.unwrap(), counted.unwrap())
    };

    let outcomes = run(together(&store, (1..=3).map(add_and_count)));

    assert_eq!(outcomes, [(1, 1), (2, 2), (3, 3)]);
}

#[test]
fn a_write_that_changes_nothing_is_no_commit() {
    let engine = Arc::new(Counting::default());
    let store = Store::over(Arc::clone(&engine) as Arc<dyn Engine>);

    let read: Result<_, StoreError> = run(store.write(|txn| txn.user(id(1))));
    let undone: Result<(), _> = run(store.write(|txn| {
        put(txn, 1);
        Err(Undone::Asked)
    }));

    assert_eq!(read.unwrap(), None);
    assert_eq!(undone, Err(Undone::Asked));
    assert_eq!(engine.commits(), 0);
}

#[test]
fn once_a_commit_has_failed_nothing_is_acknowledged_any_more() {
    let engine = Arc::new(Counting::refusing(3));
    let store = Store::over(Arc::clone(&engine) as Arc<dyn Engine>);
    let failure = store.failure();
    assert_eq!(run(add(&store, 1)), Ok(1));
    assert_eq!(run(add(&store, 2)), Ok(2));
    assert!(failure.borrow().is_none());

    let group = run(together(&store, (3..=7).map(|number| add(&store, number))));
    let later = run(join_all((8..=10).map(|number| add(&store, number))));
    let without_changes = run(store.write(|_| Ok::<_, Undone>(())));

    assert_eq!(group, vec![Err(Undone::Failed); 5]);
    assert_eq!(later, vec![Err(Undone::Failed); 3]);
    assert_eq!(without_changes, Err(Undone::Failed));
    assert_eq!(failure.borrow().as_ref().map(ToString::to_string), Some("the file system failed".to_owned()));
    assert!(failure.has_changed().unwrap());
    assert_eq!(engine.commits(), 3, "nothing is handed to an engine that has failed");
}

#[test]
fn reads_go_on_after_a_failed_commit() {
    let store = Store::over(Arc::new(Counting::refusing(2)));
    assert_eq!(run(add(&store, 1)), Ok(1));
    assert_eq!(run(add(&store, 2)), Err(Undone::Failed));

    assert_eq!(numbers(&store), [1]);
    assert_eq!(store.user(id(1)).unwrap(), Some(user(1, "user-1")));
    assert_eq!(findings_beside_sequences(&store).faults, [""; 0]);
}

#[test]
fn a_write_is_kept_when_nobody_waits_for_it_any_more() {
    let store = Store::over(Arc::new(Memory::default()));

    let _ = add(&store, 1).now_or_never();
    let after: Result<Option<Id>, StoreError> = run(store.write(|txn| Ok(txn.user(id(1))?.map(|user| user.id))));

    assert_eq!(after.unwrap(), Some(id(1)));
}

#[test]
fn one_write_too_many_is_refused_at_once_and_the_waiting_ones_are_kept() {
    let store = Store::over(Arc::new(Memory::default()));
    let (runs, is_run) = mpsc::channel();
    let (all_wait, all_waiting) = mpsc::channel();
    let running = store.write(move |_| {
        runs.send(()).unwrap();
        all_waiting.recv().unwrap();
        Ok::<_, StoreError>(())
    });
    let refused = async {
        is_run.recv().unwrap();
        let waiting = join_all((1..=MAX_WAITING).map(|_| Box::pin(store.write(next_number))));
        let one_more = async {
            let refused = add(&store, 1).await;
            all_wait.send(()).unwrap();
            refused
        };
        join(waiting, one_more).await
    };

    let (running, (waiting, one_more)) = run(join(running, refused));

    running.unwrap();
    assert_eq!(one_more, Err(Undone::Busy));
    assert_eq!(waiting, (1..=u64::from(MAX_WAITING)).map(Ok).collect::<Vec<_>>());
}

fn next_number(txn: &mut Txn<'_>) -> Result<u64, Undone> {
    Ok(txn.next_number(Sequence::Sessions)?)
}
