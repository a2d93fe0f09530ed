//! What is done beside serving: the index is written out, checkpoints are made, and an index that has outgrown its rows is
//! built anew.

use std::{
    fs, io,
    path::PathBuf,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{
    checkpoint::{CheckpointError, Checkpoints, Contents, read_header},
    commit::Committer,
    durability::SharedJournal,
    engine::Engine,
    index::Index,
    layout::{checkpoints_in, index_in, replaced_index_in},
    open::rebuild_beside,
};
use crate::{
    clock::Timestamp,
    config::Settings,
    error_chain::chain,
    files::{bytes_below, ignore_not_found},
};

/// How often is looked for what there is to do.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long after a failure another attempt is made.
const RETRY_AFTER: Duration = Duration::from_mins(1);
/// How much room the index may take beyond twice the bytes of its rows.
const INDEX_OVERHEAD: u64 = 48 << 20;
/// How many bytes of rows a byte of a checkpoint has, as long as no checkpoint was made that counted them.
const ASSUMED_COMPRESSION: u64 = 3;

/// When a checkpoint is due, and when the index is built anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointPolicy {
    /// How many bytes of the journal may follow the newest one.
    pub journal_bytes: u64,
    /// How old the newest one may become, if there are commits after it.
    pub age: Duration,
    /// How many bytes the index may take beyond twice those of its rows.
    pub index_bytes: u64,
}

impl Default for CheckpointPolicy {
    /// With the default settings.
    fn default() -> Self {
        Self { journal_bytes: 32 << 20, age: Duration::from_hours(24), index_bytes: INDEX_OVERHEAD }
    }
}

impl From<&Settings> for CheckpointPolicy {
    fn from(settings: &Settings) -> Self {
        Self { journal_bytes: settings.checkpoint_size, age: settings.checkpoint_every, ..Self::default() }
    }
}

/// A store that is maintained.
pub(super) struct Maintained {
    pub(super) path: PathBuf,
    pub(super) journal: SharedJournal,
    pub(super) index: Arc<Index>,
    pub(super) committer: Weak<Committer>,
    pub(super) cache_bytes: u64,
}

/// The thread; it ends when this is dropped.
pub(super) struct Maintenance {
    is_ending: Arc<AtomicBool>,
    wake: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    pub(super) fn start(store: Maintained, policy: CheckpointPolicy) -> io::Result<Self> {
        let (wake, woken) = channel();
        let is_ending = Arc::new(AtomicBool::new(false));
        let worker = Worker::new(store, policy, Arc::clone(&is_ending));
        let thread = thread::Builder::new().name("maintenance".to_owned()).spawn(move || worker.until_ended(&woken))?;
        Ok(Self { is_ending, wake: Some(wake), thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    fn drop(&mut self) {
        self.is_ending.store(true, Ordering::Relaxed);
        self.wake = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Worker {
    store: Maintained,
    policy: CheckpointPolicy,
    checkpoints: Checkpoints,
    is_ending: Arc<AtomicBool>,
    /// The commit and the time of the newest checkpoint; without one, the journal's beginning and the start.
    newest: (u64, Timestamp),
    /// How many bytes the rows have, as of the newest checkpoint.
    row_bytes: u64,
    /// How large the index was after it was built anew.
    rebuilt_bytes: u64,
    /// The last commit that the index has on the disk.
    written: u64,
    /// When what has failed is tried again.
    retry: Option<Instant>,
}

impl Worker {
    fn new(store: Maintained, policy: CheckpointPolicy, is_ending: Arc<AtomicBool>) -> Self {
        let checkpoints = Checkpoints::of(&checkpoints_in(&store.path));
        let listed = checkpoints.list().unwrap_or_default().pop();
        let header = listed.as_ref().and_then(|(_, file)| read_header(file).ok());
        let newest = header.map_or((0, store.journal.clock().now()), |header| (header.commit, header.time));
        let packed = listed.and_then(|(_, file)| fs::metadata(file).ok()).map_or(0, |metadata| metadata.len());
        let row_bytes = packed.saturating_mul(ASSUMED_COMPRESSION);
        Self { store, policy, checkpoints, is_ending, newest, row_bytes, rebuilt_bytes: 0, written: 0, retry: None }
    }

    fn until_ended(mut self, woken: &Receiver<()>) {
        while let Err(RecvTimeoutError::Timeout) = woken.recv_timeout(LOOK_EVERY) {
            self.write_index();
            if self.retry.is_some_and(|at| Instant::now() < at) {
                continue;
            }
            let done = self.keep_in_bounds();
            self.retry = done.is_err().then(|| Instant::now() + RETRY_AFTER);
            match done {
                Ok(()) | Err(CheckpointError::Ending) => {}
                Err(error) => log::error!("no checkpoint of the store was made: {}", chain(&error)),
            }
        }
    }

    fn write_index(&mut self) {
        let last = self.store.journal.lock().last().commit;
        if last == self.written {
            return;
        }
        match self.store.index.sync() {
            Ok(()) => self.written = last,
            Err(error) => self.store.committer.upgrade().iter().for_each(|committer| committer.fail(&error)),
        }
    }

    /// Makes a checkpoint if one is due, and builds the index anew if it is too large for its rows.
    fn keep_in_bounds(&mut self) -> Result<(), CheckpointError> {
        let is_outgrown = self.is_outgrown();
        if !is_outgrown && !self.is_due() {
            return Ok(());
        }
        let contents = self.checkpoint()?;
        self.row_bytes = contents.bytes;
        if is_outgrown && self.is_outgrown() {
            self.rebuild_index();
        }
        Ok(())
    }

    fn is_due(&self) -> bool {
        let (commit, time) = self.newest;
        let (last, bytes) = {
            let journal = self.store.journal.lock();
            (journal.last().commit, journal.bytes_after(commit))
        };
        let age = self.store.journal.clock().now().as_millis().saturating_sub(time.as_millis());
        let is_old = Duration::from_millis(age) >= self.policy.age;
        last > commit && (bytes >= self.policy.journal_bytes || is_old)
    }

    /// Whether the index takes much more room than its rows, and than it took when it was built.
    fn is_outgrown(&self) -> bool {
        let allowed = self.row_bytes.saturating_mul(2).saturating_add(self.policy.index_bytes);
        self.index_bytes() > allowed.max(self.rebuilt_bytes + self.rebuilt_bytes / 2)
    }

    fn index_bytes(&self) -> u64 {
        bytes_below(&index_in(&self.store.path))
    }

    /// Makes a checkpoint, and removes what it makes superfluous: older ones, the segments before the oldest that is kept,
    /// and the index that the last rebuild replaced.
    fn checkpoint(&mut self) -> Result<Contents, CheckpointError> {
        let committer = self.store.committer.upgrade().ok_or(CheckpointError::Ending)?;
        let snapshot = committer.snapshot()?;
        drop(committer);
        let is_ending = || self.is_ending.load(Ordering::Relaxed);
        let contents = self.checkpoints.save(&snapshot, self.store.journal.clock().now(), &is_ending)?;
        self.newest = (contents.header.commit, contents.header.time);
        if let Some(oldest) = self.checkpoints.remove_older()? {
            self.store.journal.lock().remove_up_to(oldest)?;
        }
        ignore_not_found(fs::remove_dir_all(replaced_index_in(&self.store.path)))?;
        log::info!("made a checkpoint of commit {}: {} rows", contents.header.commit, contents.rows);
        Ok(contents)
    }

    /// Builds the index anew from the newest checkpoint. If that fails, the old one is served on.
    fn rebuild_index(&mut self) {
        let before = self.index_bytes();
        let Ok(Some((_, checkpoint))) = self.checkpoints.list().map(|mut listed| listed.pop()) else { return };
        let Some(committer) = self.store.committer.upgrade() else { return };
        let Maintained { path, journal, index, cache_bytes, .. } = &self.store;
        let done = rebuild_beside(path, &checkpoint, (index, journal, &committer), *cache_bytes);
        drop(committer);
        self.rebuilt_bytes = self.index_bytes();
        match done {
            Ok(()) => log::info!("the index was built anew: {} bytes instead of {before}", self.rebuilt_bytes),
            Err(error) => log::error!("the index cannot be built anew: {}", chain(&error)),
        }
    }
}
