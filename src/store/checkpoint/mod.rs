//! Checkpoints: all rows of the store as of one commit, from which the index is rebuilt together with the journal.
//!
//! A checkpoint is named by its commit, `checkpoint-<20 digits>`. It is written under another name while the store is
//! served, synced, read back, and only then renamed; two are kept, so that a damaged one can be done without.
//!
//! The file is zstd over these bytes, with integers in little-endian:
//!
//! ```text
//! "lodgechp"  format (4)  store id (16)  commit (8)  digest (16)  key of the digest (16)  time in milliseconds (8)
//! row:        tree (1)  length of the key (4)  length of the value (4)  key  value
//! end:        255 (1)  number of rows (8)  bytes of their keys and values (8)
//! ```
//!
//! Rows come tree by tree in the order of [`Tree::ALL`](super::engine::Tree::ALL). All of them are there, also the
//! sessions, the audit log and the activity, which a backup leaves out. The store's own digest vouches for them: a reader
//! adds it up and compares it with the integrity record among the rows and with the header.

mod reader;
mod writer;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use thiserror::Error;
use uuid::Uuid;

pub use self::reader::{read, read_header};
use self::writer::write;
use super::{StoreError, rows::ReadRows};
use crate::{
    clock::Timestamp,
    files::{create_private, ignore_not_found, named_in, sync_directory},
};

const MAGIC: &[u8; 8] = b"lodgechp";
const FORMAT: u32 = 1;
/// The byte in the place of a tree's number after the last row.
const END: u8 = u8::MAX;
const PREFIX: &str = "checkpoint-";
const UNFINISHED: &str = ".unfinished";
/// How many checkpoints are kept.
const KEPT: usize = 2;

/// What a checkpoint is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which store.
    pub store: Uuid,
    /// The number of its last commit.
    pub commit: u64,
    /// The digest of its rows.
    pub digest: u128,
    /// The key of the digest.
    pub digest_key: [u8; 16],
    /// When it was begun.
    pub time: Timestamp,
}

/// A checkpoint that was read to its end and is sound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it is of.
    pub header: Header,
    /// How many rows it has.
    pub rows: u64,
    /// How many bytes their keys and values have.
    pub bytes: u64,
}

/// Why a checkpoint cannot be written or read.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// It is not what was written.
    #[error("the checkpoint is damaged: {0}")]
    Damaged(&'static str),
    /// A newer server wrote it.
    #[error("the checkpoint has format {0}; this server reads up to {FORMAT}")]
    TooNew(u32),
    /// The store has no digest yet.
    #[error("the store has not been initialised")]
    NotInitialised,
    /// The store is being closed.
    #[error("the store is being closed")]
    Ending,
    /// The file cannot be read or written.
    #[error("the checkpoint cannot be read or written")]
    Io(#[from] io::Error),
    /// The store cannot be read, or not filled.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The checkpoints of one store.
#[derive(Clone, Debug)]
pub struct Checkpoints {
    directory: PathBuf,
}

impl Checkpoints {
    /// Those in that directory, which need not exist.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self { directory: directory.to_owned() }
    }

    /// The commits of those that there are, with their files, ascending.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub fn list(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        if !self.directory.exists() {
            return Ok(Vec::new());
        }
        let commit = |path: &Path| path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok();
        Ok(named_in(&self.directory, PREFIX, "")?.into_iter().filter_map(|path| Some((commit(&path)?, path))).collect())
    }

    /// Makes a checkpoint of these rows and reads it back; it counts once this returns.
    ///
    /// # Errors
    /// [`CheckpointError`]; then there is no new checkpoint. [`CheckpointError::Ending`] once `is_ending` is true.
    pub fn save(
        &self,
        rows: &(impl ReadRows + ?Sized),
        now: Timestamp,
        is_ending: &dyn Fn() -> bool,
    ) -> Result<Contents, CheckpointError> {
        fs::create_dir_all(&self.directory)?;
        let unfinished = self.directory.join(format!("new{UNFINISHED}"));
        let saved = write_durably(&unfinished, rows, now, is_ending).and_then(|()| {
            let contents =
                read(&unfinished, |_, _, _| if is_ending() { Err(CheckpointError::Ending) } else { Ok(()) })?;
            fs::rename(&unfinished, self.directory.join(format!("{PREFIX}{:020}", contents.header.commit)))?;
            sync_directory(&self.directory)?;
            Ok(contents)
        });
        saved.inspect_err(|_| drop(fs::remove_file(&unfinished)))
    }

    /// Removes all but the newest two; returns the commit of the older one. `None` as long as there are not two: what the
    /// journal has before a single one is needed if that is damaged.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn remove_older(&self) -> io::Result<Option<u64>> {
        let all = self.list()?;
        let (older, kept) = all.split_at(all.len().saturating_sub(KEPT));
        older.iter().try_for_each(|(_, path)| ignore_not_found(fs::remove_file(path)))?;
        Ok(kept.first().filter(|_| kept.len() == KEPT).map(|(commit, _)| *commit))
    }
}

fn write_durably(
    path: &Path,
    rows: &(impl ReadRows + ?Sized),
    now: Timestamp,
    is_ending: &dyn Fn() -> bool,
) -> Result<(), CheckpointError> {
    let file = create_private(path)?;
    write(rows, now, &file, is_ending)?;
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests;
