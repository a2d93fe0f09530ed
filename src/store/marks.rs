//! Marks by which whoever has read something knows whether it may have changed since.
//!
//! Read the mark first and the rows afterwards. As long as the mark is the same, so are the rows, as far as any write that
//! has been answered is concerned: the committer moves the marks before it answers.

use std::{
    array,
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering},
};

use super::engine::{Changes, Tree};
use crate::domain::Id;

/// How many users share a mark at most, as a part of all: a change of one moves the mark of those that share it.
const SLOTS: usize = 4096;

/// A value that changes with what it marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(u64);

/// The marks of a store.
pub(super) struct Marks {
    /// Of who users are and what admits them: account, keys and sessions.
    owners: Box<[AtomicU64; SLOTS]>,
    /// Of all accounts.
    users: AtomicU64,
    /// Of all that is marked by owner; it moves before any of these does.
    any_owner: AtomicU64,
}

/// Looks out for changes while rows are read whose owner is not known yet.
pub struct Watch<'a> {
    marks: &'a Marks,
    before: u64,
}

/// Which marks some changes move.
pub(super) struct Moved {
    owners: BTreeSet<usize>,
    users: bool,
}

impl Marks {
    pub(super) fn new() -> Self {
        Self {
            owners: Box::new(array::from_fn(|_| AtomicU64::new(0))),
            users: AtomicU64::new(0),
            any_owner: AtomicU64::new(0),
        }
    }

    pub(super) fn watch(&self) -> Watch<'_> {
        Watch { marks: self, before: self.any_owner.load(Ordering::SeqCst) }
    }

    pub(super) fn of_owner(&self, owner: Id) -> Mark {
        Mark(self.owners[slot(owner.get())].load(Ordering::SeqCst))
    }

    pub(super) fn of_users(&self) -> Mark {
        Mark(self.users.load(Ordering::SeqCst))
    }

    pub(super) fn move_on(&self, moved: &Moved) {
        if moved.users {
            self.users.fetch_add(1, Ordering::SeqCst);
        }
        if !moved.owners.is_empty() {
            self.any_owner.fetch_add(1, Ordering::SeqCst);
        }
        for slot in &moved.owners {
            self.owners[*slot].fetch_add(1, Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
impl Mark {
    pub(crate) const fn of(number: u64) -> Self {
        Self(number)
    }
}

impl Watch<'_> {
    /// The mark that the owner's rows had when they were read since this watch began; `None` if that is not certain.
    #[must_use]
    pub fn mark(&self, owner: Id) -> Option<Mark> {
        let mark = self.marks.of_owner(owner);
        // Had it moved meanwhile, then this one before it.
        (self.marks.any_owner.load(Ordering::SeqCst) == self.before).then_some(mark)
    }
}

impl Moved {
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

    fn moved(tree: Tree, owner: u32) -> Moved {
        let key = [owner.to_be_bytes().as_slice(), b"whatever"].concat();
        Moved::by(&Changes::from([((tree, key), None)]))
    }

    #[test]
    fn a_mark_moves_with_the_account_the_keys_and_the_sessions_of_its_owner_alone() {
        let (marks, ann, bob) = (Marks::new(), Id::new(1).unwrap(), Id::new(2).unwrap());
        for tree in Tree::ALL {
            let before = [ann, bob].map(|owner| marks.of_owner(owner));
            let users_before = marks.of_users();

            marks.move_on(&moved(tree, 1));

            let is_marked = [Tree::Users, Tree::ApiKeys, Tree::Sessions].contains(&tree);
            assert_eq!(marks.of_owner(ann) != before[0], is_marked, "{tree}");
            assert_eq!(marks.of_owner(bob), before[1], "{tree}");
            assert_eq!(marks.of_users() != users_before, tree == Tree::Users, "{tree}");
        }
    }

    #[test]
    fn a_watch_is_certain_of_no_mark_once_any_has_moved() {
        let (marks, ann) = (Marks::new(), Id::new(1).unwrap());
        assert_eq!(marks.watch().mark(ann), Some(marks.of_owner(ann)));

        let watch = marks.watch();
        marks.move_on(&moved(Tree::Configurations, 1));
        assert!(watch.mark(ann).is_some());
        marks.move_on(&moved(Tree::Sessions, 2));
        assert!(watch.mark(ann).is_none());
    }
}
