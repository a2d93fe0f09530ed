//! The journal as the index is compared with it, held alone or shared with the committer.

use uuid::Uuid;

use crate::store::{
    durability::SharedJournal,
    journal::{Groups, Journal, Position},
};

/// The journal as the index is compared with it.
pub(in crate::store) trait History {
    fn store(&self) -> Uuid;
    fn first(&self) -> Position;
    fn last(&self) -> Position;
    /// The groups with numbers above that one, up to the last one now.
    fn groups_after(&self, commit: u64) -> Groups;

    /// The digest after that commit, if it is known. A journal that cannot be read is reported by the replay.
    fn digest_at(&self, commit: u64) -> Option<u128> {
        if commit <= self.first().commit {
            return Some(self.first()).filter(|first| first.commit == commit).map(|first| first.digest);
        }
        let group = self.groups_after(commit - 1).next()?.ok()?;
        (group.commit == commit).then_some(group.digest)
    }
}

impl History for Journal {
    fn store(&self) -> Uuid {
        self.store()
    }

    fn first(&self) -> Position {
        self.first()
    }

    fn last(&self) -> Position {
        self.last()
    }

    fn groups_after(&self, commit: u64) -> Groups {
        self.groups_after(commit)
    }
}

/// Each look takes the journal for that long only, because commits wait for it.
impl History for SharedJournal {
    fn store(&self) -> Uuid {
        self.lock().store()
    }

    fn first(&self) -> Position {
        self.lock().first()
    }

    fn last(&self) -> Position {
        self.lock().last()
    }

    fn groups_after(&self, commit: u64) -> Groups {
        self.lock().groups_after(commit)
    }
}
