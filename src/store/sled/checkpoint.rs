//! The checkpoint: a small file beside the store that records a recent durable commit, so that a loss of commits is
//! detected when the store is opened.
//!
//! A thread of its own writes it after the commits, at most every tenth of a second and once more at the end. So no write
//! waits for it, and only the loss of commits from the last tenth of a second may go undetected. The file is named
//! `witness`.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{Arc, Condvar, Mutex},
    thread::{self, JoinHandle},
    time::Duration,
};

use thiserror::Error;
use uuid::Uuid;

use crate::files::{create_private, sync_directory};

/// The minimum time between two checkpoints.
const INTERVAL: Duration = Duration::from_millis(100);

const NAME: &str = "witness";
const UNFINISHED: &str = "witness.unfinished";
const MAGIC: &[u8; 8] = b"lodgewit";
/// The distance between the file's two slots. They are written in turn and share no page, so one is always whole.
const SLOT_BYTES: u64 = 4096;
const ENTRY_BYTES: usize = 60;

/// A durable commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// Which store it is about.
    pub store: Uuid,
    /// The number of a commit that was durable.
    pub commit: u64,
    /// The last numbers of the sequences by then: users, configurations, API keys.
    pub sequences: [u64; 3],
}

/// Why a checkpoint cannot be used.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// Neither of its slots is valid.
    #[error("the file `witness` beside the store is damaged")]
    Damaged,
    /// It cannot be read or written.
    #[error("the file `witness` beside the store cannot be read or written")]
    Io(#[from] io::Error),
}

/// Reads the checkpoint in the store's directory, `None` if there is none.
///
/// # Errors
/// [`CheckpointError`] if it is damaged or cannot be read.
pub fn stored_checkpoint(directory: &Path) -> Result<Option<Checkpoint>, CheckpointError> {
    let file = match File::open(directory.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let slots = [0, SLOT_BYTES].map(|offset| read_slot(&file, offset));
    slots.into_iter().flatten().max_by_key(|checkpoint| checkpoint.commit).map(Some).ok_or(CheckpointError::Damaged)
}

/// Writes checkpoints.
pub struct Checkpointer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
    written: Condvar,
}

struct State {
    latest: Checkpoint,
    written: Checkpoint,
    is_ending: bool,
    failure: Option<Arc<io::Error>>,
}

impl Checkpointer {
    /// Replaces the checkpoint in the store's directory with this one, and starts the thread that writes later ones.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn start(directory: &Path, first: Checkpoint) -> io::Result<Self> {
        let file = create_private(&directory.join(UNFINISHED))?;
        file.set_len(2 * SLOT_BYTES)?;
        for slot in 0..2 {
            write_slot(&file, slot, &first)?;
        }
        file.sync_all()?;
        // A start that is interrupted must not leave a file without a valid slot.
        fs::rename(directory.join(UNFINISHED), directory.join(NAME))?;
        sync_directory(directory)?;
        let state = State { latest: first, written: first, is_ending: false, failure: None };
        let shared = Arc::new(Shared { state: Mutex::new(state), changed: Condvar::new(), written: Condvar::new() });
        let theirs = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("witness".to_owned()).spawn(move || theirs.write_until_ended(&file))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Records a durable commit, to be written within a tenth of a second.
    ///
    /// # Errors
    /// If an earlier one could not be written.
    pub fn record(&self, commit: u64, sequences: [u64; 3]) -> Result<(), Arc<io::Error>> {
        let mut state = self.shared.state();
        state.latest = Checkpoint { commit, sequences, ..state.latest };
        self.shared.changed.notify_one();
        state.failure.clone().map_or(Ok(()), Err)
    }
}

impl Checkpointer {
    /// The id of the store.
    #[must_use]
    pub fn store(&self) -> Uuid {
        self.shared.state().latest.store
    }

    /// Waits until everything that was recorded is written, or cannot be.
    pub fn finish(&self) {
        let pending = |state: &mut State| state.latest != state.written && state.failure.is_none();
        drop(self.shared.written.wait_while(self.shared.state(), pending));
    }
}

impl Drop for Checkpointer {
    fn drop(&mut self) {
        self.shared.state().is_ending = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of the lock panics")
    }

    fn write_until_ended(&self, file: &File) {
        let mut slot = 0;
        while let Some(checkpoint) = self.next() {
            let written = write_slot(file, slot, &checkpoint).and_then(|()| file.sync_data());
            slot = 1 - slot;
            let mut state = self.state();
            state.written = checkpoint;
            state.failure = written.err().map(Arc::new);
            self.written.notify_all();
            if state.failure.is_some() {
                return;
            }
            // Wait between two syncs, unless the checkpointer ends.
            drop(self.changed.wait_timeout_while(state, INTERVAL, |state| !state.is_ending));
        }
    }

    /// The next checkpoint to write; `None` at the end.
    fn next(&self) -> Option<Checkpoint> {
        let idle = |state: &mut State| state.latest == state.written && !state.is_ending;
        let state = self.changed.wait_while(self.state(), idle).expect("no holder of the lock panics");
        (state.latest != state.written).then_some(state.latest)
    }
}

fn write_slot(file: &File, slot: u64, checkpoint: &Checkpoint) -> io::Result<()> {
    let mut entry = Vec::with_capacity(ENTRY_BYTES);
    entry.extend(MAGIC);
    entry.extend(checkpoint.store.as_bytes());
    entry.extend(checkpoint.commit.to_be_bytes());
    entry.extend(checkpoint.sequences.iter().flat_map(|number| number.to_be_bytes()));
    entry.extend(crc32fast::hash(&entry).to_be_bytes());
    file.write_all_at(&entry, slot * SLOT_BYTES)
}

fn read_slot(file: &File, offset: u64) -> Option<Checkpoint> {
    const CHECKED: usize = 8 + 16 + 8 + 24;
    let mut entry = [0; CHECKED + 4];
    file.read_exact_at(&mut entry, offset).ok()?;
    let (checked, checksum) = entry.split_at(CHECKED);
    let number = |at: usize| u64::from_be_bytes(checked[at..at + 8].try_into().expect("eight bytes"));
    let is_whole = checked.starts_with(MAGIC) && checksum == crc32fast::hash(checked).to_be_bytes();
    is_whole.then(|| Checkpoint {
        store: Uuid::from_slice(&checked[8..24]).expect("sixteen bytes"),
        commit: number(24),
        sequences: [number(32), number(40), number(48)],
    })
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, os::unix::fs::symlink};

    use super::*;

    fn checkpoint_of(commit: u64) -> Checkpoint {
        Checkpoint { store: Uuid::from_bytes([7; 16]), commit, sequences: [1, 2, 3] }
    }

    #[test]
    fn the_last_recorded_commit_is_written_when_the_checkpointer_ends() {
        let directory = tempfile::tempdir().unwrap();
        let checkpoint = Checkpointer::start(directory.path(), checkpoint_of(0)).unwrap();
        (1..=50).for_each(|commit| checkpoint.record(commit, [1, 2, 3]).unwrap());

        drop(checkpoint);

        assert_eq!(stored_checkpoint(directory.path()).unwrap(), Some(checkpoint_of(50)));
    }

    #[test]
    fn the_target_of_a_link_in_its_place_is_left_alone() {
        let directory = tempfile::tempdir().unwrap();
        let elsewhere = directory.path().join("elsewhere");
        fs::write(&elsewhere, "somebody's").unwrap();
        symlink(&elsewhere, directory.path().join(UNFINISHED)).unwrap();

        drop(Checkpointer::start(directory.path(), checkpoint_of(7)).unwrap());

        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
        assert_eq!(stored_checkpoint(directory.path()).unwrap(), Some(checkpoint_of(7)));
    }

    #[test]
    fn a_torn_entry_leaves_the_other_and_two_torn_ones_are_damage() {
        let directory = tempfile::tempdir().unwrap();
        drop(Checkpointer::start(directory.path(), checkpoint_of(7)).unwrap());
        let file = OpenOptions::new().write(true).open(directory.path().join(NAME)).unwrap();

        file.write_all_at(&[0; 8], 30).unwrap();
        assert_eq!(stored_checkpoint(directory.path()).unwrap(), Some(checkpoint_of(7)));
        file.write_all_at(&[0; 8], SLOT_BYTES + 30).unwrap();
        assert!(matches!(stored_checkpoint(directory.path()), Err(CheckpointError::Damaged)));
    }
}
