//! An engine that counts what is committed.

use std::{
    io,
    sync::atomic::{AtomicU64, Ordering},
};

use lodge::store::{
    engine::{Changes, Engine, EngineError, KeyRange, Tree, Visit},
    memory::Memory,
};

/// Memory that counts commits, and refuses the one of that number.
#[derive(Default)]
pub struct Counting {
    memory: Memory,
    commits: AtomicU64,
    refused: Option<u64>,
}

impl Counting {
    pub fn refusing(number: u64) -> Self {
        Self { refused: Some(number), ..Self::default() }
    }

    pub fn commits(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

impl Engine for Counting {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError> {
        self.memory.get(tree, key)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError> {
        self.memory.scan(tree, range, visit)
    }

    fn commit(&self, changes: &Changes) -> Result<(), EngineError> {
        let number = self.commits.fetch_add(1, Ordering::SeqCst) + 1;
        if self.refused == Some(number) {
            return Err(io::Error::other("the disk is on fire").into());
        }
        self.memory.commit(changes)
    }
}
