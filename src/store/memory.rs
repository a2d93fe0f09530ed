//! An engine in memory, with which tests compare the engine on disk.

use std::{
    collections::BTreeMap,
    sync::{RwLock, RwLockReadGuard},
};

use super::engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit};

type Rows = BTreeMap<(Tree, Vec<u8>), Vec<u8>>;

/// Stores all rows in memory until it is dropped.
#[derive(Debug, Default)]
pub struct Memory(RwLock<Rows>);

impl Memory {
    fn rows(&self) -> RwLockReadGuard<'_, Rows> {
        self.0.read().expect("no holder of the lock panics")
    }
}

impl Engine for Memory {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        Ok(self.rows().get(&(tree, key.to_vec())).cloned())
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        let rows = self.rows();
        let inside =
            rows.range((tree, range.from.clone())..).take_while(|((of, key), _)| *of == tree && range.contains(key));
        for ((_, key), value) in inside {
            if visit(key, value).is_break() {
                break;
            }
        }
        Ok(())
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        let mut rows = self.0.write().expect("no holder of the lock panics");
        for (row, value) in changes {
            match value {
                Some(value) => rows.insert(row.clone(), value.clone()),
                None => rows.remove(row),
            };
        }
        Ok(())
    }
}
