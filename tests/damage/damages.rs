//! What can happen to the files of a store.

use std::{fs, ops::Range, path::Path};

use crate::damage::ages::copy;

/// Random numbers that a seed repeats (splitmix64).
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below the bound, which is above 0.
    pub fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut number = self.0;
        number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((number ^ (number >> 31)) % bound as u64).unwrap()
    }
}

/// One damage to the files of a store.
#[derive(Debug)]
pub enum Damage {
    Truncated {
        file: String,
        to: usize,
    },
    Zeroed {
        file: String,
        bytes: Range<usize>,
    },
    /// These bytes, each combined with a mask that is not zero.
    Flipped {
        file: String,
        bytes: Vec<(usize, u8)>,
    },
    Deleted {
        file: String,
    },
    OlderDb,
    OlderStoreWithoutItsWitness,
    OlderStoreBesideTheWitness,
}

impl Damage {
    /// Any damage to that store.
    pub fn any(store: &Path, random: &mut Random) -> Self {
        let file = any_file(store, random);
        let bytes = fs::read(store.join(&file)).unwrap();
        let at = any_place(&bytes, random);
        match random.below(16) {
            0..=2 => Self::Truncated { file, to: at },
            3 => Self::Zeroed { file, bytes: at..bytes.len() },
            4..=6 => Self::Zeroed { file, bytes: at..bytes.len().min(at + 1 + random.below(9000)) },
            7..=10 => Self::Flipped { file, bytes: vec![(at, 1 << random.below(8))] },
            11 => Self::Flipped { file, bytes: any_bytes(&bytes, random) },
            12 => Self::Deleted { file },
            13 => Self::OlderDb,
            14 => Self::OlderStoreWithoutItsWitness,
            _ => Self::OlderStoreBesideTheWitness,
        }
    }

    /// Does it to the store; `older` is an older copy of it.
    pub fn apply(&self, store: &Path, older: &Path) {
        match self {
            Self::Truncated { file, to } => change(&store.join(file), |content| content.truncate(*to)),
            Self::Zeroed { file, bytes } => change(&store.join(file), |content| content[bytes.clone()].fill(0)),
            Self::Flipped { file, bytes } => {
                change(&store.join(file), |content| bytes.iter().for_each(|(at, mask)| content[*at] ^= mask));
            }
            Self::Deleted { file } => fs::remove_file(store.join(file)).unwrap(),
            Self::OlderDb => drop(fs::copy(older.join("db"), store.join("db")).unwrap()),
            Self::OlderStoreWithoutItsWitness => {
                replace(store, older);
                fs::remove_file(store.join("witness")).unwrap();
            }
            Self::OlderStoreBesideTheWitness => {
                let checkpoint = fs::read(store.join("witness")).unwrap();
                replace(store, older);
                fs::write(store.join("witness"), checkpoint).unwrap();
            }
        }
    }
}

fn replace(store: &Path, older: &Path) {
    fs::remove_dir_all(store).unwrap();
    copy(older, store);
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(file).unwrap();
    change(&mut content);
    fs::write(file, content).unwrap();
}

/// Any file of the store, half of the time `db`.
fn any_file(store: &Path, random: &mut Random) -> String {
    let entries = fs::read_dir(store).unwrap().map(Result::unwrap);
    let files = entries.filter(|entry| entry.metadata().unwrap().is_file() && entry.metadata().unwrap().len() > 0);
    let mut names: Vec<_> = files.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    let is_db = random.below(2) == 0;
    if is_db { "db".to_owned() } else { names.swap_remove(random.below(names.len())) }
}

/// Any place in a file, mostly among what has been written of it: the rest is zeros.
fn any_place(bytes: &[u8], random: &mut Random) -> usize {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    if random.below(8) == 0 { random.below(bytes.len()) } else { random.below(written) }
}

fn any_bytes(bytes: &[u8], random: &mut Random) -> Vec<(usize, u8)> {
    let count = 2 + random.below(30);
    (0..count).map(|_| (any_place(bytes, random), u8::try_from(1 + random.below(255)).unwrap())).collect()
}
