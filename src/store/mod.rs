//! The store: typed tables and indexes over trees, with one writer.
//!
//! Reads go straight to the engine on the thread that asks. Every write is a closure that goes through
//! [`Store::write`] to the committer, which runs the waiting ones one after another and makes them durable together.
//! A group is visible to readers as soon as the engine has it, a moment before it is durable and acknowledged.

mod commit;
pub mod engine;
pub mod key;
pub mod list;
pub mod memory;
pub mod record;
pub mod schema;
pub mod sled;
pub mod table;
pub mod txn;
pub mod verify;

use std::{path::Path, sync::Arc};

use thiserror::Error;
use tokio::sync::watch;

use self::{
    commit::Committer,
    engine::{Engine, EngineError, KeyRange, Tree, Visit},
    record::RecordError,
    schema::FORMAT,
    sled::{OpenError, Sled},
    table::Rows,
};
pub use self::{
    list::List,
    schema::Tables,
    table::Slice,
    txn::{PutError, Sequence, Txn},
};

/// The store; a clone is the same store.
#[derive(Clone)]
pub struct Store {
    engine: Arc<dyn Engine>,
    committer: Arc<Committer>,
}

/// A read or write that the store cannot do.
#[derive(Clone, Debug, Error)]
pub enum StoreError {
    /// The storage failed; nothing is written any more.
    #[error("the store has failed and accepts no more writes")]
    Failed(#[source] EngineError),
    /// The storage could not be read.
    #[error("the store cannot be read")]
    Unreadable(#[from] EngineError),
    /// A row makes no sense.
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
    /// The write itself panicked; nothing of it was kept.
    #[error("the write panicked")]
    Panicked,
    /// The store was made by a newer server.
    #[error("the store has format {found}; this server reads up to {FORMAT}")]
    TooNew {
        /// The store's format.
        found: u32,
    },
}

impl Store {
    /// Opens the store on disk in that directory, or makes an empty one.
    ///
    /// # Errors
    /// [`OpenError`] if the directory cannot be used or does not hold a sound store.
    pub fn open(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        Sled::open(path, cache_bytes).map(|sled| Self::over(Arc::new(sled)))
    }

    /// A store over any engine.
    #[must_use]
    pub fn over(engine: Arc<dyn Engine>) -> Self {
        let committer = Arc::new(Committer::start(Arc::clone(&engine)));
        Self { engine, committer }
    }

    /// Whether the store has been used before; one that has not been is empty.
    ///
    /// # Errors
    /// [`StoreError::TooNew`] if a newer server has used it.
    pub fn is_initialised(&self) -> Result<bool, StoreError> {
        match self.format()? {
            Some(found) if found > FORMAT => Err(StoreError::TooNew { found }),
            format => Ok(format.is_some()),
        }
    }

    /// Marks the store as used, in the present format.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn initialise(&self) -> Result<(), StoreError> {
        self.write(|txn| {
            txn.set_format();
            Ok(())
        })
        .await
    }

    /// Runs a write and waits until it is durable. An `Err` of the closure changes nothing.
    ///
    /// The closure runs on the committer's thread and holds up every other write: it must not wait, hash or ask the time.
    ///
    /// # Errors
    /// Those of the closure, or [`StoreError`] if the write cannot be made durable. After [`StoreError::Failed`] it may
    /// still be there when the store is opened again.
    pub async fn write<T, E>(&self, work: impl FnOnce(&mut Txn<'_>) -> Result<T, E> + Send + 'static) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.committer.write(work).await
    }

    /// Becomes `Some` with the first failure of the storage, after which no write is accepted.
    #[must_use]
    pub fn failure(&self) -> watch::Receiver<Option<EngineError>> {
        self.committer.failure()
    }
}

impl Rows for Store {
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
