//! The committer: one thread that runs every write, and makes a group of them durable at once.

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread::{self, JoinHandle},
};

use tokio::sync::{oneshot, watch};

use super::{
    StoreError,
    engine::{Changes, Engine, EngineError},
    txn::Txn,
};

/// How many writes may wait; one more is refused as [`StoreError::Busy`].
const MOST_WAITING: usize = 4096;
/// How many writes are made durable at once. Reads wait while sled applies a group, so it is short.
const MOST_IN_GROUP: usize = 256;
/// How many changed rows end a group.
const MOST_ROWS_IN_GROUP: usize = 4096;

/// Hands writes to the committer thread, which ends when this is dropped.
pub(super) struct Committer {
    jobs: Option<SyncSender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
    failure: watch::Receiver<Option<EngineError>>,
}

/// One write that waits for its turn.
trait Job: Send {
    /// Runs the write; `false` if its changes are not wanted.
    fn run(&mut self, txn: &mut Txn<'_>) -> bool;

    /// Tells the caller, once the group's fate is known.
    fn answer(self: Box<Self>, fate: &Result<(), StoreError>);
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
        // A write that panics is a bug in that write alone; the committer goes on for all others.
        let outcome = panic::catch_unwind(AssertUnwindSafe(|| work(txn)));
        let outcome = outcome.unwrap_or_else(|_| Err(StoreError::Panicked.into()));
        self.outcome.insert(outcome).is_ok()
    }

    fn answer(self: Box<Self>, fate: &Result<(), StoreError>) {
        let outcome = match fate {
            Ok(()) => self.outcome.unwrap_or_else(|| Err(StoreError::Closed.into())),
            Err(error) => Err(error.clone().into()),
        };
        // Whoever asked may have gone; what was committed stays.
        let _ = self.reply.send(outcome);
    }
}

impl Committer {
    /// Starts the committer of an engine.
    pub(super) fn start(engine: Arc<dyn Engine>) -> Self {
        let (jobs, waiting) = sync_channel(MOST_WAITING);
        let (failed, failure) = watch::channel(None);
        let thread =
            thread::Builder::new().name("committer".to_owned()).spawn(move || run(&*engine, &waiting, &failed));
        Self { jobs: Some(jobs), thread: Some(thread.expect("a thread can be started")), failure }
    }

    /// Queues a write and waits until it is durable, or refused.
    pub(super) async fn write<W, T, E>(&self, work: W) -> Result<T, E>
    where
        W: FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        self.submit(Box::new(Write { work: Some(work), outcome: None, reply }))?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Becomes `Some` with the first failure of the storage.
    pub(super) fn failure(&self) -> watch::Receiver<Option<EngineError>> {
        self.failure.clone()
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<(), StoreError> {
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(engine: &dyn Engine, waiting: &Receiver<Box<dyn Job>>, failed: &watch::Sender<Option<EngineError>>) {
    while let Ok(first) = waiting.recv() {
        let (group, changes) = gather(engine, waiting, first);
        let fate = commit(engine, &changes, failed);
        for job in group {
            job.answer(&fate);
        }
    }
}

/// Runs the waiting writes one after another, each over the changes of those before it.
fn gather(engine: &dyn Engine, waiting: &Receiver<Box<dyn Job>>, first: Box<dyn Job>) -> (Vec<Box<dyn Job>>, Changes) {
    let mut changes = Changes::new();
    let mut group = Vec::new();
    let mut next = Some(first);
    while let Some(mut job) = next {
        let mut txn = Txn::new(engine, &mut changes);
        if job.run(&mut txn) {
            txn.keep();
        } else {
            drop(txn);
        }
        group.push(job);
        let is_full = group.len() >= MOST_IN_GROUP || changes.len() >= MOST_ROWS_IN_GROUP;
        next = if is_full { None } else { waiting.try_recv().ok() };
    }
    (group, changes)
}

/// Commits a group, unless the storage has failed before: after a failed write nothing it says can be believed.
fn commit(
    engine: &dyn Engine,
    changes: &Changes,
    failed: &watch::Sender<Option<EngineError>>,
) -> Result<(), StoreError> {
    if let Some(error) = failed.borrow().clone() {
        return Err(StoreError::Failed(error));
    }
    if changes.is_empty() {
        return Ok(());
    }
    engine.commit(changes).map_err(|error| {
        failed.send_replace(Some(error.clone()));
        StoreError::Failed(error)
    })
}
