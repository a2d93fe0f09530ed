//! Opens a store of format 4 or older, refuses one that has lost acknowledged writes, and begins its journal.

use std::{fs, io, path::Path};

use super::{MAX_READ_FIRST, cause, loss, refusal};
use crate::{
    clock::Timestamp,
    files::{ignore_not_found, sync_directory},
    store::{
        DiskReserve, Store, StoreError, Tables,
        checkpoint::Checkpoints,
        engine::Tree,
        id_set::{self, IdSet},
        integrity::Integrity,
        journal::{Journal, Options, Position},
        layout::{checkpoints_in, journal_in, unfinished_journal_in},
        rows::Committed,
        schema::FORMAT_WITH_DIGEST,
        sled::{
            OpenError, Sled,
            witness::{self, Witness, WitnessError, stored_witness},
        },
    },
};

/// Opens the store whose rows are sled's files in the directory itself.
pub(in crate::store) fn open(path: &Path, cache_bytes: u64) -> Result<Sled, OpenError> {
    let seen = stored_witness(path).map_err(|error| without_witness(path, error))?;
    if seen.is_some_and(|seen| seen.commit > 0) {
        refuse_missing_file(path)?;
    }
    let sled = Sled::open(path, cache_bytes)?;
    refuse_loss(&Committed(&sled), seen, path)?;
    Ok(sled)
}

/// Refuses a directory without the store's file, in whose place the library would create an empty store.
pub(super) fn refuse_missing_file(path: &Path) -> Result<(), OpenError> {
    if path.join("db").exists() {
        return Ok(());
    }
    Err(OpenError::Lost { path: path.to_owned(), what: "its file `db` is missing".to_owned() })
}

fn refuse_loss(rows: &Committed<'_>, seen: Option<Witness>, path: &Path) -> Result<(), OpenError> {
    let damaged = |error| OpenError::Damaged { path: path.to_owned(), source: cause(error) };
    let lost = |what: String| Err(OpenError::Lost { path: path.to_owned(), what });
    super::refuse_newer(rows, path)?;
    let format = rows.format().map_err(damaged)?;
    if let Some(what) = contradiction(rows, format, seen).map_err(damaged)? {
        return lost(what);
    }
    match differences(rows).map_err(damaged)? {
        Some(what) => lost(what),
        None => Ok(()),
    }
}

/// How the rows contradict their integrity record, as far as a start looks.
pub(super) fn differences(rows: &Committed<'_>) -> Result<Option<String>, StoreError> {
    let stored = Integrity::stored(rows)?.unwrap_or_default();
    if stored.rows_in_all() <= MAX_READ_FIRST {
        let found = loss(rows, &mut |_| {})?;
        return Ok((!found.is_empty()).then(|| found.join(", ")));
    }
    let users = id_set::count(rows, IdSet::Users)?;
    let expected = stored.rows[Tree::Users as usize];
    Ok((users != expected).then(|| format!("it lists {users} users instead of {expected}")))
}

/// How the witness contradicts the store, if it does.
fn contradiction(
    rows: &Committed<'_>,
    format: Option<u32>,
    seen: Option<Witness>,
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

fn without_witness(path: &Path, error: WitnessError) -> OpenError {
    match error {
        WitnessError::Damaged => {
            OpenError::Lost { path: path.to_owned(), what: "the file `witness` beside it is damaged".to_owned() }
        }
        WitnessError::Io(source) => OpenError::Io { path: path.to_owned(), source },
    }
}

impl Store {
    /// Begins the journal of a store of an older format: with a checkpoint of it, which is read back. The store is to be
    /// opened anew; then its index is built, and its former files are removed. Interrupted anywhere, this is begun again.
    ///
    /// # Errors
    /// [`OpenError`] if its rows do not match their digest, or the files cannot be written.
    pub fn begin_journal(&self, path: &Path, now: Timestamp) -> Result<(), OpenError> {
        let io = |source| OpenError::Io { path: path.to_owned(), source };
        let snapshot =
            self.snapshot().map_err(|error| OpenError::Damaged { path: path.to_owned(), source: cause(error) })?;
        ignore_not_found(fs::remove_dir_all(checkpoints_in(path))).map_err(io)?;
        let made = Checkpoints::of(&checkpoints_in(path)).save(&snapshot, now, &|| false);
        let header = made.map_err(|error| refusal(path, error))?.header;
        let after = Position { commit: header.commit, digest: header.digest };
        create_journal(path, header.store, after, DiskReserve::NONE.segment_bytes)
    }
}

/// Makes a journal that begins after that position, whole or not at all.
pub(super) fn create_journal(
    path: &Path,
    store: uuid::Uuid,
    after: Position,
    segment_bytes: u64,
) -> Result<(), OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let unfinished = unfinished_journal_in(path);
    fs::create_dir_all(path).map_err(io)?;
    ignore_not_found(fs::remove_dir_all(&unfinished)).map_err(io)?;
    let created = Journal::create(&unfinished, store, after, Options { segment_bytes });
    drop(created.map_err(|error| super::journal_refusal(path, error))?);
    fs::rename(&unfinished, journal_in(path)).and_then(|()| sync_directory(path)).map_err(io)
}

/// Removes the files of an older format, once journal and index are in place.
pub(super) fn remove_files(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name == "blobs" {
            fs::remove_dir_all(entry.path())?;
        } else if ["db", "conf", witness::NAME, "witness.unfinished"].contains(&&*name) || name.starts_with("snap.") {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
