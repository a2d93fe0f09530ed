//! The store: typed tables and indexes over trees, with one writer.
//!
//! Reads go straight to the engine on the caller's thread. Every write is a closure that goes through [`Store::write`]
//! to the committer, which runs the queued writes one after another and makes them durable together.
//! Readers see a group as soon as the engine has it, shortly before it is durable and acknowledged.

pub mod activity;
pub mod assertion_keys;
pub mod audit;
mod commit;
mod commit_hooks;
pub mod engine;
pub mod id_set;
pub mod integrity;
pub mod journal;
pub mod key;
pub mod memory;
pub mod record;
pub mod rows;
pub mod schema;
pub mod sled;
pub mod table;
pub mod txn;
pub mod used_identifiers;
pub mod verify;
mod versions;

mod open;

use std::sync::Arc;

use thiserror::Error;
use tokio::sync::watch;

pub use self::{
    commit::CommitMetrics,
    commit_hooks::sequences,
    id_set::IdSet,
    open::Loss,
    schema::Tables,
    sled::{disk::DiskReserve, snapshot::Snapshot},
    table::Slice,
    txn::{PutError, Sequence, Txn},
    versions::{ReadGuard, Version},
};
use self::{
    commit::Committer,
    commit_hooks::CommitHooks,
    engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
    record::RecordError,
    rows::{Committed, ReadRows},
    sled::checkpoint::Checkpointer,
    versions::Versions,
};

use crate::{domain::Id, metrics::Counts};

/// The store; a clone is the same store.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    committer: Arc<Committer>,
    versions: Arc<Versions>,
    checkpoint: Option<Arc<Checkpointer>>,
}

/// Why the store could not read or write.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The storage failed; no write is accepted any more.
    #[error("the store has failed and accepts no more writes")]
    Failed(#[source] EngineError),
    /// The storage could not be read.
    #[error("the store cannot be read")]
    Unreadable(#[from] EngineError),
    /// A row cannot be decoded.
    #[error("the store is damaged")]
    Record(#[source] RecordError),
    /// All ids of a collection have been used.
    #[error("all ids of the collection have been used")]
    IdsExhausted,
    /// Too many writes are waiting.
    #[error("too many writes are waiting")]
    Busy,
    /// The store is being closed.
    #[error("the store is being closed")]
    Closed,
    /// The write itself panicked and changed nothing.
    #[error("the write panicked")]
    Panicked,
    /// The disk is almost full.
    #[error("the disk is almost full")]
    DiskFull,
}

impl Store {
    /// A store over any engine, without a checkpoint and without checks of the free disk space.
    ///
    /// # Panics
    /// If the engine's metadata cannot be read.
    #[must_use]
    pub fn over(engine: Arc<dyn Engine>) -> Self {
        let commit_hooks = CommitHooks::of(&Committed(&*engine), None, None).expect("the metadata can be read");
        Self::with_hooks(commit_hooks, engine, None)
    }

    fn with_hooks(commit_hooks: CommitHooks, engine: Arc<dyn Engine>, checkpoint: Option<Arc<Checkpointer>>) -> Self {
        let versions = Arc::new(Versions::new());
        let committer = Arc::new(Committer::start(Arc::clone(&engine), commit_hooks, Arc::clone(&versions)));
        Self { engine, committer, versions, checkpoint }
    }

    /// Whether the store has been initialised; one that has not been is empty.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn is_initialised(&self) -> Result<bool, StoreError> {
        Ok(self.format()?.is_some())
    }

    /// A snapshot of the store, to be read while writes go on. Blocks, so it must not be called on an asynchronous thread.
    ///
    /// # Errors
    /// [`StoreError::Busy`] or [`StoreError::Closed`].
    pub fn snapshot(&self) -> Result<Snapshot, StoreError> {
        self.committer.snapshot()
    }

    /// The version of a user's account, API keys and sessions: it changes with each of them, before that write is answered.
    #[must_use]
    pub fn owner_version(&self, owner: Id) -> Version {
        self.versions.of_owner(owner)
    }

    /// The version of all accounts: it changes when one is created, updated or removed, before that write is answered.
    #[must_use]
    pub fn users_version(&self) -> Version {
        self.versions.of_users()
    }

    /// Begins to detect changes of owners' versions.
    #[must_use]
    pub fn read_guard(&self) -> ReadGuard<'_> {
        self.versions.read_guard()
    }

    /// Refuses all further writes, because of damage that was found while reading.
    pub fn mark_failed(&self, error: &EngineError) {
        self.committer.fail(error);
    }

    /// Waits until the checkpoint covers every write that was answered.
    pub fn finish(&self) {
        if let Some(checkpoint) = &self.checkpoint {
            checkpoint.finish();
        }
    }

    /// Runs a write and waits until it is durable. If the closure returns `Err`, nothing changes.
    ///
    /// The closure runs on the committer's thread, where it delays every other write: it must not wait, hash passwords or
    /// read the clock.
    ///
    /// # Errors
    /// Those of the closure, or [`StoreError`] if the write cannot be made durable. After [`StoreError::Failed`] the change
    /// may nevertheless be in the store when it is opened again.
    pub async fn write<T, E>(&self, work: impl FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.committer.write(work)?.await.unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// As [`Store::write`], for threads without asynchronous work.
    ///
    /// # Errors
    /// As [`Store::write`].
    pub fn write_blocking<T, E>(&self, work: impl FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.committer.write(work)?.blocking_recv().unwrap_or_else(|_| Err(StoreError::Closed.into()))
    }

    /// Runs a write on the committed rows and forgets its changes; other writes go on meanwhile.
    ///
    /// # Errors
    /// Those of the closure.
    pub fn simulate<T, E>(&self, work: impl FnOnce(&mut Txn<'_>) -> Result<T, E>) -> Result<T, E> {
        work(&mut Txn::new(&*self.engine, &mut Changes::new()))
    }

    /// What was counted of the groups of writes.
    #[must_use]
    pub fn commit_metrics(&self) -> &CommitMetrics {
        self.committer.metrics()
    }

    /// How long the syncs of the disk took; `None` if the rows are not on a disk.
    #[must_use]
    pub fn sync_durations(&self) -> Option<Counts> {
        self.engine.sync_durations()
    }

    /// Becomes `Some` with the first failure of the storage, after which no write is accepted.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<EngineError>> {
        self.committer.failure()
    }
}

impl ReadRows for Store {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.engine.get(tree, key)?)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(self.engine.scan(tree, range, visit)?)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}
