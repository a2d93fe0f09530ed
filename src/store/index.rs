//! The index of a store on disk, which can be exchanged for one that was built beside it.

use std::sync::{Arc, PoisonError, RwLock};

use super::{
    engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
    sled::Sled,
};

/// The rows in sled; a reader has the current ones, or those from before an exchange to its end.
pub(super) struct Index(RwLock<Arc<Sled>>);

impl Index {
    pub(super) fn new(sled: Sled) -> Self {
        Self(RwLock::new(Arc::new(sled)))
    }

    /// Puts another one in its place, which has the same rows; returns the former one.
    pub(super) fn exchange(&self, sled: Sled) -> Arc<Sled> {
        let mut current = self.0.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut current, Arc::new(sled))
    }

    /// The current one. A long scan does not keep an exchange waiting, because it has its own handle.
    fn current(&self) -> Arc<Sled> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Engine for Index {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(tree, key)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.current().scan(tree, range, visit)
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        self.current().commit(changes)
    }

    fn sync(&self) -> Result<(), EngineError> {
        self.current().sync()
    }

    fn distrust(&self) {
        self.current().distrust();
    }
}
