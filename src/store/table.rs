//! Typed records over trees: each record type defines its key, its indexes and the lists that it is in.

pub use super::rows::{ReadRows, corrupt, read_rows, visit_rows};
use super::{
    StoreError,
    engine::{KeyRange, Tree},
    id_set::{self, IdSet},
    record::{self, Versioned},
};
use crate::domain::{AccountIdentifier, Id, Page};

/// A row of an index that points at a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IndexRow {
    /// The index.
    pub tree: Tree,
    /// Its key, which no two records share.
    pub key: Vec<u8>,
    /// The record's key.
    pub value: Vec<u8>,
}

/// A record of one tree.
pub trait Record: Versioned {
    /// The tree of these records.
    const TREE: Tree;

    /// The record's key in its tree.
    fn key(&self) -> Vec<u8>;

    /// The index rows that point at it.
    fn index_rows(&self) -> Vec<IndexRow>;

    /// Its id and the lists that it is in.
    fn listed(&self) -> Option<(Id, Vec<IdSet>)>;

    /// What the keys of its rows of activity begin with, if it may have any.
    fn activity(&self) -> Option<Vec<u8>> {
        None
    }

    /// Identifiers that are in use while the record has them, and are remembered as used when it no longer has them.
    fn held(&self) -> Vec<AccountIdentifier> {
        Vec::new()
    }

    /// Identifiers that are remembered as used from the moment the record has them.
    fn given(&self) -> Vec<AccountIdentifier> {
        Vec::new()
    }
}

/// A part of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slice<R> {
    /// The records of the page, in ascending order of id.
    pub records: Vec<R>,
    /// How many the whole list has.
    pub count: u64,
}

/// The record of that key.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn find<R: Record>(rows: &(impl ReadRows + ?Sized), key: &[u8]) -> Result<Option<R>, StoreError> {
    rows.get(R::TREE, key)?.map(|bytes| decode(&bytes)).transpose()
}

/// All records whose keys begin with these bytes, in the order of their keys.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub fn all<R: Record>(rows: &(impl ReadRows + ?Sized), prefix: &[u8]) -> Result<Vec<R>, StoreError> {
    within(rows, &KeyRange::prefix(prefix))
}

/// A page of a list; `key` maps the id of a record to its key.
///
/// # Errors
/// [`StoreError`] if a record cannot be read.
pub fn page<R: Record>(
    rows: &(impl ReadRows + ?Sized),
    id_set: IdSet,
    page: Page,
    key: impl Fn(Id) -> Vec<u8>,
) -> Result<Slice<R>, StoreError> {
    let (ids, count) = id_set::page(rows, id_set, page)?;
    let (Some(lowest), Some(highest)) = (ids.first(), ids.last()) else {
        return Ok(Slice { records: Vec::new(), count });
    };
    let mut behind_highest = key(*highest);
    behind_highest.push(0);
    let range = KeyRange { from: key(*lowest), to: Some(behind_highest) };
    Ok(Slice { records: within(rows, &range)?, count })
}

fn within<R: Record>(rows: &(impl ReadRows + ?Sized), range: &KeyRange) -> Result<Vec<R>, StoreError> {
    read_rows(rows, R::TREE, range, usize::MAX, |_, bytes| decode(bytes))
}

/// Decodes a record.
///
/// # Errors
/// [`StoreError::Record`] if the bytes are no such record.
pub fn decode<R: Record>(bytes: &[u8]) -> Result<R, StoreError> {
    record::decode(R::TREE.name(), bytes).map_err(StoreError::Record)
}
