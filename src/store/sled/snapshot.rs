//! Consistent snapshots of the store, read while writes go on.
//!
//! sled has no snapshots. So before a group is applied, the committer saves the old values of its rows for every snapshot;
//! a reader looks there after it has read from the engine. A row without a saved value by then has not changed.

use std::{
    collections::BTreeMap,
    ops::ControlFlow,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::store::{
    StoreError,
    engine::{Changes, Engine, KeyRange, Tree, Visit},
    integrity::Before,
    table::ReadRows,
};

/// How many rows are read from the engine before their saved values are looked up.
const BATCH: usize = 512;

/// Rows by key, each with its value in the snapshot, `None` if the row did not exist.
type Noted = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

/// Rows of one tree by key.
type Batch = BTreeMap<Vec<u8>, Vec<u8>>;

/// The values that changed rows had when a snapshot was taken.
#[derive(Debug, Default)]
pub(in crate::store) struct Preimages(Mutex<Noted>);

impl Preimages {
    /// Saves the values of the rows that are about to change, unless they have been saved before.
    pub(in crate::store) fn note(&self, changes: &Changes, before: &Before) {
        let mut noted = self.noted();
        for (row, before) in changes.keys().zip(before) {
            noted.entry(row.clone()).or_insert_with(|| before.clone());
        }
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

/// The store as it was at one moment; later writes are not visible in it.
pub struct Snapshot {
    engine: Arc<dyn Engine>,
    preimages: Arc<Preimages>,
}

impl Snapshot {
    pub(in crate::store) fn new(engine: Arc<dyn Engine>, preimages: Arc<Preimages>) -> Self {
        Self { engine, preimages }
    }

    /// The first rows of the range, at most [`BATCH`], as the engine has them now; fewer if the range ends with them.
    fn batch(&self, tree: Tree, range: &KeyRange) -> Result<Batch, StoreError> {
        let mut rows = Batch::new();
        self.engine.scan(tree, range, &mut |key, value| {
            rows.insert(key.to_vec(), value.to_vec());
            if rows.len() < BATCH { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(rows)
    }

    /// Replaces the changed rows of the range by their saved values.
    fn restore(&self, tree: Tree, range: &KeyRange, rows: &mut Batch) {
        let noted = self.preimages.noted();
        let inside = noted.range((tree, range.from.clone())..);
        for ((_, key), before) in inside.take_while(|((of, key), _)| *of == tree && range.contains(key)) {
            match before {
                Some(before) => rows.insert(key.clone(), before.clone()),
                None => rows.remove(key),
            };
        }
    }
}

impl ReadRows for Snapshot {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let present = self.engine.get(tree, key)?;
        let noted = self.preimages.noted();
        Ok(noted.get(&(tree, key.to_vec())).cloned().unwrap_or(present))
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let mut from = range.from.clone();
        loop {
            let rest = KeyRange { from: from.clone(), to: range.to.clone() };
            let mut rows = self.batch(tree, &rest)?;
            let is_end = rows.len() < BATCH;
            let mut next_key = rows.last_key_value().map(|(key, _)| key.clone()).unwrap_or_default();
            next_key.push(0);
            let read = if is_end { rest } else { KeyRange { from, to: Some(next_key.clone()) } };
            self.restore(tree, &read, &mut rows);
            for (key, value) in &rows {
                if visit(key, value).is_break() {
                    return Ok(());
                }
            }
            if is_end {
                return Ok(());
            }
            from = next_key;
        }
    }
}
