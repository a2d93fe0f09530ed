//! The store: typed tables and indexes over trees, with one writer.
//!
//! Reads go straight to the engine on the caller's thread. Every write is a closure that goes through [`Store::write`]
//! to the committer, which runs the queued writes one after another and makes them durable together: it appends them to the
//! [`journal`], syncs that, and applies them to the engine. The engine is an index that can be rebuilt, from a
//! [`checkpoint`] and the journal after it. Readers see a group once it is durable, shortly before it is acknowledged.

pub mod activity;
pub mod assertion_keys;
pub mod audit;
pub mod checkpoint;
mod commit;
mod commit_hooks;
mod durability;
pub mod engine;
pub mod id_set;
mod index;
pub mod integrity;
pub mod journal;
pub mod key;
pub mod layout;
mod maintenance;
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

use std::{
    io,
    path::Path,
    sync::{Arc, OnceLock},
};

use thiserror::Error;
use tokio::sync::watch;

pub use self::{
    commit::CommitMetrics,
    commit_hooks::sequences,
    id_set::IdSet,
    maintenance::CheckpointPolicy,
    open::{Loss, Recovered, recover},
    schema::Tables,
    sled::{disk::DiskReserve, snapshot::Snapshot},
    table::Slice,
    txn::{PutError, Sequence, Txn},
    versions::{ReadGuard, Version},
};
use self::{
    commit::Committer,
    commit_hooks::CommitHooks,
    durability::{Durability, SharedJournal},
    engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
    index::Index,
    maintenance::{Maintained, Maintenance},
    record::RecordError,
    rows::{Committed, ReadRows},
    versions::Versions,
};

use crate::{domain::Id, metrics::Counts};

/// The store; a clone is the same store.
#[derive(Clone)]
pub struct Store {
    // Ends before the committer does, which it uses.
    maintenance: Arc<OnceLock<Maintenance>>,
    engine: Arc<dyn Engine>,
    committer: Arc<Committer>,
    versions: Arc<Versions>,
    durability: Durability,
    /// The engine, if it is on a disk.
    index: Option<Arc<Index>>,
    cache_bytes: u64,
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
    /// A store over any engine, without a journal and without checks of the free disk space.
    ///
    /// # Panics
    /// If the engine's metadata cannot be read.
    #[must_use]
    pub fn over(engine: Arc<dyn Engine>) -> Self {
        let commit_hooks = CommitHooks::of(&Committed(&*engine), Durability::default(), None);
        Self::with_hooks(commit_hooks.expect("the metadata can be read"), engine, Durability::default())
    }

    fn with_hooks(commit_hooks: CommitHooks, engine: Arc<dyn Engine>, durability: Durability) -> Self {
        let versions = Arc::new(Versions::new());
        let committer = Arc::new(Committer::start(Arc::clone(&engine), commit_hooks, Arc::clone(&versions)));
        let maintenance = Arc::default();
        Self { maintenance, engine, committer, versions, durability, index: None, cache_bytes: 0 }
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

    /// Refuses all further writes, because of damage that was found while reading. The next start rebuilds the index.
    pub fn mark_failed(&self, error: &EngineError) {
        self.engine.distrust();
        self.committer.fail(error);
    }

    /// Begins to write the index out and to make checkpoints beside serving; a store without a journal needs neither.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn maintain(&self, path: &Path, policy: CheckpointPolicy) -> io::Result<()> {
        let Some((journal, index)) = self.durability.journal().zip(self.index.as_ref()) else { return Ok(()) };
        let (journal, index, committer) = (journal.clone(), Arc::clone(index), Arc::downgrade(&self.committer));
        let maintained = Maintained { path: path.to_owned(), journal, index, committer, cache_bytes: self.cache_bytes };
        let maintenance = Maintenance::start(maintained, policy)?;
        // A second one would be dropped, which ends it.
        drop(self.maintenance.set(maintenance));
        Ok(())
    }

    /// Writes the index out, so that the next start has nothing of the journal to apply.
    pub fn finish(&self) {
        // The journal has it all.
        drop(self.engine.sync());
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

    /// How long the syncs of the journal took; `None` if there is none.
    #[must_use]
    pub fn sync_durations(&self) -> Option<Counts> {
        self.durability.journal().map(SharedJournal::sync_durations)
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
