//! Reads the untyped rows of trees.

use std::ops::ControlFlow;

use super::{
    StoreError,
    engine::{Engine, KeyRange, Tree, Visit},
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

/// The rows that an engine has committed.
pub struct Committed<'a>(pub &'a dyn Engine);

impl ReadRows for Committed<'_> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.0.get(tree, key)?)
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        Ok(self.0.scan(tree, range, visit)?)
    }
}

/// Visits the rows of a range in the order of their keys, until a visit fails.
///
/// # Errors
/// What the visit fails with; [`StoreError`] if the storage cannot be read.
pub fn visit_rows<E: From<StoreError>>(
    rows: &(impl ReadRows + ?Sized),
    tree: Tree,
    range: &KeyRange,
    mut visit: impl FnMut(&[u8], &[u8]) -> Result<(), E>,
) -> Result<(), E> {
    let mut visited = Ok(());
    rows.scan(tree, range, &mut |key, value| {
        visited = visit(key, value);
        if visited.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    visited
}

/// What `read` makes of the first rows of a range, at most `max`, in the order of their keys.
///
/// # Errors
/// What `read` fails with; [`StoreError`] if the storage cannot be read.
pub fn read_rows<T>(
    rows: &(impl ReadRows + ?Sized),
    tree: Tree,
    range: &KeyRange,
    max: usize,
    mut read: impl FnMut(&[u8], &[u8]) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut found = Vec::new();
    if max == 0 {
        return Ok(found);
    }
    let mut failure = None;
    rows.scan(tree, range, &mut |key, value| {
        match read(key, value) {
            Ok(item) => found.push(item),
            Err(error) => failure = Some(error),
        }
        if failure.is_none() && found.len() < max { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    failure.map_or(Ok(found), Err)
}

/// The error of a row of `tree` that cannot be decoded.
#[must_use]
pub fn corrupt(tree: Tree) -> StoreError {
    StoreError::Record(RecordError::Corrupt { tree: tree.name() })
}
