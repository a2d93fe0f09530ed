//! The index: opened if it agrees with the journal, and brought up to its end; rebuilt if it does not.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    cause,
    fill::{Progress, load},
    history::History,
    journal_refusal, loss,
    older::differences,
    refusal,
};
use crate::{
    error_chain::chain,
    files::{ignore_not_found, sync_directory},
    store::{
        StoreError, Tables,
        checkpoint::{CheckpointError, Checkpoints},
        engine::{Engine, EngineError},
        integrity::Integrity,
        journal::{Journal, JournalError, OwnedGroup, Position},
        layout::{checkpoints_in, index_in, replaced_index_in, unfinished_index_in},
        rows::Committed,
        sled::{OpenError, Sled, is_distrusted},
    },
};

/// Why an index is not used.
#[derive(Debug)]
pub(in crate::store) enum Unusable {
    /// It is to be rebuilt, for this reason.
    Index(String),
    /// Its storage fails; an index that exists is to be rebuilt.
    Engine(EngineError),
    /// The store cannot be opened.
    Store(OpenError),
}

impl From<OpenError> for Unusable {
    fn from(error: OpenError) -> Self {
        Self::Store(error)
    }
}

impl Unusable {
    /// The failure of an index that is built, in that store.
    pub(in crate::store) fn into_failure(self, path: &Path) -> OpenError {
        let path = path.to_owned();
        match self {
            Self::Index(what) => OpenError::Lost { path, what },
            Self::Engine(source) => OpenError::Damaged { path, source },
            Self::Store(error) => error,
        }
    }
}

impl From<StoreError> for Unusable {
    fn from(error: StoreError) -> Self {
        Self::Engine(cause(error))
    }
}

impl From<EngineError> for Unusable {
    fn from(error: EngineError) -> Self {
        Self::Engine(error)
    }
}

/// Opens the index and brings it up to the journal's end. One that differs from the journal is moved aside and
/// rebuilt from a checkpoint and the journal.
pub(super) fn open(path: &Path, journal: &Journal, cache_bytes: u64) -> Result<Sled, OpenError> {
    let why = match use_index(path, journal, cache_bytes) {
        Ok(sled) => return Ok(sled),
        Err(Unusable::Store(error)) => return Err(error),
        Err(Unusable::Index(why)) => why,
        Err(Unusable::Engine(error)) => chain(&error),
    };
    if journal.last().commit > 0 {
        log::warn!("the index of the store is rebuilt from the journal: {why}");
    }
    rebuild(path, journal, cache_bytes)
}

fn use_index(path: &Path, journal: &Journal, cache_bytes: u64) -> Result<Sled, Unusable> {
    let index = index_in(path);
    let unusable = |why: &str| Err(Unusable::Index(why.to_owned()));
    if !index.is_dir() {
        return unusable("it is missing");
    }
    if is_distrusted(&index) {
        return unusable("it was found damaged by an earlier run");
    }
    if !index.join("db").is_file() {
        return unusable("its file `db` is missing");
    }
    let sled = match Sled::open(&index, cache_bytes) {
        Err(OpenError::Damaged { source, .. }) => return Err(source.into()),
        opened => opened?,
    };
    refuse_shortened(&sled, journal, path)?;
    agree(&sled, journal)?;
    replay(&sled, journal, position(&sled)?, path)?;
    match differences(&Committed(&sled))? {
        Some(what) => Err(Unusable::Index(what)),
        None => Ok(sled),
    }
}

/// Refuses a journal that ends before an index of the same store whose rows are all there: commits of it are lost.
fn refuse_shortened(sled: &Sled, journal: &Journal, path: &Path) -> Result<(), Unusable> {
    let (at, last) = (position(sled)?.commit, journal.last().commit);
    let is_ahead = at > last && Committed(sled).store_id()? == Some(journal.store());
    if !is_ahead || !loss(&Committed(sled), &mut |_| {})?.is_empty() {
        return Ok(());
    }
    let what = format!("its journal ends with commit {last}, and the index has commit {at}");
    Err(Unusable::Store(OpenError::Lost { path: path.to_owned(), what }))
}

/// Checks that the index is what the journal had at its number.
pub(in crate::store) fn agree(sled: &Sled, journal: &impl History) -> Result<(), Unusable> {
    let (at, last) = (position(sled)?, journal.last().commit);
    let unusable = |why: String| Err(Unusable::Index(why));
    if at.commit > 0 && Committed(sled).store_id()? != Some(journal.store()) {
        return unusable("it belongs to another store".to_owned());
    }
    if at.commit == 0 && Committed(sled).format()?.is_some() {
        return unusable("its integrity record is missing".to_owned());
    }
    if at.commit > last {
        return unusable(format!("its last commit is number {}, and the journal ends with number {last}", at.commit));
    }
    match journal.digest_at(at.commit) {
        Some(digest) if digest == at.digest => Ok(()),
        Some(_) => unusable(format!("its rows are not those of commit {}", at.commit)),
        None => unusable(format!("its last commit is number {}, which the journal no longer has", at.commit)),
    }
}

/// The last commit of an engine and the digest after it.
pub(in crate::store) fn position(engine: &dyn Engine) -> Result<Position, StoreError> {
    let stored = Integrity::stored(&Committed(engine))?.unwrap_or_default();
    Ok(Position { commit: stored.commit, digest: stored.digest })
}

/// Applies what follows that position in the journal, and checks that it ends as the journal does.
fn replay(engine: &dyn Engine, journal: &Journal, from: Position, path: &Path) -> Result<(), Unusable> {
    apply_all(engine, journal.groups_after(from.commit), path)?;
    let (reached, last) = (position(engine)?, journal.last());
    if reached == last { Ok(()) } else { Err(Unusable::Index(format!("it does not reach commit {}", last.commit))) }
}

/// Applies groups; what cannot be read is a failure of the store, what cannot be applied one of the index.
pub(in crate::store) fn apply_all(
    engine: &dyn Engine,
    groups: impl Iterator<Item = Result<OwnedGroup, JournalError>>,
    path: &Path,
) -> Result<(), Unusable> {
    let mut progress = Progress::new("commits replayed");
    for group in groups {
        let group = group.map_err(|error| journal_refusal(path, error))?;
        engine.commit(&group.changes)?;
        progress.count();
    }
    Ok(())
}

/// Builds a new index beside the old one and puts it in its place.
pub(super) fn rebuild(path: &Path, journal: &Journal, cache_bytes: u64) -> Result<Sled, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let beside = unfinished_index_in(path);
    build(path, &beside, journal, cache_bytes)?;
    let (index, replaced) = (index_in(path), replaced_index_in(path));
    remove(&replaced).map_err(io)?;
    ignore_not_found(fs::rename(&index, &replaced)).map_err(io)?;
    fs::rename(&beside, &index).and_then(|()| sync_directory(path)).map_err(io)?;
    Sled::open(&index, cache_bytes)
}

/// Builds the index of the newest sound checkpoint and the journal after it; durable when this returns.
fn build(path: &Path, beside: &Path, journal: &Journal, cache_bytes: u64) -> Result<(), OpenError> {
    let lost = |what: String| OpenError::Lost { path: path.to_owned(), what };
    let mut reasons = Vec::new();
    for from in beginnings(path, journal)? {
        remove(beside).map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        match build_from(path, beside, journal, from.as_deref(), cache_bytes) {
            Ok(()) => return Ok(()),
            Err(Unusable::Store(error)) => return Err(error),
            Err(Unusable::Engine(source)) => return Err(OpenError::Damaged { path: path.to_owned(), source }),
            Err(Unusable::Index(why)) => {
                log::error!("the index cannot be built from {}: {why}", name(from.as_deref()));
                reasons.push(format!("{}: {why}", name(from.as_deref())));
            }
        }
    }
    let first = journal.first().commit + 1;
    reasons.insert(0, format!("its journal begins with commit {first}, and no sound checkpoint leads there"));
    Err(lost(reasons.join("; ")))
}

fn name(checkpoint: Option<&Path>) -> String {
    checkpoint.map_or_else(|| "the journal alone".to_owned(), |path| path.display().to_string())
}

/// What the journal can be applied to: checkpoints, the newest first, and nothing if it has every commit.
fn beginnings(path: &Path, journal: &Journal) -> Result<Vec<Option<PathBuf>>, OpenError> {
    let listed = Checkpoints::of(&checkpoints_in(path)).list();
    let listed = listed.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
    let mut found: Vec<_> = listed.into_iter().rev().map(|(_, file)| Some(file)).collect();
    if journal.first().commit == 0 {
        found.push(None);
    }
    Ok(found)
}

fn build_from(
    path: &Path,
    beside: &Path,
    journal: &Journal,
    checkpoint: Option<&Path>,
    cache_bytes: u64,
) -> Result<(), Unusable> {
    let sled = Sled::open(beside, cache_bytes)?;
    if let Some(checkpoint) = checkpoint {
        load(&sled, checkpoint).map_err(|why| unusable_checkpoint(path, why))?;
    }
    agree(&sled, journal)?;
    replay(&sled, journal, position(&sled)?, path)?;
    if let Some(what) = differences(&Committed(&sled))? {
        return Err(Unusable::Index(what));
    }
    Ok(sled.sync()?)
}

/// A full or failing disk is no fault of the checkpoint; anything else is, and another one may be sound.
pub(in crate::store) fn unusable_checkpoint(path: &Path, error: CheckpointError) -> Unusable {
    match error {
        CheckpointError::Store(_) | CheckpointError::TooNew(_) => Unusable::Store(refusal(path, error)),
        CheckpointError::Damaged(_)
        | CheckpointError::NotInitialised
        | CheckpointError::Ending
        | CheckpointError::Io(_) => Unusable::Index(chain(&error)),
    }
}

/// Removes what has that name, whatever it is.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
