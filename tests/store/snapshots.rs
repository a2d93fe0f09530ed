//! A snapshot is the store at its moment, whatever is written afterwards and while it is read.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use lodge::store::{
    Snapshot, Store,
    engine::{Engine, KeyRange, Tree},
    memory::Memory,
    sled::Sled,
    table::ReadRows,
};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use crate::{
    histories::{any_step, runtime},
    model::{Step, Undone, one_case_in, perform},
    values::{configuration, id, user},
};

/// How many users there are at first, with every second id; a snapshot reads 512 rows at a time.
const USERS: u32 = 1600;
/// How many writes happen while snapshots are read.
const WRITES: usize = 150;
/// How many rows are read between two writes.
const ROWS_BETWEEN: usize = 20;

/// Every row of every tree.
type Copy = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

fn in_memory() -> Store {
    Store::over(Arc::new(Memory::default()))
}

fn on_disk() -> (TempDir, Store) {
    let directory = TempDir::new().unwrap();
    let sled: Arc<dyn Engine> = Arc::new(Sled::open(directory.path(), 8 << 20).unwrap());
    (directory, Store::over(sled))
}

fn write(store: &Store, steps: Vec<Step>) {
    let work = |txn: &mut lodge::store::Txn<'_>| steps.into_iter().try_for_each(|step| perform(txn, step).map(drop));
    let _: Result<(), Undone> = runtime().block_on(store.write(work));
}

fn fill(store: &Store) {
    runtime().block_on(store.initialise()).unwrap();
    let users = (1..=USERS).map(|number| Step::PutUser(user(2 * number, &format!("user-{number}"))));
    write(store, users.collect());
}

/// A write that removes a user, makes another where none was, and changes a third with a setting, all over the place.
fn turbulence(number: usize) -> Vec<Step> {
    let place = |stride: usize| u32::try_from(number * stride).unwrap() % USERS;
    let (gone, made, changed) = (2 * (1 + place(1021)), 2 * place(617) + 1, 2 * (1 + place(389)));
    vec![
        Step::RemoveUser(id(gone)),
        Step::PutUser(user(made, &format!("new-{made}"))),
        Step::PutUser(user(changed, &format!("changed-{changed}-{number}"))),
        Step::PutConfiguration(configuration(changed, u32::try_from(number).unwrap() + 1, &number.to_string(), "x")),
    ]
}

fn read(rows: &impl ReadRows, during: &mut dyn FnMut()) -> Copy {
    let mut copy = Copy::new();
    for tree in Tree::ALL {
        let visit = &mut |key: &[u8], value: &[u8]| {
            let is_new = copy.insert((tree, key.to_vec()), value.to_vec()).is_none();
            assert!(is_new, "a row of `{tree}` is read twice");
            during();
            ControlFlow::Continue(())
        };
        rows.scan(tree, &KeyRange::all(), visit).unwrap();
    }
    copy
}

fn copy(rows: &impl ReadRows) -> Copy {
    read(rows, &mut || {})
}

/// The rows of the one that are different in the other or not in it; two whole copies would be too much to read.
fn differences(one: &Copy, other: &Copy) -> Vec<(Tree, Vec<u8>)> {
    let rows: BTreeSet<_> = one.keys().chain(other.keys()).collect();
    rows.into_iter().filter(|row| one.get(*row) != other.get(*row)).cloned().collect()
}

/// The rows that the snapshot has otherwise when it is asked for one at a time, of all there were or are.
fn differently_got(snapshot: &Snapshot, moment: &Copy, present: &Copy) -> Vec<(Tree, Vec<u8>)> {
    let rows: BTreeSet<_> = moment.keys().chain(present.keys()).collect();
    let got = |row: &(Tree, Vec<u8>)| snapshot.get(row.0, &row.1).unwrap();
    rows.into_iter().filter(|row| got(row).as_ref() != moment.get(*row)).cloned().collect()
}

fn is_read_whole_while_writes_go_on_between_its_rows(store: &Store) {
    fill(store);
    let moment = copy(store);
    let snapshot = store.snapshot().unwrap();
    let (mut rows, mut writes) = (0, 0);

    let found = read(&snapshot, &mut || {
        rows += 1;
        if rows % ROWS_BETWEEN == 0 {
            write(store, turbulence(writes));
            writes += 1;
        }
    });

    let present = copy(store);
    assert!(writes > 100 && differences(&moment, &present).len() > 100);
    assert_eq!(differences(&found, &moment), []);
    assert_eq!(differences(&copy(&snapshot), &moment), []);
    assert_eq!(differently_got(&snapshot, &moment, &present), []);
}

#[test]
fn in_memory_a_snapshot_is_read_whole_while_writes_go_on_between_its_rows() {
    is_read_whole_while_writes_go_on_between_its_rows(&in_memory());
}

#[test]
fn on_disk_a_snapshot_is_read_whole_while_writes_go_on_between_its_rows() {
    let (_directory, store) = on_disk();
    is_read_whole_while_writes_go_on_between_its_rows(&store);
}

/// Takes snapshots at several moments of a writer's work, and reads each again and again beside it.
fn several_are_their_moments_beside_a_writer(store: &Store) {
    fill(store);
    let (between_writes, written, read) = (Mutex::new(()), AtomicUsize::new(0), AtomicUsize::new(0));
    let moments = 3;
    thread::scope(|scope| {
        scope.spawn(|| {
            for number in 0.. {
                if read.load(Ordering::SeqCst) == moments {
                    return;
                }
                let _alone = between_writes.lock().unwrap();
                write(store, turbulence(number));
                written.fetch_add(1, Ordering::SeqCst);
            }
        });
        for _ in 0..moments {
            scope.spawn(|| {
                let is_same = is_its_moment(store, &between_writes, &written);
                read.fetch_add(1, Ordering::SeqCst);
                assert!(is_same, "a snapshot is not the store at its moment");
            });
        }
    });
}

/// Whether a snapshot stays what the store is now, while so many writes are done.
fn is_its_moment(store: &Store, between_writes: &Mutex<()>, written: &AtomicUsize) -> bool {
    let (moment, snapshot, start) = {
        let _alone = between_writes.lock().unwrap();
        (copy(store), store.snapshot().unwrap(), written.load(Ordering::SeqCst))
    };
    while written.load(Ordering::SeqCst) < start + WRITES {
        let is_same = copy(&snapshot) == moment && differently_got(&snapshot, &moment, &moment).is_empty();
        if !is_same {
            return false;
        }
    }
    true
}

#[test]
fn in_memory_several_snapshots_are_their_moments_beside_a_writer() {
    several_are_their_moments_beside_a_writer(&in_memory());
}

#[test]
fn on_disk_several_snapshots_are_their_moments_beside_a_writer() {
    let (_directory, store) = on_disk();
    several_are_their_moments_beside_a_writer(&store);
}

#[test]
fn a_range_of_a_snapshot_ends_at_its_bound() {
    let store = in_memory();
    fill(&store);
    let users: Vec<_> = copy(&store).into_keys().filter(|(tree, _)| *tree == Tree::Users).map(|(_, key)| key).collect();
    let snapshot = store.snapshot().unwrap();
    (0..WRITES).for_each(|number| write(&store, turbulence(number)));

    let range = KeyRange { from: users[100].clone(), to: Some(users[900].clone()) };
    let mut found = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        found.push(key.to_vec());
        if found.len() % 700 == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    snapshot.scan(Tree::Users, &range, visit).unwrap();
    assert_eq!(found, users[100..800]);

    let rest = KeyRange { from: users[800].clone(), ..range };
    let mut found = Vec::new();
    let visit = &mut |key: &[u8], _: &[u8]| {
        found.push(key.to_vec());
        ControlFlow::Continue(())
    };
    snapshot.scan(Tree::Users, &rest, visit).unwrap();
    assert_eq!(found, users[800..900]);
}

proptest! {
    #![proptest_config(one_case_in(4))]

    #[test]
    fn after_any_history_every_snapshot_of_it_is_its_moment(
        history in vec((vec(any_step(), 1..6), any::<bool>()), 1..24),
    ) {
        let store = in_memory();
        let mut moments = Vec::new();

        for (steps, is_moment) in history {
            if is_moment {
                moments.push((copy(&store), store.snapshot().unwrap()));
            }
            write(&store, steps);
        }

        let present = copy(&store);
        for (moment, snapshot) in moments {
            prop_assert_eq!(&copy(&snapshot), &moment);
            prop_assert_eq!(differently_got(&snapshot, &moment, &present), []);
        }
    }
}
