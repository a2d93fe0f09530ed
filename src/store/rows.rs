//! Reads the untyped rows of trees.

use super::{
    StoreError,
    engine::{KeyRange, Tree, Visit},
    record::RecordError,
};

/// The committed rows, or the rows as a transaction has changed them so far.
pub trait ReadRows {
    /// The value of a key.
    ///
    /// # Errors
    /// [`StoreError`] if the storage cannot be read.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError>;

    /// Visits the rows of a range in the order of their keys, until `visit` breaks.
    ///
    /// # Errors
    /// [`StoreError`] if the storage cannot be read.
    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError>;
}

/// The error of a row of `tree` that cannot be decoded.
#[must_use]
pub fn corrupt(tree: Tree) -> StoreError {
    StoreError::Record(RecordError::Corrupt { tree: tree.name() })
}
