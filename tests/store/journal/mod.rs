//! The journal by itself: what is written and read, and what is made of everything that can be broken.

mod broken;
mod golden;
mod segments;
mod writing;

use std::{
    fs,
    path::{Path, PathBuf},
};

use lodge::{
    clock::Timestamp,
    store::{
        engine::{Changes, Tree},
        journal::{Group, Inspection, Journal, JournalError, Options, OwnedGroup, Position},
    },
};
use tempfile::TempDir;
use uuid::Uuid;

/// The smallest segments.
const SMALL: Options = Options { segment_bytes: 16 << 10 };
const HEAD_PAGE: usize = 4096;

/// A journal in a directory of its own.
struct Written {
    directory: TempDir,
    groups: Vec<OwnedGroup>,
}

impl Written {
    /// A journal of groups with values of these sizes, the first with number 1.
    fn of(sizes: &[usize]) -> Self {
        let directory = TempDir::new().unwrap();
        let groups: Vec<_> = (1..).zip(sizes).map(|(commit, size)| group(commit, *size)).collect();
        let mut journal = Journal::create(directory.path(), store(), Position::default(), SMALL).unwrap();
        for group in &groups {
            append(&mut journal, group);
        }
        Self { directory, groups }
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn segments(&self) -> Vec<PathBuf> {
        segments(self.path())
    }

    /// The only segment.
    fn segment(&self) -> PathBuf {
        let segments = self.segments();
        assert_eq!(segments.len(), 1, "{segments:?}");
        segments[0].clone()
    }

    fn inspect(&self) -> Inspection {
        Journal::inspect(self.path()).unwrap()
    }

    fn open(&self) -> Result<Journal, JournalError> {
        Journal::open(self.path(), SMALL).map(|(journal, _)| journal)
    }

    fn refusal(&self) -> String {
        self.open().unwrap_err().to_string()
    }
}

fn store() -> Uuid {
    Uuid::from_bytes(*b"ABCDEFGHIJKLMNOP")
}

/// A group whose bytes are different everywhere, with a value of that size.
fn group(commit: u64, size: usize) -> OwnedGroup {
    let value = (1..=size).map(|place| u8::try_from((place * 7 + size) % 251).unwrap() + 1).collect();
    let changes = Changes::from([
        ((Tree::Users, commit.to_be_bytes().to_vec()), Some(value)),
        ((Tree::Sessions, b"ended".to_vec()), None),
    ]);
    let time = Timestamp::from_millis(1_700_000_000_000 + commit);
    OwnedGroup { commit, time, changes, digest: u128::from(commit) << 64 | 0x1234_5678 }
}

fn append(journal: &mut Journal, OwnedGroup { commit, time, changes, digest }: &OwnedGroup) {
    journal.append(&Group { commit: *commit, time: *time, changes, digest: *digest }).unwrap();
}

fn groups(journal: &Journal, after: u64) -> Vec<OwnedGroup> {
    journal.groups_after(after).collect::<Result<_, _>>().unwrap()
}

fn segments(directory: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("segment-");
    let mut segments: Vec<_> = paths.filter(is_segment).collect();
    segments.sort();
    segments
}

/// Where the records of a segment begin and end.
fn records(segment: &[u8]) -> Vec<(usize, usize)> {
    let mut records = Vec::new();
    let mut at = HEAD_PAGE;
    while at + 12 <= segment.len() && segment[at] == 0xff {
        let length = u32::from_be_bytes(segment[at + 8..at + 12].try_into().unwrap()) as usize;
        records.push((at, at + length));
        at += length;
    }
    records
}

/// The first and last commit of each stretch of records.
fn runs(inspection: &Inspection) -> Vec<(u64, u64)> {
    inspection.runs.iter().map(|run| (run.first, run.last)).collect()
}
