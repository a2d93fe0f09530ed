//! The committer: one thread that runs every write and makes a group of writes durable with one sync.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use tokio::sync::{oneshot, watch};

use super::{
    StoreError,
    commit_hooks::CommitHooks,
    engine::{Changes, Engine, EngineError},
    integrity::Integrity,
    sled::snapshot::Snapshot,
    txn::Txn,
    versions::{Advanced, Versions},
};
use crate::metrics::{GROUP_SIZES, Histogram, SECONDS};

/// How many writes may wait; one more is refused as [`StoreError::Busy`].
const MAX_QUEUED: usize = 4096;
/// How many writes are made durable at once. Reads wait while sled applies a group, so it is short.
const MAX_IN_GROUP: usize = 256;
/// How many changed rows end a group.
const MAX_ROWS_IN_GROUP: usize = 4096;

/// What the committer counts.
#[derive(Debug)]
pub struct CommitMetrics {
    /// How many writes each group had.
    pub group_sizes: Histogram,
    /// How long each group took, from its first write until it was durable.
    pub durations: Histogram,
}

/// Hands writes to the committer thread, which ends when this is dropped.
pub(super) struct Committer {
    metrics: Arc<CommitMetrics>,
    commands: Option<SyncSender<Command>>,
    thread: Option<JoinHandle<()>>,
    failed: watch::Sender<Option<EngineError>>,
}

/// A message to the committer.
enum Command {
    Write(Box<dyn Job>),
    Snapshot(oneshot::Sender<Snapshot>),
    Between(BetweenGroups),
}

/// Work that is done between two groups; it is given the integrity record as of the last one.
type BetweenGroups = Box<dyn FnOnce(Option<&Integrity>) + Send>;

/// One write that waits for its turn.
trait Job: Send {
    /// Runs the write; `false` if it failed and its changes are to be discarded.
    fn run(&mut self, txn: &mut Txn<'_>) -> bool;

    /// Sends the caller the write's result, once the outcome of the group is known.
    fn answer(self: Box<Self>, outcome: &Result<(), StoreError>);
}

struct Write<W, T, E> {
    work: Option<W>,
    outcome: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<W, T, E> Job for Write<W, T, E>
where
    W: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send,
    T: Send,
    E: From<StoreError> + Send,
{
    fn run(&mut self, txn: &mut Txn<'_>) -> bool {
        let Some(work) = self.work.take() else { return false };
        // A write that panics is a bug in that write only; the committer continues with the others.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(txn)));
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, outcome: &Result<(), StoreError>) {
        let outcome = match outcome {
            Ok(()) => self.outcome.unwrap_or_else(|| Err(StoreError::Closed.into())),
            Err(error) => Err(error.clone().into()),
        };
        // The caller may no longer wait; what was committed stays.
        let _ = self.reply.send(outcome);
    }
}

impl Committer {
    /// Starts the committer of an engine.
    pub(super) fn start(engine: Arc<dyn Engine>, commit_hooks: CommitHooks, versions: Arc<Versions>) -> Self {
        let (commands, waiting) = sync_channel(MAX_QUEUED);
        let (failed, _) = watch::channel(None);
        let metrics = Arc::new(CommitMetrics::new());
        let (failed_in_loop, counted) = (failed.clone(), Arc::clone(&metrics));
        let run = CommitLoop { engine, commit_hooks, versions, waiting, failed: failed_in_loop, metrics: counted };
        let thread = thread::Builder::new().name("committer".to_owned()).spawn(move || run.until_closed());
        Self { metrics, commands: Some(commands), thread: Some(thread.expect("a thread can be started")), failed }
    }

    /// What has been counted.
    pub(super) fn metrics(&self) -> &CommitMetrics {
        &self.metrics
    }

    /// Queues a write; the receiver gets its result once it is durable or has failed.
    pub(super) fn write<W, T, E>(&self, work: W) -> Result<oneshot::Receiver<Result<T, E>>, StoreError>
    where
        W: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Write(Box::new(Write { work: Some(work), outcome: None, reply })))?;
        Ok(answer)
    }

    /// The store at one moment between two groups of writes. Must not be called where asynchronous work runs.
    pub(super) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Snapshot(reply))?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)
    }

    /// Runs work between two groups of writes, which wait meanwhile. Must not be called where asynchronous work runs.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Closed`].
    pub(super) fn between_groups<T: Send + 'static>(
        &self,
        work: impl FnOnce(Option<&Integrity>) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Command::Between(Box::new(move |integrity| drop(reply.send(work(integrity))))))?;
        answer.blocking_recv().map_err(|_| StoreError::Closed)
    }

    /// Becomes `Some` with the first failure of the storage.
    pub(super) fn failure(&self) -> watch::Receiver<Option<EngineError>> {
        self.failed.subscribe()
    }

    /// Accepts no more writes, for a reason that was found elsewhere.
    pub(super) fn fail(&self, error: &EngineError) {
        fail(&self.failed, error);
    }

    fn send(&self, send: Command) -> Result<(), StoreError> {
        let commands = self.commands.as_ref().ok_or(StoreError::Closed)?;
        commands.try_send(send).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The committer's thread.
struct CommitLoop {
    engine: Arc<dyn Engine>,
    commit_hooks: CommitHooks,
    versions: Arc<Versions>,
    waiting: Receiver<Command>,
    failed: watch::Sender<Option<EngineError>>,
    metrics: Arc<CommitMetrics>,
}

impl CommitMetrics {
    fn new() -> Self {
        Self { group_sizes: Histogram::new(&GROUP_SIZES), durations: Histogram::new(&SECONDS) }
    }
}

impl CommitLoop {
    fn until_closed(mut self) {
        let mut next = None;
        while let Some(send) = next.take().or_else(|| self.waiting.recv().ok()) {
            match send {
                // The caller may no longer wait.
                Command::Snapshot(reply) => drop(reply.send(self.commit_hooks.snapshot(&self.engine))),
                Command::Between(work) => work(self.commit_hooks.integrity()),
                Command::Write(first) => next = self.write_group(first),
            }
        }
    }

    /// Runs and commits the queued writes; returns the command that ended the group, if one did.
    fn write_group(&mut self, first: Box<dyn Job>) -> Option<Command> {
        let began = Instant::now();
        let (group, changes, next) = self.gather(first);
        let outcome = self.commit(changes);
        self.metrics.group_sizes.record(group.len() as u64);
        self.metrics.durations.record_duration(began.elapsed());
        for job in group {
            job.answer(&outcome);
        }
        next
    }

    /// Runs the queued writes one after another; each sees the changes of those before it.
    fn gather(&self, first: Box<dyn Job>) -> (Vec<Box<dyn Job>>, Changes, Option<Command>) {
        let mut changes = Changes::new();
        let mut group = Vec::new();
        let mut next = Some(Command::Write(first));
        while let Some(Command::Write(mut job)) = next {
            let mut txn = Txn::new(&*self.engine, &mut changes);
            if job.run(&mut txn) {
                txn.apply();
            } else {
                drop(txn);
            }
            group.push(job);
            let is_full = group.len() >= MAX_IN_GROUP || changes.len() >= MAX_ROWS_IN_GROUP;
            next = if is_full { None } else { self.waiting.try_recv().ok() };
        }
        (group, changes, next)
    }

    /// Commits a group, unless the storage has failed before: after a failed write its answers are not reliable.
    fn commit(&mut self, changes: Changes) -> Result<(), StoreError> {
        if let Some(error) = self.failed.borrow().clone() {
            return Err(StoreError::Failed(error));
        }
        if changes.is_empty() {
            return Ok(());
        }
        let advanced = Advanced::by(&changes);
        let committed = self.commit_hooks.commit(&*self.engine, changes);
        // Also after a failure: readers may see a commit that failed.
        self.versions.advance(&advanced);
        if let Err(StoreError::Failed(error)) = &committed {
            fail(&self.failed, error);
        }
        committed
    }
}

/// Records a failure, unless an earlier one is recorded.
fn fail(failed: &watch::Sender<Option<EngineError>>, error: &EngineError) {
    failed.send_if_modified(|failure| {
        let is_first = failure.is_none();
        failure.get_or_insert_with(|| error.clone());
        is_first
    });
}
