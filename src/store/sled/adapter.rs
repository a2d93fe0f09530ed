//! The engine on disk: sled 0.34.7, with the syncs that it leaves out.

use std::{
    fs::{self, File},
    io,
    ops::{Bound, ControlFlow},
    panic::{self, AssertUnwindSafe},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::fs::{FlockOperation, flock};
use sled::{
    Batch,
    transaction::{ConflictableTransactionError, TransactionError, Transactional, TransactionalTree},
};

use super::{
    refusal::{OpenError, refusal},
    stall::StallWatch,
};
use crate::{
    files::{create_private, directory_of, sync_directory},
    store::engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
};

/// The size of sled's segments. sled writes larger nodes to files that it never syncs, so a segment is much larger than
/// the largest legal row. It cannot be changed once a store exists.
const SEGMENT_BYTES: usize = 8 << 20;

/// sled in a directory of its own.
pub struct Sled {
    path: Mutex<PathBuf>,
    open: Option<OpenTrees>,
    log: File,
    watch: Option<StallWatch>,
    has_failed: AtomicBool,
}

/// A file in its directory, once its rows are not to be used by another start.
const DISTRUSTED: &str = "distrusted";

/// The store and its trees, in the order of [`Tree::ALL`].
type OpenTrees = (sled::Db, Vec<sled::Tree>);

impl Sled {
    /// Opens the store in a directory, or creates an empty one; `cache_bytes` bounds sled's cache.
    ///
    /// # Errors
    /// [`OpenError`], also where sled panics.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        fs::create_dir_all(path).map_err(io)?;
        remove_unfinished(path).map_err(io)?;
        let configuration = sled::Config::new()
            .path(path)
            .cache_capacity(cache_bytes)
            .segment_size(SEGMENT_BYTES)
            // The failures of sled's own flusher would not be noticed.
            .flush_every_ms(None);
        let opened = catch_panic(|| open_trees(&configuration)).map_err(|error| refusal(path, error))?;
        let log = File::open(path.join("db")).map_err(io)?;
        let db = opened.0.clone();
        let watch = StallWatch::start(move || wake_stalled(&db)).map_err(io)?;
        // Built before the next step that can fail, so that a failure closes it as usual.
        let (directory, has_failed) = (path.to_owned(), AtomicBool::new(false));
        let sled = Self { path: Mutex::new(directory), open: Some(opened), log, watch: Some(watch), has_failed };
        sync_with_parent(path).map_err(io)?;
        Ok(sled)
    }

    /// Notes that its directory was renamed. sled itself uses the path at its start alone.
    pub(in crate::store) fn moved_to(&self, path: &Path) {
        path.clone_into(&mut self.path.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn open_trees(&self) -> &OpenTrees {
        self.open.as_ref().expect("it is open until it is dropped")
    }

    fn tree(&self, tree: Tree) -> &sled::Tree {
        &self.open_trees().1[tree as usize]
    }

    fn apply(&self, changes: &Changes) -> Result<(), EngineError> {
        let batches = batches(changes);
        self.open_trees()
            .1
            .as_slice()
            .transaction(|trees: &Vec<TransactionalTree>| {
                for (tree, batch) in trees.iter().zip(&batches) {
                    tree.apply_batch(batch)?;
                }
                Ok::<_, ConflictableTransactionError<()>>(())
            })
            .map_err(|error| match error {
                TransactionError::Storage(error) => library(error),
                TransactionError::Abort(()) => unreachable!("the transaction never aborts"),
            })
    }

    fn flush(&self) -> Result<(), EngineError> {
        self.open_trees().0.flush().map_err(library)?;
        // flush() syncs without the file's metadata: after a power cut a grown file would be short.
        Ok(self.log.sync_data()?)
    }

    /// Runs what a failure of sled would otherwise let wait for ever; after a failure these rows are not to be trusted.
    fn watched(&self, work: impl FnOnce() -> Result<(), EngineError>) -> Result<(), EngineError> {
        let watch = self.watch.as_ref().expect("it watches until it is dropped");
        let done = watch.during(|| catch_panic(work));
        if done.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
            self.distrust();
        }
        done
    }
}

/// Whether the store in that directory was found not to be trusted.
pub(in crate::store) fn is_distrusted(path: &Path) -> bool {
    path.join(DISTRUSTED).exists()
}

impl Engine for Sled {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        let value = catch_panic(|| self.tree(tree).get(key).map_err(library))?;
        Ok(value.map(|value| value.to_vec()))
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let to = range.to.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        catch_panic(|| {
            for row in self.tree(tree).range::<&[u8], _>((Bound::Included(range.from.as_slice()), to)) {
                let (key, value) = row.map_err(library)?;
                if let ControlFlow::Break(()) = visit(&key, &value) {
                    break;
                }
            }
            Ok(())
        })
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        self.watched(|| self.apply(changes))
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.watched(|| self.flush())
    }

    fn distrust(&self) {
        // Where the disk fails too, the next start compares the rows with the journal.
        let path = self.path.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let marked = create_private(&path.join(DISTRUSTED)).and_then(|file| file.sync_all());
        if let Err(error) = marked.and_then(|()| sync_directory(&path)) {
            log::warn!("the index cannot be marked as damaged: {error}");
        }
    }
}

impl Drop for Sled {
    fn drop(&mut self) {
        // The watch has a handle of the database, which is closed when its last handle is dropped.
        self.watch = None;
        let open = self.open.take();
        let close = || {
            drop(open);
            Ok(())
        };
        // sled panics when it cannot sync at its end.
        if let Err(error) = catch_panic(close) {
            log::error!("the store was not closed cleanly: {error}");
        } else if !self.has_failed.load(Ordering::Relaxed) {
            // sled's threads close the file a moment later; until then it cannot be opened again. After a failure one of
            // them may never do so.
            let _ = flock(&self.log, FlockOperation::LockExclusive);
        }
    }
}

/// Moves away the files that sled recreates where they are missing: its settings and its index of the log. All rows are
/// in `db`.
pub(in crate::store) fn set_aside_derived(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let name = entry?.file_name();
        let name = name.to_string_lossy();
        if name == "conf" || name.starts_with("snap.") {
            fs::rename(path.join(&*name), path.join(format!("damaged-{name}")))?;
        }
    }
    Ok(())
}

fn open_trees(configuration: &sled::Config) -> Result<OpenTrees, EngineError> {
    let db = configuration.open().map_err(library)?;
    let trees = Tree::ALL.iter().map(|tree| db.open_tree(tree.name())).collect::<Result<_, _>>();
    Ok((db, trees.map_err(library)?))
}

/// Wakes every commit that waits for a failed write. Flushing before there is a failure would only wait like they do.
fn wake_stalled(db: &sled::Db) {
    if db.context.global_error().is_err() {
        drop(db.flush());
    }
}

fn batches(changes: &Changes) -> Vec<Batch> {
    let mut batches = vec![Batch::default(); Tree::ALL.len()];
    for ((tree, key), value) in changes {
        let batch = &mut batches[*tree as usize];
        match value {
            Some(value) => batch.insert(key.as_slice(), value.as_slice()),
            None => batch.remove(key.as_slice()),
        }
    }
    batches
}

/// Runs code that may panic inside the library, and converts a panic to an error.
fn catch_panic<T>(work: impl FnOnce() -> Result<T, EngineError>) -> Result<T, EngineError> {
    panic::catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|panic| {
        let message = panic.downcast_ref::<String>().map(String::as_str);
        let message = message.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(EngineError::Panicked(message.unwrap_or("without a message").to_owned()))
    })
}

fn library(error: sled::Error) -> EngineError {
    EngineError::Library(Arc::new(error))
}

/// Removes unfinished files of a crash, with which sled refuses to open: a partial snapshot, and the settings of a store
/// that has no log yet, which sled writes in two parts before it creates the log.
fn remove_unfinished(path: &Path) -> io::Result<()> {
    let has_log = path.join("db").try_exists()?;
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let is_unfinished_snapshot = name.starts_with("snap.") && name.ends_with(".generating");
        if is_unfinished_snapshot || (name == "conf" && !has_log) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Makes the names in a directory durable: its own entries, and itself in its parent.
fn sync_with_parent(path: &Path) -> io::Result<()> {
    sync_directory(path)?;
    sync_directory(directory_of(path))
}
