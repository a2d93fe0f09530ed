//! Verifies a store that no server uses: its journal, its checkpoints and its index are compared with each other.
//!
//! Nothing is changed. sled changes what it opens, so it opens a copy.

use std::{
    io,
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    Findings,
    scratch::{Scratch, copy},
    verify,
};
use crate::{
    error_chain::chain,
    store::{
        Tables,
        checkpoint::{self, CheckpointError, Checkpoints, Contents},
        engine::Engine,
        journal::{Groups, Inspection, Journal, Position},
        layout::{Layout, checkpoints_in, index_in, journal_in},
        open::{
            History, Unusable, agree, apply_all, damaged, journal_refusal, load, loss, open_older, position,
            unusable_checkpoint,
        },
        rows::Committed,
        sled::{OpenError, Sled, is_distrusted},
    },
};

/// The names of a store's own parts, which sled's files of an older format lie beside.
const OWN_PARTS: [&str; 4] = ["journal", "checkpoints", "index", "ballast"];

/// Verifies the store in a directory, which no server may use meanwhile; `progress` is called with the number of rows read
/// so far.
///
/// # Errors
/// [`OpenError`] if there is no journal, or something of the store cannot be read.
pub fn verify_stopped(path: &Path, cache_bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<Findings, OpenError> {
    match Layout::of(path) {
        Layout::New => Ok(Findings::default()),
        Layout::Older => older(path, cache_bytes, progress),
        Layout::Journaled => {
            let journal = Journal::inspect(&journal_in(path)).map_err(|error| journal_refusal(path, error))?;
            let mut stopped = Stopped { path, journal, sound: Vec::new(), findings: Findings::default() };
            stopped.journal();
            stopped.checkpoints()?;
            stopped.rows(cache_bytes, progress)?;
            Ok(stopped.findings)
        }
    }
}

/// Verifies a copy of a store that has no journal yet.
fn older(path: &Path, cache_bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<Findings, OpenError> {
    let io = |source| OpenError::Io { path: path.to_owned(), source };
    let scratch = Scratch::create().map_err(io)?;
    copy(path, scratch.path(), &OWN_PARTS).map_err(io)?;
    let sled = open_older(scratch.path(), cache_bytes).map_err(|error| about(path, error))?;
    verify(&Committed(&sled), progress).map_err(|error| damaged(path, error))
}

impl History for Inspection {
    fn store(&self) -> Uuid {
        self.store
    }

    fn first(&self) -> Position {
        self.first.unwrap_or_default()
    }

    fn last(&self) -> Position {
        let digest = self.runs.last().map_or(0, |run| run.digest);
        Position { commit: self.highest(), digest }
    }

    fn groups_after(&self, commit: u64) -> Groups {
        self.groups_after(commit)
    }

    fn digest_at(&self, commit: u64) -> Option<u128> {
        self.digest_at(commit).ok().flatten()
    }
}

/// A store with a journal, and what was found in it so far.
struct Stopped<'a> {
    path: &'a Path,
    journal: Inspection,
    /// The sound checkpoints, the newest last.
    sound: Vec<(u64, PathBuf)>,
    findings: Findings,
}

/// What the journal can be applied to.
enum Beginning<'a> {
    /// It has every commit.
    Nothing,
    Checkpoint(&'a Path),
}

impl Stopped<'_> {
    fn journal(&mut self) {
        if let Some(damage) = self.journal.damage() {
            self.fault(damage.to_string());
        }
        if self.journal.is_incomplete() {
            self.note(
                "the last record of the journal is incomplete; it was not acknowledged, and the next start cuts it off"
                    .to_owned(),
            );
        }
    }

    fn checkpoints(&mut self) -> Result<(), OpenError> {
        let listed = Checkpoints::of(&checkpoints_in(self.path)).list();
        for (commit, file) in listed.map_err(|source| self.io(source))? {
            let read = checkpoint::read(&file, |_, _, _| Ok::<_, CheckpointError>(()));
            match read.map_err(|error| chain(&error)).and_then(|contents| self.compare(commit, &contents)) {
                Ok(()) => self.sound.push((commit, file)),
                Err(why) => self.fault(format!("the checkpoint of commit {commit} cannot be used: {why}")),
            }
        }
        if self.beginning().is_none() {
            let first = self.first();
            self.fault(format!("the journal begins with commit {first}, and no sound checkpoint leads there"));
        }
        Ok(())
    }

    /// Compares a checkpoint with the journal.
    fn compare(&self, commit: u64, contents: &Contents) -> Result<(), String> {
        let header = contents.header;
        if header.store != self.journal.store {
            return Err("it belongs to another store".to_owned());
        }
        if header.commit != commit {
            return Err(format!("it is of commit {}", header.commit));
        }
        let last = self.journal.highest();
        if commit > last {
            return Err(format!("the journal ends with commit {last}"));
        }
        match self.journal.digest_at(commit).map_err(|error| chain(&error))? {
            Some(digest) if digest != header.digest => Err("its rows are not those that the journal had".to_owned()),
            Some(_) | None => Ok(()),
        }
    }

    /// The number of the first commit in the journal.
    fn first(&self) -> u64 {
        self.journal.runs.first().map_or(0, |run| run.first)
    }

    /// What the journal can be applied to: the newest sound checkpoint, or nothing, if it has every commit.
    fn beginning(&self) -> Option<Beginning<'_>> {
        let leads = |(commit, _): &&(u64, PathBuf)| commit.saturating_add(1) >= self.first();
        let checkpoint = self.sound.iter().rev().find(leads).map(|(_, file)| Beginning::Checkpoint(file));
        checkpoint.or_else(|| (self.first() == 1).then_some(Beginning::Nothing))
    }

    /// Reads the rows of a copy of the index, or of a new index where that cannot be used.
    fn rows(&mut self, cache_bytes: u64, progress: &mut dyn FnMut(u64)) -> Result<(), OpenError> {
        let copied = Scratch::create().and_then(|scratch| {
            let copied =
                if index_in(self.path).is_dir() { copy(&index_in(self.path), &scratch.index(), &[]) } else { Ok(()) };
            copied.map(|()| scratch)
        });
        let scratch = match copied {
            Ok(scratch) => scratch,
            Err(error) => {
                let place = std::env::temp_dir();
                self.note(format!(
                    "the rows were not read: the index cannot be copied to {} ({error})",
                    place.display()
                ));
                self.findings.were_rows_left_out = true;
                return Ok(());
            }
        };
        if let Some(sled) = self.index(&scratch, cache_bytes)? {
            let mut found = verify(&Committed(&sled), progress).map_err(|error| damaged(self.path, error))?;
            self.findings.records = found.records;
            self.findings.faults.append(&mut found.faults);
        }
        Ok(())
    }

    fn index(&mut self, scratch: &Scratch, cache_bytes: u64) -> Result<Option<Sled>, OpenError> {
        let why = match self.use_copy(scratch, cache_bytes) {
            Ok(sled) => return Ok(Some(sled)),
            Err(Unusable::Store(error)) => return Err(error),
            Err(Unusable::Index(why)) => why,
            Err(Unusable::Engine(error)) => chain(&error),
        };
        self.fault(format!("the index cannot be used, and is rebuilt at the next start: {why}"));
        let Some(beginning) = self.beginning() else { return Ok(None) };
        let sled = Sled::open(&scratch.path().join("rebuilt"), cache_bytes)?;
        let loaded = match beginning {
            Beginning::Nothing => Ok(()),
            Beginning::Checkpoint(file) => load(&sled, file),
        };
        let built = loaded.map_err(|error| unusable_checkpoint(self.path, error)).and_then(|()| self.replay(&sled));
        built.map(|()| Some(sled)).map_err(|why| why.into_failure(self.path))
    }

    fn use_copy(&mut self, scratch: &Scratch, cache_bytes: u64) -> Result<Sled, Unusable> {
        let index = scratch.index();
        let unusable = |why: &str| Err(Unusable::Index(why.to_owned()));
        if !index.join("db").is_file() {
            return unusable("it is missing, or lacks its file `db`");
        }
        if is_distrusted(&index) {
            return unusable("it was found damaged by an earlier run");
        }
        let sled = match Sled::open(&index, cache_bytes) {
            Err(OpenError::Damaged { source, .. }) => return Err(source.into()),
            opened => opened?,
        };
        if let Some(what) = self.shortened(&sled)? {
            self.fault(what);
            return Ok(sled);
        }
        agree(&sled, &self.journal)?;
        self.replay(&sled)?;
        Ok(sled)
    }

    /// What is lost if the journal ends before an index whose rows are all there.
    fn shortened(&self, sled: &Sled) -> Result<Option<String>, Unusable> {
        let (at, last) = (position(sled)?.commit, self.journal.highest());
        let is_ahead = at > last && Committed(sled).store_id()? == Some(self.journal.store);
        let is_whole = is_ahead && loss(&Committed(sled), &mut |_| {})?.is_empty();
        Ok(is_whole.then(|| format!("the journal ends with commit {last}, and the index has commit {at}")))
    }

    /// Applies what the journal has after the last commit of these rows.
    fn replay(&self, engine: &dyn Engine) -> Result<(), Unusable> {
        let from = position(engine)?.commit;
        apply_all(engine, self.journal.groups_after(from), self.path)?;
        let (reached, last) = (position(engine)?.commit, self.journal.reachable(from));
        let why = || Unusable::Index(format!("it reaches commit {reached} instead of {last}"));
        if reached == last { Ok(()) } else { Err(why()) }
    }

    fn fault(&mut self, sentence: String) {
        self.findings.faults.push(sentence);
    }

    fn note(&mut self, sentence: String) {
        self.findings.notes.push(sentence);
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.path.to_owned(), source }
    }
}

/// The same error of the store that was copied.
fn about(path: &Path, error: OpenError) -> OpenError {
    let path = path.to_owned();
    match error {
        OpenError::InUse(_) => OpenError::InUse(path),
        OpenError::Damaged { source, .. } => OpenError::Damaged { path, source },
        OpenError::Lost { what, .. } => OpenError::Lost { path, what },
        OpenError::TooNew { found, known, .. } => OpenError::TooNew { path, found, known },
        OpenError::Io { source, .. } => OpenError::Io { path, source },
    }
}
