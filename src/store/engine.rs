//! The interface between the typed tables and the storage engine.

use std::{collections::BTreeMap, fmt, io, ops::ControlFlow, sync::Arc};

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Every tree of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tree {
    /// id → user.
    Users,
    /// folded name → id.
    UsersByUsername,
    /// (owner, id) → configuration.
    Configurations,
    /// (owner, key) → id.
    ConfigurationsByKey,
    /// (owner, id) → API key.
    ApiKeys,
    /// SHA-256 of the key → (owner, id).
    ApiKeysByDigest,
    /// (owner, jti) → session.
    Sessions,
    /// (second of the end, owner, jti) → nothing.
    SessionsByExpiry,
    /// (list, owner, chunk) → which ids are in it.
    Lists,
    /// The store's metadata: format, sequences, digest.
    Meta,
    /// id → entry of the audit log.
    Audit,
    /// Keyed hash of an identifier that an account has or had → nothing.
    UsedIdentifiers,
    /// (owner, kind, what is used) → when it was last used.
    Activity,
}

impl Tree {
    /// Every tree, in a fixed order; a new one comes last.
    pub const ALL: [Self; 13] = [
        Self::Users,
        Self::UsersByUsername,
        Self::Configurations,
        Self::ConfigurationsByKey,
        Self::ApiKeys,
        Self::ApiKeysByDigest,
        Self::Sessions,
        Self::SessionsByExpiry,
        Self::Lists,
        Self::Meta,
        Self::Audit,
        Self::UsedIdentifiers,
        Self::Activity,
    ];

    /// The tree at that place of [`Tree::ALL`].
    #[must_use]
    pub fn of_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The tree's name on disk and in messages.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Users => "users",
            Self::UsersByUsername => "users_by_username",
            Self::Configurations => "configurations",
            Self::ConfigurationsByKey => "configurations_by_key",
            Self::ApiKeys => "api_keys",
            Self::ApiKeysByDigest => "api_keys_by_digest",
            Self::Sessions => "sessions",
            Self::SessionsByExpiry => "sessions_by_expiry",
            Self::Lists => "lists",
            Self::Meta => "meta",
            Self::Audit => "audit",
            Self::UsedIdentifiers => "used_identifiers",
            Self::Activity => "activity",
        }
    }
}

impl fmt::Display for Tree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A half-open range of keys: `from` is in it, `to` is not; `None` has no upper end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRange {
    /// The first key.
    pub from: Vec<u8>,
    /// The first key after the range.
    pub to: Option<Vec<u8>>,
}

impl KeyRange {
    /// Every key.
    #[must_use]
    pub fn all() -> Self {
        Self { from: Vec::new(), to: None }
    }

    /// Every key that begins with these bytes.
    #[must_use]
    pub fn prefix(prefix: &[u8]) -> Self {
        let mut to = prefix.to_vec();
        while to.last() == Some(&u8::MAX) {
            to.pop();
        }
        let to = to.pop().map(|last| [to, vec![last + 1]].concat());
        Self { from: prefix.to_vec(), to }
    }

    /// Whether the key is in the range.
    #[must_use]
    pub fn contains(&self, key: &[u8]) -> bool {
        self.from.as_slice() <= key && self.to.as_deref().is_none_or(|to| key < to)
    }
}

/// Rows to put (`Some`) and to remove (`None`), all at once.
pub type Changes = BTreeMap<(Tree, Vec<u8>), Option<Vec<u8>>>;

/// What a scan calls with each row's key and value.
pub type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> ControlFlow<()> + 'a;

/// Stores the rows of all trees as bytes.
pub trait Engine: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`EngineError`] if the storage cannot be read.
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, EngineError>;

    /// Visits the rows of a range in the order of their keys, until `visit` breaks.
    ///
    /// # Errors
    /// [`EngineError`] if the storage cannot be read.
    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), EngineError>;

    /// Applies all changes or none. They are durable after the next [`Engine::sync`].
    ///
    /// # Errors
    /// [`EngineError`] if they may not have been applied; then nothing may be committed any more.
    fn commit(&self, changes: &Changes) -> Result<(), EngineError>;

    /// Makes all changes durable that were applied before; without a disk it does nothing.
    ///
    /// # Errors
    /// [`EngineError`] if they may not be durable; then nothing may be committed any more.
    fn sync(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Leaves a mark on the disk that these rows are not to be used by another start.
    fn distrust(&self) {}
}

/// A failure of the storage itself.
#[derive(Clone, Debug, Error)]
pub enum EngineError {
    /// The storage library returned an error.
    #[error("the storage library failed")]
    Library(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// The file system returned an error.
    #[error("the file system failed")]
    Io(#[source] Arc<io::Error>),
    /// The storage library panicked, with this message.
    #[error("the storage library panicked: {0}")]
    Panicked(String),
    /// Rows are missing or changed.
    #[error("the store has lost data: {0}")]
    Lost(String),
}

impl From<io::Error> for EngineError {
    fn from(error: io::Error) -> Self {
        Self::Io(Arc::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_range_ends_after_the_last_key_with_the_prefix() {
        assert_eq!(KeyRange::prefix(&[1, 2]), KeyRange { from: vec![1, 2], to: Some(vec![1, 3]) });
        assert_eq!(KeyRange::prefix(&[1, 255]), KeyRange { from: vec![1, 255], to: Some(vec![2]) });
        assert_eq!(KeyRange::prefix(&[255]), KeyRange { from: vec![255], to: None });
        assert_eq!(KeyRange::prefix(&[]), KeyRange::all());
    }
}
