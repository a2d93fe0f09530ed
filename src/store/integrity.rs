//! The integrity record, by which a loss of data is detected: a commit number, row counts and a digest of all rows.
//!
//! The digest is the sum of a keyed 128-bit hash of every row: it does not depend on their order, and a commit updates
//! it from the changed rows alone. It detects damage, not manipulation: its key is in the store.

use std::{collections::BTreeMap, hash::Hasher, ops::ControlFlow};

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher24};

use super::{
    StoreError,
    engine::{Changes, KeyRange, Tree},
    record::{self, RecordError, Versioned},
    table::{ReadRows, corrupt},
};
use crate::random::random_bytes;

/// The key of the integrity record's row, which is not part of the digest.
pub(super) const INTEGRITY_KEY: &[u8] = b"integrity";
/// The key of the row with the hash key of the digest.
pub(super) const DIGEST_KEY_KEY: &[u8] = b"digest_key";

/// The integrity record as of one commit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Integrity {
    /// The number of the commit; the first is 1.
    pub commit: u64,
    /// How many rows each tree has, in the order of [`Tree::ALL`].
    pub rows: [u64; Tree::ALL.len()],
    /// The sum of the hashes of all rows.
    pub digest: u128,
}

impl Versioned for Integrity {
    const VERSION: u8 = 4;

    fn from_older(tree: &'static str, version: u8, bytes: &[u8]) -> Result<Self, RecordError> {
        match version {
            1 => record::decode_shape::<Older<[u64; 10]>>(tree, bytes).map(|older| older.upgraded()),
            2 => record::decode_shape::<Older<[u64; 11]>>(tree, bytes).map(|older| older.upgraded()),
            _ => record::decode_shape::<Older<[u64; 12]>>(tree, bytes).map(|older| older.upgraded()),
        }
    }
}

/// Version 1, before the audit log, version 2, before used identifiers, or version 3, before activity: there were fewer trees.
#[derive(Deserialize)]
struct Older<R> {
    commit: u64,
    rows: R,
    digest: u128,
}

impl<const N: usize> Older<[u64; N]> {
    fn upgraded(&self) -> Integrity {
        let mut rows = [0; Tree::ALL.len()];
        rows[..N].copy_from_slice(&self.rows);
        Integrity { commit: self.commit, rows, digest: self.digest }
    }
}

/// The values that rows had before a group of changes, in the order of the changes.
pub(super) type Before = Vec<Option<Vec<u8>>>;

/// Hashes rows under the key of one store.
#[derive(Clone, Debug)]
pub struct RowHasher([u8; 16]);

impl RowHasher {
    /// The hasher of the store, `None` before it has a key.
    ///
    /// # Errors
    /// [`StoreError`] if the key cannot be read.
    pub fn of(rows: &(impl ReadRows + ?Sized)) -> Result<Option<Self>, StoreError> {
        let Some(bytes) = rows.get(Tree::Meta, DIGEST_KEY_KEY)? else { return Ok(None) };
        Ok(Some(Self(bytes.try_into().map_err(|_| corrupt(Tree::Meta))?)))
    }

    /// The hasher whose key these changes write, if they write one.
    pub(super) fn given_by(changes: &Changes) -> Option<Self> {
        let key = changes.get(&(Tree::Meta, DIGEST_KEY_KEY.to_vec()))?.as_deref()?;
        key.try_into().ok().map(Self)
    }

    /// A hasher with a random key, for sums that are not stored.
    pub(super) fn random() -> Self {
        Self(random_bytes())
    }

    /// A hasher with that key.
    pub(super) fn with_key(key: [u8; 16]) -> Self {
        Self(key)
    }

    pub(super) fn key(&self) -> [u8; 16] {
        self.0
    }

    pub(super) fn hash(&self, tree: Tree, key: &[u8], value: &[u8]) -> u128 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write_u8(tree as u8);
        hasher.write_u64(key.len() as u64);
        hasher.write(key);
        hasher.write(value);
        hasher.finish128().as_u128()
    }
}

impl Integrity {
    /// The stored record, `None` if nothing has been committed yet.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn stored(rows: &(impl ReadRows + ?Sized)) -> Result<Option<Self>, StoreError> {
        let bytes = rows.get(Tree::Meta, INTEGRITY_KEY)?;
        let decode = |bytes: Vec<u8>| record::decode(Tree::Meta.name(), &bytes).map_err(StoreError::Record);
        bytes.map(decode).transpose()
    }

    /// Computes the record from every row; `progress` is called with the number of rows read so far.
    ///
    /// # Errors
    /// [`StoreError`] if a row cannot be read.
    pub fn scan_all(
        rows: &(impl ReadRows + ?Sized),
        hasher: &RowHasher,
        progress: &mut dyn FnMut(u64),
    ) -> Result<Self, StoreError> {
        let mut found = Self::default();
        let mut read = 0;
        for tree in Tree::ALL {
            rows.scan(tree, &KeyRange::all(), &mut |key, value| {
                found.add_row(hasher, tree, key, value);
                read += 1;
                progress(read);
                ControlFlow::Continue(())
            })?;
        }
        Ok(found)
    }

    /// Adds a row, unless it is that of the record itself.
    pub(super) fn add_row(&mut self, hasher: &RowHasher, tree: Tree, key: &[u8], value: &[u8]) {
        if !is_own_row(tree, key) {
            self.add(hasher, tree, key, value);
        }
    }

    /// The record of the next commit, which makes these changes.
    pub(super) fn after(&self, hasher: &RowHasher, changes: &Changes, before: &Before) -> Self {
        let mut next = self.clone();
        next.commit += 1;
        let rows = changes.iter().zip(before).filter(|(((tree, key), _), _)| !is_own_row(*tree, key));
        for (((tree, key), value), before) in rows {
            if let Some(before) = before {
                next.subtract(hasher, *tree, key, before);
            }
            if let Some(value) = value {
                next.add(hasher, *tree, key, value);
            }
        }
        next
    }

    /// The row that stores the record.
    pub(super) fn row(&self) -> ((Tree, Vec<u8>), Option<Vec<u8>>) {
        ((Tree::Meta, INTEGRITY_KEY.to_vec()), Some(record::encode(self)))
    }

    /// The trees whose row counts differ, each with the recorded and the found count.
    #[must_use]
    pub fn differing_counts(&self, found: &Self) -> BTreeMap<Tree, (u64, u64)> {
        let counts = Tree::ALL.iter().map(|tree| (*tree, (self.rows[*tree as usize], found.rows[*tree as usize])));
        counts.filter(|(_, (expected, found))| expected != found).collect()
    }

    /// The number of rows in all trees.
    #[must_use]
    pub fn rows_in_all(&self) -> u64 {
        self.rows.iter().sum()
    }

    fn add(&mut self, hasher: &RowHasher, tree: Tree, key: &[u8], value: &[u8]) {
        self.rows[tree as usize] += 1;
        self.digest = self.digest.wrapping_add(hasher.hash(tree, key, value));
    }

    fn subtract(&mut self, hasher: &RowHasher, tree: Tree, key: &[u8], value: &[u8]) {
        self.rows[tree as usize] = self.rows[tree as usize].wrapping_sub(1);
        self.digest = self.digest.wrapping_sub(hasher.hash(tree, key, value));
    }
}

fn is_own_row(tree: Tree, key: &[u8]) -> bool {
    tree == Tree::Meta && key == INTEGRITY_KEY
}
