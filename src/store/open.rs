//! Opens a store on disk, and refuses one that has lost acknowledged writes.

use std::{path::Path, sync::Arc};

use super::{
    DiskReserve, Store, StoreError, Tables,
    commit_hooks::{CommitHooks, sequences},
    engine::{Engine, EngineError, Tree},
    id_set::{self, IdSet},
    integrity::{Integrity, RowHasher},
    rows::{Committed, ReadRows},
    schema::{FORMAT, FORMAT_WITH_DIGEST, StoreIdentity},
    sled::{
        OpenError, Sled,
        checkpoint::{Checkpoint, CheckpointError, Checkpointer, stored_checkpoint},
        disk::DiskMonitor,
        set_aside_derived,
    },
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
    /// A store of up to 100,000 rows is read whole and compared with its digest. Of a larger one only the commit number and
    /// the number of users are compared; [`Store::loss`] checks the rest and may run while the store is served.
    ///
    /// # Errors
    /// [`OpenError`] if the directory cannot be used, or the store is damaged, from a newer server, or has lost anything.
    pub fn open(path: &Path, cache_bytes: u64, room: DiskReserve) -> Result<Self, OpenError> {
        let seen = stored_checkpoint(path).map_err(|error| without_checkpoint(path, error))?;
        if seen.is_some_and(|seen| seen.commit > 0) {
            refuse_missing_file(path)?;
        }
        let disk = DiskMonitor::of(path, room);
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        if path.exists() {
            disk.make_room_to_open().map_err(io)?;
        }
        let engine: Arc<dyn Engine> = Arc::new(Sled::open(path, cache_bytes)?);
        // A full disk has no room for it; the first write reports that.
        let _ = disk.take_ballast();
        let rows = Committed(&*engine);
        let damaged = |error| OpenError::Damaged { path: path.to_owned(), source: cause(error) };
        refuse_loss(&rows, seen, path)?;
        let first = first_checkpoint(&rows, seen).map_err(damaged)?;
        let checkpoint = Arc::new(Checkpointer::start(path, first).map_err(io)?);
        let commit_hooks = CommitHooks::of(&rows, Some(Arc::clone(&checkpoint)), Some(disk)).map_err(damaged)?;
        Ok(Self::with_hooks(commit_hooks, engine, Some(checkpoint)))
    }

    /// Opens a damaged store as far as the storage library can, to salvage what can be read.
    ///
    /// # Errors
    /// [`OpenError`] if the library cannot open it at all.
    pub fn open_damaged(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        refuse_missing_file(path)?;
        let opened = match Sled::open(path, cache_bytes) {
            Err(OpenError::Damaged { .. }) => {
                set_aside_derived(path).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
                Sled::open(path, cache_bytes)
            }
            opened => opened,
        };
        opened.map(|sled| Self::with_hooks(CommitHooks::default(), Arc::new(sled), None))
    }

    /// Initialises a new store, or upgrades one of an older format.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn initialise(&self) -> Result<(), StoreError> {
        let store_id = self.checkpoint.as_ref().map_or_else(random_uuid, |checkpoint| checkpoint.store());
        let new = StoreIdentity { store_id, digest_key: random_bytes(), identifier_key: random_bytes() };
        if self.is_initialised()? {
            // The format is written last, so that an interrupted upgrade is repeated.
            let new = new.clone();
            self.write(move |txn| txn.identify(&new)).await?;
            used_identifiers::remember_given(self).await?;
        }
        self.write(move |txn| {
            txn.set_format();
            txn.identify(&new)
        })
        .await
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

/// Refuses a directory without the store's file, in whose place the library would create an empty store.
fn refuse_missing_file(path: &Path) -> Result<(), OpenError> {
    if path.join("db").exists() {
        return Ok(());
    }
    Err(OpenError::Lost { path: path.to_owned(), what: "its file `db` is missing".to_owned() })
}

fn refuse_loss(rows: &Committed<'_>, seen: Option<Checkpoint>, path: &Path) -> Result<(), OpenError> {
    let damaged = |error| OpenError::Damaged { path: path.to_owned(), source: cause(error) };
    let lost = |what: String| Err(OpenError::Lost { path: path.to_owned(), what });
    let format = rows.format().map_err(damaged)?;
    if let Some(found) = format.filter(|format| *format > FORMAT) {
        return Err(OpenError::TooNew { path: path.to_owned(), found, known: FORMAT });
    }
    if let Some(what) = contradiction(rows, format, seen).map_err(damaged)? {
        return lost(what);
    }
    let stored = Integrity::stored(rows).map_err(damaged)?.unwrap_or_default();
    if stored.rows_in_all() > MAX_READ_FIRST {
        let users = id_set::count(rows, IdSet::Users).map_err(damaged)?;
        let expected = stored.rows[Tree::Users as usize];
        return if users == expected { Ok(()) } else { lost(format!("it lists {users} users instead of {expected}")) };
    }
    let found = loss(rows, &mut |_| {}).map_err(damaged)?;
    if found.is_empty() { Ok(()) } else { lost(found.join(", ")) }
}

/// How the checkpoint contradicts the store, if it does.
fn contradiction(
    rows: &Committed<'_>,
    format: Option<u32>,
    seen: Option<Checkpoint>,
) -> Result<Option<String>, StoreError> {
    let commit = Integrity::stored(rows)?.map_or(0, |integrity| integrity.commit);
    let Some(seen) = seen else {
        let must_have_one = format.is_some_and(|format| format >= FORMAT_WITH_DIGEST);
        return Ok(must_have_one.then(|| "the file `witness` beside it is missing".to_owned()));
    };
    if seen.commit == 0 {
        return Ok(None);
    }
    if rows.store_id()? != Some(seen.store) {
        return Ok(Some("the file `witness` beside it belongs to another store".to_owned()));
    }
    let is_behind = commit < seen.commit;
    Ok(is_behind.then(|| format!("its last commit is number {commit}, and number {} was acknowledged", seen.commit)))
}

fn first_checkpoint(rows: &Committed<'_>, seen: Option<Checkpoint>) -> Result<Checkpoint, StoreError> {
    let commit = Integrity::stored(rows)?.map_or(0, |integrity| integrity.commit);
    let known = rows.store_id()?.or(seen.filter(|_| commit == 0).map(|seen| seen.store));
    Ok(Checkpoint { store: known.unwrap_or_else(random_uuid), commit, sequences: sequences(rows)? })
}

fn without_checkpoint(path: &Path, error: CheckpointError) -> OpenError {
    match error {
        CheckpointError::Damaged => {
            OpenError::Lost { path: path.to_owned(), what: "the file `witness` beside it is damaged".to_owned() }
        }
        CheckpointError::Io(source) => OpenError::Io { path: path.to_owned(), source },
    }
}

/// The storage's part of an error.
fn cause(error: StoreError) -> EngineError {
    match error {
        StoreError::Failed(error) | StoreError::Unreadable(error) => error,
        other => EngineError::Library(Arc::new(other)),
    }
}
