//! The witness: a small file beside a store of format 4 or older that records a recent durable commit, so that a loss of
//! commits is detected when the store is taken over.
//!
//! The servers before the journal wrote it after the commits, at most every tenth of a second.

use std::{fs::File, io, os::unix::fs::FileExt, path::Path};

use thiserror::Error;
use uuid::Uuid;

/// Its name in the store's directory.
pub const NAME: &str = "witness";
const MAGIC: &[u8; 8] = b"lodgewit";
/// The distance between the file's two slots. They were written in turn and share no page, so one is always whole.
const SLOT_BYTES: u64 = 4096;

/// A durable commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Witness {
    /// Which store it is about.
    pub store: Uuid,
    /// The number of a commit that was durable.
    pub commit: u64,
    /// The last numbers of the sequences by then: users, configurations, API keys.
    pub sequences: [u64; 3],
}

/// Why a witness cannot be used.
#[derive(Debug, Error)]
pub enum WitnessError {
    /// Neither of its slots is valid.
    #[error("the file `witness` beside the store is damaged")]
    Damaged,
    /// It cannot be read.
    #[error("the file `witness` beside the store cannot be read")]
    Io(#[from] io::Error),
}

/// Reads the witness in the store's directory, `None` if there is none.
///
/// # Errors
/// [`WitnessError`] if it is damaged or cannot be read.
pub fn stored_witness(directory: &Path) -> Result<Option<Witness>, WitnessError> {
    let file = match File::open(directory.join(NAME)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let slots = [0, SLOT_BYTES].map(|offset| read_slot(&file, offset));
    slots.into_iter().flatten().max_by_key(|witness| witness.commit).map(Some).ok_or(WitnessError::Damaged)
}

fn read_slot(file: &File, offset: u64) -> Option<Witness> {
    const CHECKED: usize = 8 + 16 + 8 + 24;
    let mut entry = [0; CHECKED + 4];
    file.read_exact_at(&mut entry, offset).ok()?;
    let (checked, checksum) = entry.split_at(CHECKED);
    let number = |at: usize| u64::from_be_bytes(checked[at..at + 8].try_into().expect("eight bytes"));
    let is_whole = checked.starts_with(MAGIC) && checksum == crc32fast::hash(checked).to_be_bytes();
    is_whole.then(|| Witness {
        store: Uuid::from_slice(&checked[8..24]).expect("sixteen bytes"),
        commit: number(24),
        sequences: [number(32), number(40), number(48)],
    })
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    fn entry(commit: u64) -> Vec<u8> {
        let mut entry = [MAGIC.as_slice(), &[7; 16], &commit.to_be_bytes()].concat();
        entry.extend([1, 2, 3_u64].iter().flat_map(|number| number.to_be_bytes()));
        entry.extend(crc32fast::hash(&entry).to_be_bytes());
        entry
    }

    #[test]
    fn a_torn_entry_leaves_the_other_and_two_torn_ones_are_damage() {
        let directory = tempfile::tempdir().unwrap();
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).open(directory.path().join(NAME)).unwrap();
        file.write_all_at(&entry(6), 0).unwrap();
        file.write_all_at(&entry(7), SLOT_BYTES).unwrap();
        let witness = |commit| Witness { store: Uuid::from_bytes([7; 16]), commit, sequences: [1, 2, 3] };
        assert_eq!(stored_witness(directory.path()).unwrap(), Some(witness(7)));

        file.write_all_at(&[0; 8], SLOT_BYTES + 30).unwrap();
        assert_eq!(stored_witness(directory.path()).unwrap(), Some(witness(6)));
        file.write_all_at(&[0; 8], 30).unwrap();
        assert!(matches!(stored_witness(directory.path()), Err(WitnessError::Damaged)));
    }
}
