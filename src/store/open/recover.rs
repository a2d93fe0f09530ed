//! What is left of a store whose journal is damaged: the longest good history, in a new store beside it.

use std::{
    ops::RangeInclusive,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    damaged,
    fill::{copy_rows, load},
    index::{position, remove},
    journal_refusal, loss,
    older::create_journal,
    refusal,
};
use crate::{
    clock::Timestamp,
    store::{
        DiskReserve, Tables,
        checkpoint::{self, CheckpointError, Checkpoints},
        commit_hooks::sequences,
        engine::{Changes, Engine, Tree},
        journal::{Inspection, Journal, JournalError, Position},
        layout::{checkpoints_in, index_in, journal_in},
        rows::Committed,
        sled::{OpenError, Sled},
        txn::Sequence,
    },
};

/// A store that goes on after a loss.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// The number of the last commit that it has.
    pub commit: u64,
    /// The commits that are missing, as far as is known; there may have been later ones.
    pub missing: Option<RangeInclusive<u64>>,
    /// The last numbers of the sequences that can be read anywhere: users, configurations, API keys.
    pub sequences: [u64; 3],
}

/// A state of the store that a history can begin with.
struct Beginning {
    kind: Kind,
    store: Uuid,
    at: Position,
    /// The number of the last commit that the journal leads to from there.
    reaches: u64,
}

enum Kind {
    Nothing,
    Checkpoint(PathBuf),
    /// The index as it is, whose rows are all there.
    Index,
}

/// What can still be read of a store.
struct Remains {
    journal: Option<Inspection>,
    index: Option<Sled>,
    beginnings: Vec<Beginning>,
}

/// Builds a store in `beside` of the longest history that can be read without a gap: a checkpoint, or the index, and the
/// records of the journal after it.
///
/// # Errors
/// [`OpenError`] if there is none, or the new store cannot be written.
pub fn recover(path: &Path, beside: &Path, cache_bytes: u64, now: Timestamp) -> Result<Recovered, OpenError> {
    let remains = Remains::of(path, cache_bytes)?;
    for beginning in &remains.beginnings {
        remove(beside).map_err(|source| OpenError::Io { path: beside.to_owned(), source })?;
        match remains.build(beginning, beside, cache_bytes, now) {
            Ok(commit) => return Ok(remains.recovered(commit)),
            Err(error) => log::error!("no store can be built up to commit {}: {error}", beginning.reaches),
        }
    }
    Err(OpenError::Lost { path: path.to_owned(), what: "no history of it can be read from its beginning".to_owned() })
}

impl Remains {
    fn of(path: &Path, cache_bytes: u64) -> Result<Self, OpenError> {
        let journal = match Journal::inspect(&journal_in(path)) {
            Ok(inspection) => Some(inspection),
            Err(JournalError::Missing(_)) => None,
            Err(error) => return Err(journal_refusal(path, error)),
        };
        let index = open_index(path, cache_bytes)?;
        let mut remains = Self { journal, index, beginnings: Vec::new() };
        let listed = Checkpoints::of(&checkpoints_in(path)).list();
        let listed = listed.map_err(|source| OpenError::Io { path: path.to_owned(), source })?;
        let checkpoints: Vec<_> = listed.into_iter().rev().filter_map(|(_, file)| remains.checkpoint(file)).collect();
        let others = [remains.nothing(), remains.whole_index()].into_iter().flatten();
        remains.beginnings = checkpoints.into_iter().chain(others).collect();
        remains.beginnings.sort_by_key(|beginning| std::cmp::Reverse(beginning.reaches));
        Ok(remains)
    }

    fn beginning(&self, kind: Kind, store: Uuid, at: Position) -> Option<Beginning> {
        let reaches = match &self.journal {
            None => at.commit,
            Some(journal) if journal.store != store => return None,
            // A record of that commit that can be read decides what the rows were.
            Some(journal) => match journal.digest_at(at.commit).ok().flatten() {
                Some(digest) if digest != at.digest => return None,
                Some(_) | None => journal.reachable(at.commit).max(at.commit),
            },
        };
        Some(Beginning { kind, store, at, reaches })
    }

    fn nothing(&self) -> Option<Beginning> {
        let journal = self.journal.as_ref()?;
        let begins = journal.runs.first().is_some_and(|run| run.first == 1);
        begins.then(|| self.beginning(Kind::Nothing, journal.store, Position::default())).flatten()
    }

    fn checkpoint(&self, file: PathBuf) -> Option<Beginning> {
        let contents = checkpoint::read(&file, |_, _, _| Ok::<_, CheckpointError>(())).ok()?;
        let header = contents.header;
        let at = Position { commit: header.commit, digest: header.digest };
        self.beginning(Kind::Checkpoint(file), header.store, at)
    }

    fn whole_index(&self) -> Option<Beginning> {
        let sled = self.index.as_ref()?;
        let rows = Committed(sled);
        let is_whole = loss(&rows, &mut |_| {}).is_ok_and(|loss| loss.is_empty());
        let store = rows.store_id().ok().flatten().filter(|_| is_whole)?;
        self.beginning(Kind::Index, store, position(sled).ok()?)
    }

    /// Builds the store; returns the number of its last commit.
    fn build(&self, from: &Beginning, beside: &Path, cache_bytes: u64, now: Timestamp) -> Result<u64, OpenError> {
        let sled = Sled::open(&index_in(beside), cache_bytes)?;
        let failed = |source| OpenError::Damaged { path: beside.to_owned(), source };
        match (&from.kind, &self.index) {
            (Kind::Checkpoint(file), _) => load(&sled, file).map_err(|error| refusal(beside, error))?,
            (Kind::Index, Some(index)) => copy_rows(index, &sled).map_err(failed)?,
            (Kind::Nothing, _) | (Kind::Index, None) => {}
        }
        for group in self.journal.iter().flat_map(|journal| journal.groups_after(from.at.commit)) {
            let Ok(group) = group else { break };
            if group.commit > from.reaches {
                break;
            }
            sled.commit(&group.changes).map_err(failed)?;
        }
        let found = loss(&Committed(&sled), &mut |_| {}).map_err(|error| damaged(beside, error))?;
        if !found.is_empty() {
            return Err(OpenError::Lost { path: beside.to_owned(), what: found.join(", ") });
        }
        let reached = position(&sled).map_err(|error| damaged(beside, error))?;
        let made = Checkpoints::of(&checkpoints_in(beside)).save(&Committed(&sled), now, &|| false);
        made.map_err(|error| refusal(beside, error))?;
        sled.sync().map_err(failed)?;
        create_journal(beside, from.store, reached, DiskReserve::NONE.segment_bytes)?;
        Ok(reached.commit)
    }

    fn recovered(&self, commit: u64) -> Recovered {
        let of_index = self.index.as_ref().and_then(|sled| position(sled).ok()).map_or(0, |at| at.commit);
        let of_journal = self.journal.as_ref().map_or(0, Inspection::highest);
        let known = of_index.max(of_journal).max(self.beginnings.iter().map(|from| from.at.commit).max().unwrap_or(0));
        let missing = (known > commit).then(|| commit + 1..=known);
        Recovered { commit, missing, sequences: self.sequences() }
    }

    /// The highest numbers of the sequences, so that no id is given again that a lost record had.
    fn sequences(&self) -> [u64; 3] {
        let read = |sled: &Sled| sequences(&Committed(sled)).ok();
        let mut highest = self.index.as_ref().and_then(read).unwrap_or_default();
        let runs = self.journal.iter().flat_map(|journal| journal.runs.iter().map(move |run| (journal, run)));
        for (journal, run) in runs {
            let groups = journal.groups_after(run.first - 1).map_while(Result::ok);
            groups.for_each(|group| raise(&mut highest, &group.changes));
        }
        highest
    }
}

fn raise(highest: &mut [u64; 3], changes: &Changes) {
    for (number, sequence) in highest.iter_mut().zip([Sequence::Users, Sequence::Configurations, Sequence::ApiKeys]) {
        let value = changes.get(&(Tree::Meta, sequence.key().to_vec())).and_then(|value| value.as_deref());
        let written = value.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
        *number = (*number).max(written);
    }
}

/// The index, if sled can open it.
fn open_index(path: &Path, cache_bytes: u64) -> Result<Option<Sled>, OpenError> {
    if !index_in(path).join("db").is_file() {
        return Ok(None);
    }
    match Sled::open(&index_in(path), cache_bytes) {
        Ok(sled) => Ok(Some(sled)),
        Err(error @ OpenError::InUse(_)) => Err(error),
        Err(_) => Ok(None),
    }
}
