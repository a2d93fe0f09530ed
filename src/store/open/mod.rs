//! Opens a store on disk, and refuses one that has lost acknowledged writes.
//!
//! The journal is the truth. The index is only used if it has the journal's store, commit number and digest; otherwise it
//! is rebuilt. So nothing that happens to the index loses a write, and what happens to the journal is refused.

mod exchange;
mod fill;
mod history;
mod index;
mod older;
mod recover;

use std::{path::Path, sync::Arc};

pub use self::recover::{Recovered, recover};
pub(super) use self::{
    exchange::rebuild_beside,
    fill::load,
    history::History,
    index::{Unusable, agree, apply_all, position, unusable_checkpoint},
    older::open as open_older,
};
use super::{
    DiskReserve, Store, StoreError, Tables,
    checkpoint::{CheckpointError, Checkpoints, read_header},
    commit_hooks::CommitHooks,
    durability::{Durability, SharedJournal},
    engine::{Engine, EngineError},
    index::Index,
    integrity::{Integrity, RowHasher},
    journal::{Journal, JournalError, Options, Position},
    layout::{Layout, checkpoints_in, index_in, journal_in},
    rows::{Committed, ReadRows},
    schema::{FORMAT, FORMAT_WITH_DIGEST, StoreIdentity},
    sled::{OpenError, Sled, disk::DiskMonitor, set_aside_derived},
    used_identifiers,
};
use crate::random::{random_bytes, random_uuid};

/// A store of up to this many rows is checked whole before it is served; a larger one is checked while it is served.
const MAX_READ_FIRST: u64 = 100_000;

/// What a store has lost, one sentence for each loss.
pub type Loss = Vec<String>;

impl Store {
    /// Opens the store in a directory, or creates an empty one; `cache_bytes` bounds the storage library's cache.
    ///
    /// An index of up to 100,000 rows is read whole and compared with its digest. Of a larger one only the commit number,
    /// the digest that it has stored and the number of users are compared; [`Store::loss`] checks the rest and may run
    /// while the store is served. An index that differs from the journal is rebuilt.
    ///
    /// # Errors
    /// [`OpenError`] if the directory cannot be used, or the journal is damaged, from a newer server, or has lost anything.
    pub fn open(path: &Path, cache_bytes: u64, room: DiskReserve) -> Result<Self, OpenError> {
        let disk = DiskMonitor::of(path, room);
        if path.exists() {
            disk.make_room_to_open().map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        }
        let (sled, durability) = match Layout::of(path) {
            Layout::Older => (older::open(path, cache_bytes)?, Durability::Older),
            Layout::New => {
                older::create_journal(path, random_uuid(), Position::default(), disk.segment_bytes())?;
                open_journaled(path, cache_bytes, disk.segment_bytes())?
            }
            Layout::Journaled => open_journaled(path, cache_bytes, disk.segment_bytes())?,
        };
        // A full disk has no room for it; the first write reports that.
        let _ = disk.take_ballast();
        let commit_hooks = CommitHooks::of(&Committed(&sled), durability.clone(), Some(disk));
        let commit_hooks = commit_hooks.map_err(|error| damaged(path, error))?;
        let index = Arc::new(Index::new(sled));
        let store = Self::with_hooks(commit_hooks, Arc::clone(&index) as Arc<dyn Engine>, durability);
        Ok(Self { index: Some(index), cache_bytes, ..store })
    }

    /// Opens the rows of a damaged store as far as the storage library can, to salvage what can be read.
    ///
    /// # Errors
    /// [`OpenError`] if the library cannot open it at all.
    pub fn open_damaged(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let path = &if index_in(path).is_dir() { index_in(path) } else { path.to_owned() };
        older::refuse_missing_file(path)?;
        let opened = match Sled::open(path, cache_bytes) {
            Err(OpenError::Damaged { .. }) => {
                set_aside_derived(path).map_err(|source| OpenError::Io { path: path.clone(), source })?;
                Sled::open(path, cache_bytes)
            }
            opened => opened,
        };
        opened.map(|sled| Self::with_hooks(CommitHooks::default(), Arc::new(sled), Durability::default()))
    }

    /// Initialises a new store, or upgrades one of an older format. A store that has no journal yet keeps its format
    /// until it has one.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn initialise(&self) -> Result<(), StoreError> {
        let store_id = self.durability.journal().map_or_else(random_uuid, |journal| journal.lock().store());
        let new = StoreIdentity { store_id, digest_key: random_bytes(), identifier_key: random_bytes() };
        if self.is_initialised()? {
            // The format is written last, so that an interrupted upgrade is repeated.
            let new = new.clone();
            self.write(move |txn| txn.identify(&new)).await?;
            used_identifiers::remember_given(self).await?;
        }
        let is_older = self.is_older();
        self.write(move |txn| {
            if !is_older {
                txn.set_format();
            }
            txn.identify(&new)
        })
        .await
    }

    /// Whether it has no journal yet, because it was written by an older server.
    #[must_use]
    pub fn is_older(&self) -> bool {
        match &self.durability {
            Durability::Older => true,
            Durability::Engine | Durability::Journal(_) => false,
        }
    }

    /// Compares every row with the digest and returns what is lost. Takes seconds for a million rows.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read to its end.
    pub fn loss(&self) -> Result<Loss, StoreError> {
        loss(&self.snapshot()?, &mut |_| {})
    }

    /// Whether the store was small enough to be read whole when it was opened.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be read.
    pub fn was_read_whole(&self) -> Result<bool, StoreError> {
        Ok(Integrity::stored(self)?.is_none_or(|integrity| integrity.rows_in_all() <= MAX_READ_FIRST))
    }
}

fn open_journaled(path: &Path, cache_bytes: u64, segment_bytes: u64) -> Result<(Sled, Durability), OpenError> {
    let opened = Journal::open(&journal_in(path), Options { segment_bytes });
    let (journal, opened) = opened.map_err(|error| journal_refusal(path, error))?;
    if let Some(copy) = opened.cut {
        log::warn!(
            "the last write of the journal was incomplete and not acknowledged: it is kept in {}",
            copy.display()
        );
    }
    refuse_shortened(path, &journal)?;
    let sled = index::open(path, &journal, cache_bytes)?;
    refuse_newer(&Committed(&sled), path)?;
    older::remove_files(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    Ok((sled, Durability::Journal(SharedJournal::new(journal))))
}

/// Refuses a journal that ends before a checkpoint of the same store does.
fn refuse_shortened(path: &Path, journal: &Journal) -> Result<(), OpenError> {
    let listed = Checkpoints::of(&checkpoints_in(path)).list();
    let listed = listed.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let headers = listed.into_iter().filter_map(|(_, file)| read_header(&file).ok());
    let newest = headers.filter(|header| header.store == journal.store()).map(|header| header.commit).max();
    match newest.filter(|commit| *commit > journal.last().commit) {
        None => Ok(()),
        Some(commit) => {
            let last = journal.last().commit;
            let what = format!("its journal ends with commit {last}, and there is a checkpoint of commit {commit}");
            Err(OpenError::Lost { path: path.to_owned(), what })
        }
    }
}

/// The differences between the rows and the integrity record; `progress` is called with the number of rows read so far.
///
/// # Errors
/// [`StoreError`] if a row cannot be read.
pub fn loss(rows: &(impl ReadRows + ?Sized), progress: &mut dyn FnMut(u64)) -> Result<Loss, StoreError> {
    let Some((hasher, stored)) = RowHasher::of(rows)?.zip(Integrity::stored(rows)?) else {
        let is_older = rows.format()?.is_none_or(|format| format < FORMAT_WITH_DIGEST);
        return Ok(if is_older { Vec::new() } else { vec!["the integrity record is missing".to_owned()] });
    };
    let found = Integrity::scan_all(rows, &hasher, progress)?;
    let mut loss: Loss = stored
        .differing_counts(&found)
        .into_iter()
        .map(|(tree, (expected, found))| format!("`{tree}` has {found} rows instead of {expected}"))
        .collect();
    if loss.is_empty() && stored.digest != found.digest {
        loss.push("rows were changed outside of a commit".to_owned());
    }
    Ok(loss)
}

/// Refuses rows of a newer format.
fn refuse_newer(rows: &Committed<'_>, path: &Path) -> Result<(), OpenError> {
    let format = rows.format().map_err(|error| damaged(path, error))?;
    match format.filter(|format| *format > FORMAT) {
        None => Ok(()),
        Some(found) => Err(OpenError::TooNew { path: path.to_owned(), found, known: FORMAT }),
    }
}

pub(super) fn damaged(path: &Path, error: StoreError) -> OpenError {
    OpenError::Damaged { path: path.to_owned(), source: cause(error) }
}

/// The refusal of a store for its journal.
pub(super) fn journal_refusal(path: &Path, error: JournalError) -> OpenError {
    let path = path.to_owned();
    match error {
        JournalError::Io(source) => OpenError::Io { path, source },
        JournalError::TooNew { found, known } => OpenError::TooNew { path, found, known },
        error @ (JournalError::Damaged(_) | JournalError::Missing(_)) => {
            OpenError::Lost { path, what: error.to_string() }
        }
    }
}

/// The refusal of a store for a checkpoint that cannot be made or used.
fn refusal(path: &Path, error: CheckpointError) -> OpenError {
    match error {
        CheckpointError::Io(source) => OpenError::Io { path: path.to_owned(), source },
        CheckpointError::Store(error) => damaged(path, error),
        CheckpointError::TooNew(_)
        | CheckpointError::Damaged(_)
        | CheckpointError::NotInitialised
        | CheckpointError::Ending => OpenError::Lost { path: path.to_owned(), what: error.to_string() },
    }
}

/// The storage's part of an error.
fn cause(error: StoreError) -> EngineError {
    match error {
        StoreError::Failed(error) | StoreError::Unreadable(error) => error,
        other => EngineError::Library(Arc::new(other)),
    }
}
