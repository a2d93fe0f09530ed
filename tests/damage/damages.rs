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

/// One damage to the files of a store; the names of files begin with that of the part.
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
    /// A part is missing.
    Missing(&'static str),
    /// A part is an older copy.
    Older(&'static str),
}

impl Damage {
    /// Any damage to that store. Without `may_end_early`, the end of the journal does not become zeros: if the server was
    /// killed before it wrote its index to the disk, nothing shows that there was more.
    pub fn any(store: &Path, may_end_early: bool, random: &mut Random) -> Self {
        let file = any_file(store, random);
        let bytes = fs::read(store.join(&file)).unwrap();
        let at = any_place(&bytes, random);
        let may_be_zeroed = may_end_early || !file.starts_with("journal");
        match random.below(16) {
            0..=2 => Self::Truncated { file, to: at },
            3 if may_be_zeroed => Self::Zeroed { file, bytes: at..bytes.len() },
            4..=6 if may_be_zeroed => Self::Zeroed { file, bytes: at..bytes.len().min(at + 1 + random.below(9000)) },
            11 => Self::Flipped { file, bytes: any_bytes(&bytes, random) },
            12 if may_be_zeroed => Self::Deleted { file },
            3..=10 | 12 => Self::Flipped { file, bytes: vec![(at, 1 << random.below(8))] },
            13 => Self::Missing(any_part(random)),
            14 if may_end_early => Self::Older("journal"),
            _ => Self::Older("index"),
        }
    }

    /// Whether it leaves the journal and the checkpoints as they are.
    pub fn is_of_index(&self) -> bool {
        match self {
            Self::Truncated { file, .. }
            | Self::Zeroed { file, .. }
            | Self::Flipped { file, .. }
            | Self::Deleted { file } => file.starts_with("index"),
            Self::Missing(part) | Self::Older(part) => *part == "index",
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
            Self::Missing(part) => remove(&store.join(part)),
            Self::Older(part) => {
                remove(&store.join(part));
                copy(&older.join(part), &store.join(part));
            }
        }
    }
}

/// Without checkpoints there is nothing to remove.
fn remove(part: &Path) {
    if part.exists() {
        fs::remove_dir_all(part).unwrap();
    }
}

fn change(file: &Path, change: impl FnOnce(&mut Vec<u8>)) {
    let mut content = fs::read(file).unwrap();
    change(&mut content);
    fs::write(file, content).unwrap();
}

/// Any file of the store: half of the time of the journal, else mostly sled's `db`.
fn any_file(store: &Path, random: &mut Random) -> String {
    let part = ["journal", "journal", "index", "checkpoints"][random.below(4)];
    let mut files = files_of(store, part);
    let is_db = part == "index" && random.below(3) > 0;
    match files.len() {
        0 => any_file(store, random),
        _ if is_db => "index/db".to_owned(),
        count => files.swap_remove(random.below(count)),
    }
}

fn files_of(store: &Path, part: &str) -> Vec<String> {
    let Ok(entries) = fs::read_dir(store.join(part)) else { return Vec::new() };
    let files = entries.map(Result::unwrap).filter(|entry| {
        let metadata = entry.metadata().unwrap();
        metadata.is_file() && metadata.len() > 0
    });
    let mut names: Vec<_> = files.map(|entry| format!("{part}/{}", entry.file_name().to_string_lossy())).collect();
    names.sort();
    names
}

fn any_part(random: &mut Random) -> &'static str {
    ["index", "journal", "checkpoints"][random.below(3)]
}

/// Any place in a file, mostly among what has been written of it: the rest is zeros.
pub fn any_place(bytes: &[u8], random: &mut Random) -> usize {
    let written = bytes.iter().rposition(|byte| *byte != 0).map_or(bytes.len(), |last| last + 1);
    if random.below(8) == 0 { random.below(bytes.len()) } else { random.below(written) }
}

fn any_bytes(bytes: &[u8], random: &mut Random) -> Vec<(usize, u8)> {
    let count = 2 + random.below(30);
    (0..count).map(|_| (any_place(bytes, random), u8::try_from(1 + random.below(255)).unwrap())).collect()
}
