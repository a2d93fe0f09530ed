//! What every commit includes: the digest, the checkpoint, the snapshots, and a check of the free disk space.

use std::sync::{Arc, Weak};

use super::{
    StoreError,
    engine::{Changes, Engine, EngineError, Tree},
    integrity::{Before, INTEGRITY_KEY, Integrity, RowHasher},
    rows::{Committed, ReadRows},
    sled::{
        checkpoint::Checkpointer,
        disk::DiskMonitor,
        snapshot::{Preimages, Snapshot},
    },
    txn::Sequence,
};

/// Updates what is derived from the rows with each commit.
#[derive(Default)]
pub(super) struct CommitHooks {
    integrity: Option<(RowHasher, Integrity)>,
    sequences: [u64; 3],
    checkpoint: Option<Arc<Checkpointer>>,
    disk: Option<DiskMonitor>,
    snapshots: Vec<Weak<Preimages>>,
}

/// The sequences that a checkpoint records.
pub(super) const CHECKPOINTED: [Sequence; 3] = [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys];

impl CommitHooks {
    /// Hooks that continue from the digest and the sequences in the store.
    pub(super) fn of(
        rows: &impl ReadRows,
        checkpoint: Option<Arc<Checkpointer>>,
        disk: Option<DiskMonitor>,
    ) -> Result<Self, StoreError> {
        let integrity = RowHasher::of(rows)?.zip(Integrity::stored(rows)?);
        Ok(Self { integrity, sequences: sequences(rows)?, checkpoint, disk, snapshots: Vec::new() })
    }

    /// Commits the changes together with the new digest.
    pub(super) fn commit(&mut self, engine: &dyn Engine, mut changes: Changes) -> Result<(), StoreError> {
        if let Some(disk) = &mut self.disk {
            disk.check()?;
        }
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
        engine.commit(&changes).map_err(StoreError::Failed)?;
        self.integrity = next;
        self.record_checkpoint(&changes)
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

    fn record_checkpoint(&mut self, changes: &Changes) -> Result<(), StoreError> {
        for (number, sequence) in self.sequences.iter_mut().zip(CHECKPOINTED) {
            let value = changes.get(&(Tree::Meta, sequence.key().to_vec())).and_then(|value| value.as_deref());
            *number = value.and_then(|bytes| bytes.try_into().ok()).map_or(*number, u64::from_be_bytes);
        }
        let Some((checkpoint, (_, integrity))) = self.checkpoint.as_ref().zip(self.integrity.as_ref()) else {
            return Ok(());
        };
        checkpoint.record(integrity.commit, self.sequences).map_err(|error| StoreError::Failed(EngineError::Io(error)))
    }
}

/// The last numbers of the sequences that a checkpoint records: users, configurations, API keys.
///
/// # Errors
/// [`StoreError`] if one cannot be read.
pub fn sequences(rows: &(impl ReadRows + ?Sized)) -> Result<[u64; 3], StoreError> {
    let mut numbers = [0; 3];
    for (number, sequence) in numbers.iter_mut().zip(CHECKPOINTED) {
        *number = sequence.last(rows)?;
    }
    Ok(numbers)
}

fn before(engine: &dyn Engine, changes: &Changes) -> Result<Before, StoreError> {
    changes.keys().map(|(tree, key)| Ok(engine.get(*tree, key)?)).collect()
}
