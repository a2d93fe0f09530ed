//! Fills an empty engine.

use std::{
    ops::ControlFlow,
    path::Path,
    time::{Duration, Instant},
};

use crate::store::{
    StoreError,
    checkpoint::{self, CheckpointError},
    engine::{Changes, Engine, EngineError, KeyRange, Tree},
};

/// How many rows are written at once, and how many bytes.
const BATCH_ROWS: usize = 1000;
const BATCH_BYTES: usize = 1 << 20;
/// How often a long rebuild is reported.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// Fills an empty engine with the rows of a checkpoint.
pub(in crate::store) fn load(engine: &dyn Engine, checkpoint: &Path) -> Result<(), CheckpointError> {
    let mut batch = Batch { engine, changes: Changes::new(), bytes: 0 };
    let mut progress = Progress::new("rows of the checkpoint loaded");
    let failed = |error| CheckpointError::Store(StoreError::Failed(error));
    checkpoint::read(checkpoint, |tree, key, value| {
        progress.count();
        batch.put(tree, key, value).map_err(failed)
    })?;
    batch.write().map_err(failed)
}

/// Copies all rows of one engine into another, empty one.
pub(super) fn copy_rows(from: &dyn Engine, to: &dyn Engine) -> Result<(), EngineError> {
    let mut batch = Batch { engine: to, changes: Changes::new(), bytes: 0 };
    for tree in Tree::ALL {
        let mut written = Ok(());
        from.scan(tree, &KeyRange::all(), &mut |key, value| {
            written = batch.put(tree, key, value);
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written?;
    }
    batch.write()
}

/// Rows that are written together.
struct Batch<'a> {
    engine: &'a dyn Engine,
    changes: Changes,
    bytes: usize,
}

impl Batch<'_> {
    fn put(&mut self, tree: Tree, key: &[u8], value: &[u8]) -> Result<(), EngineError> {
        self.bytes += key.len() + value.len();
        self.changes.insert((tree, key.to_vec()), Some(value.to_vec()));
        if self.changes.len() < BATCH_ROWS && self.bytes < BATCH_BYTES { Ok(()) } else { self.write() }
    }

    fn write(&mut self) -> Result<(), EngineError> {
        self.bytes = 0;
        self.engine.commit(&std::mem::take(&mut self.changes))
    }
}

/// Reports the progress of a long rebuild in the log.
pub(super) struct Progress {
    what: &'static str,
    count: u64,
    reported: Instant,
}

impl Progress {
    pub(super) fn new(what: &'static str) -> Self {
        Self { what, count: 0, reported: Instant::now() }
    }

    pub(super) fn count(&mut self) {
        self.count += 1;
        if self.count.is_multiple_of(1000) && self.reported.elapsed() > REPORT_EVERY {
            self.reported = Instant::now();
            log::info!("rebuilding the index: {} {}", self.count, self.what);
        }
    }
}
