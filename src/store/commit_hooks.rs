//! What every commit includes: the digest, the journal, the snapshots, and a check of the free disk space.

use std::sync::{Arc, Weak};

use super::{
    StoreError,
    durability::Durability,
    engine::{Changes, Engine, Tree},
    integrity::{Before, INTEGRITY_KEY, Integrity, RowHasher},
    rows::{Committed, ReadRows},
    sled::{
        disk::DiskMonitor,
        snapshot::{Preimages, Snapshot},
    },
    txn::Sequence,
};

/// Updates what is derived from the rows with each commit.
#[derive(Default)]
pub(super) struct CommitHooks {
    integrity: Option<(RowHasher, Integrity)>,
    durability: Durability,
    disk: Option<DiskMonitor>,
    snapshots: Vec<Weak<Preimages>>,
}

/// The sequences of records that a backup has.
const RECORDS: [Sequence; 3] = [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys];

impl CommitHooks {
    /// Hooks that continue from the digest in the store.
    pub(super) fn of(
        rows: &impl ReadRows,
        durability: Durability,
        disk: Option<DiskMonitor>,
    ) -> Result<Self, StoreError> {
        let integrity = RowHasher::of(rows)?.zip(Integrity::stored(rows)?);
        Ok(Self { integrity, durability, disk, snapshots: Vec::new() })
    }

    /// Commits the changes together with the new digest.
    pub(super) fn commit(&mut self, engine: &dyn Engine, mut changes: Changes) -> Result<(), StoreError> {
        self.check_disk(engine)?;
        let hasher = match &self.integrity {
            Some((hasher, _)) => Some(hasher.clone()),
            None => RowHasher::given_by(&changes),
        };
        if hasher.is_some() {
            changes.insert((Tree::Meta, INTEGRITY_KEY.to_vec()), None);
        }
        let before = before(engine, &changes)?;
        let next = hasher.map(|hasher| self.next(engine, hasher, &changes, &before)).transpose()?;
        if let Some((_, integrity)) = &next {
            changes.extend([integrity.row()]);
        }
        self.note(&changes, &before);
        let integrity = next.as_ref().map(|(_, integrity)| integrity);
        self.durability.commit(engine, &changes, integrity).map_err(StoreError::Failed)?;
        self.integrity = next;
        Ok(())
    }

    /// Refuses a commit on a disk that is almost full. While there is still room, what the index has not written is.
    fn check_disk(&mut self, engine: &dyn Engine) -> Result<(), StoreError> {
        let Some(disk) = &mut self.disk else { return Ok(()) };
        let was_full = disk.is_full();
        let checked = disk.check();
        if disk.is_full() && !was_full {
            engine.sync().map_err(StoreError::Failed)?;
        }
        checked
    }

    /// The integrity record as of the last commit.
    pub(super) fn integrity(&self) -> Option<&Integrity> {
        self.integrity.as_ref().map(|(_, integrity)| integrity)
    }

    /// The store as it is between two commits.
    pub(super) fn snapshot(&mut self, engine: &Arc<dyn Engine>) -> Snapshot {
        let preimages = Arc::new(Preimages::default());
        self.snapshots.push(Arc::downgrade(&preimages));
        Snapshot::new(Arc::clone(engine), preimages)
    }

    fn next(
        &self,
        engine: &dyn Engine,
        hasher: RowHasher,
        changes: &Changes,
        before: &Before,
    ) -> Result<(RowHasher, Integrity), StoreError> {
        let integrity = match &self.integrity {
            Some((_, integrity)) => integrity.clone(),
            // This commit gives the store its digest, which covers the existing rows too.
            None => Integrity::scan_all(&Committed(engine), &hasher, &mut |_| {})?,
        };
        let next = integrity.after(&hasher, changes, before);
        Ok((hasher, next))
    }

    fn note(&mut self, changes: &Changes, before: &Before) {
        self.snapshots.retain(|snapshot| {
            let preimages = snapshot.upgrade();
            preimages.inspect(|preimages| preimages.note(changes, before)).is_some()
        });
    }
}

/// The last numbers of the sequences of records: users, configurations, API keys.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub fn sequences(rows: &(impl ReadRows + ?Sized)) -> Result<[u64; 3], StoreError> {
    let mut numbers = [0; 3];
    for (number, sequence) in numbers.iter_mut().zip(RECORDS) {
        *number = sequence.last(rows)?;
    }
    Ok(numbers)
}

fn before(engine: &dyn Engine, changes: &Changes) -> Result<Before, StoreError> {
    changes.keys().map(|(tree, key)| Ok(engine.get(*tree, key)?)).collect()
}
