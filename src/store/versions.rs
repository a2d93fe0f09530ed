//! Version counters for cache invalidation.
//!
//! A reader reads the version first and the rows afterwards. As long as the version is the same, no answered write has
//! changed the rows: the committer advances the versions before it answers.

use std::{
    array,
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use super::engine::{Changes, Tree};
use crate::domain::Id;

/// The number of counters for owners. Users whose ids are equal modulo this number share one.
const SLOTS: usize = 4096;

/// A value that changes with the rows that it stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version(u64);

/// The version counters of a store.
pub(super) struct Versions {
    /// Of each user's account, API keys and sessions.
    owners: Box<[AtomicU64; SLOTS]>,
    /// Of all accounts.
    users: AtomicU64,
    /// Of all owners together; it advances before any of `owners` does.
    any_owner: AtomicU64,
}

/// Detects changes while rows are read whose owner is not known yet.
pub struct ReadGuard<'a> {
    versions: &'a Versions,
    before: u64,
}

/// The counters that some changes advance.
pub(super) struct Advanced {
    owners: BTreeSet<usize>,
    users: bool,
}

impl Versions {
    pub(super) fn new() -> Self {
        Self {
            owners: Box::new(array::from_fn(|_| AtomicU64::new(0))),
            users: AtomicU64::new(0),
            any_owner: AtomicU64::new(0),
        }
    }

    pub(super) fn read_guard(&self) -> ReadGuard<'_> {
        ReadGuard { versions: self, before: self.any_owner.load(Ordering::SeqCst) }
    }

    pub(super) fn of_owner(&self, owner: Id) -> Version {
        Version(self.owners[slot(owner.get())].load(Ordering::SeqCst))
    }

    pub(super) fn of_users(&self) -> Version {
        Version(self.users.load(Ordering::SeqCst))
    }

    pub(super) fn advance(&self, advanced: &Advanced) {
        if advanced.users {
            self.users.fetch_add(1, Ordering::SeqCst);
        }
        if !advanced.owners.is_empty() {
            self.any_owner.fetch_add(1, Ordering::SeqCst);
        }
        for slot in &advanced.owners {
            self.owners[*slot].fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
impl Version {
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }
}

impl ReadGuard<'_> {
    /// The version of the owner's rows that were read since this guard was created; `None` if any owner's have changed since.
    #[must_use]
    pub fn version(&self, owner: Id) -> Option<Version> {
        let version = self.versions.of_owner(owner);
        // `any_owner` advances first, so it shows every change of the version that was just read.
        (self.versions.any_owner.load(Ordering::SeqCst) == self.before).then_some(version)
    }
}

impl Advanced {
    pub(super) fn by(changes: &Changes) -> Self {
        let of_owners = |tree: &Tree| matches!(tree, Tree::Users | Tree::ApiKeys | Tree::Sessions);
        let keys = changes.keys().filter(|(tree, _)| of_owners(tree));
        let owners = keys.filter_map(|(_, key)| key.first_chunk()).map(|owner| slot(u32::from_be_bytes(*owner)));
        Self { owners: owners.collect(), users: changes.keys().any(|(tree, _)| *tree == Tree::Users) }
    }
}

fn slot(owner: u32) -> usize {
    owner as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advanced(tree: Tree, owner: u32) -> Advanced {
        let key = [owner.to_be_bytes().as_slice(), b"whatever"].concat();
        Advanced::by(&Changes::from([((tree, key), None)]))
    }

    #[test]
    fn a_version_changes_with_the_account_the_keys_and_the_sessions_of_its_owner_alone() {
        let (versions, ann, bob) = (Versions::new(), Id::new(1).unwrap(), Id::new(2).unwrap());
        for tree in Tree::ALL {
            let before = [ann, bob].map(|owner| versions.of_owner(owner));
            let users_before = versions.of_users();

            versions.advance(&advanced(tree, 1));

            let is_marked = [Tree::Users, Tree::ApiKeys, Tree::Sessions].contains(&tree);
            assert_eq!(versions.of_owner(ann) != before[0], is_marked, "{tree}");
            assert_eq!(versions.of_owner(bob), before[1], "{tree}");
            assert_eq!(versions.of_users() != users_before, tree == Tree::Users, "{tree}");
        }
    }

    #[test]
    fn a_read_guard_returns_no_version_once_any_has_changed() {
        let (versions, ann) = (Versions::new(), Id::new(1).unwrap());
        assert_eq!(versions.read_guard().version(ann), Some(versions.of_owner(ann)));

        let read_guard = versions.read_guard();
        versions.advance(&advanced(Tree::Configurations, 1));
        assert!(read_guard.version(ann).is_some());
        versions.advance(&advanced(Tree::Sessions, 2));
        assert!(read_guard.version(ann).is_none());
    }
}
