//! The row with the keys that sign assertions, which are sealed under a key that is derived from the server's secret.
//!
//! It is not in backups: services fetch the public keys again, and a restored store makes new ones.

use serde::{Deserialize, Serialize};

use super::{
    StoreError,
    engine::Tree,
    record::{self, Versioned},
    table::ReadRows,
    txn::Txn,
};
use crate::clock::Timestamp;

const KEY: &[u8] = b"assertion_keys";

/// The keys that are published.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AssertionKeys {
    /// The one that signs.
    pub signing: Option<SealedKey>,
    /// The one that will sign next.
    pub next: Option<SealedKey>,
    /// The one that signed before.
    pub former: Option<SealedKey>,
}

/// A sealed key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedKey {
    /// What the module `auth` has sealed.
    pub sealed: Vec<u8>,
    /// Since when it has signed; before that, when it was made.
    pub since: Timestamp,
}

impl Versioned for AssertionKeys {}

/// The stored keys; none in a new store.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn stored(rows: &(impl ReadRows + ?Sized)) -> Result<AssertionKeys, StoreError> {
    let Some(bytes) = rows.get(Tree::Meta, KEY)? else { return Ok(AssertionKeys::default()) };
    record::decode(Tree::Meta.name(), &bytes).map_err(StoreError::Record)
}

impl Txn<'_> {
    /// Replaces the stored keys.
    pub fn set_assertion_keys(&mut self, keys: &AssertionKeys) {
        self.set(Tree::Meta, KEY.to_vec(), Some(record::encode(keys)));
    }

    /// Removes the stored keys.
    pub fn remove_assertion_keys(&mut self) {
        self.set(Tree::Meta, KEY.to_vec(), None);
    }
}
