//! Changes to the journal of a stopped server.

use std::{
    fs,
    path::{Path, PathBuf},
};

use lodge::{
    clock::Timestamp,
    store::{
        engine::Changes,
        integrity::Integrity,
        journal::{Group, Journal, Options},
    },
};

/// Where the first record of a segment is.
const FIRST_RECORD: usize = 4096;

/// The segments of a store's journal, in their order.
pub fn segments(store: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(store.join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().starts_with("segment-");
    let mut segments: Vec<_> = entries.filter(is_segment).collect();
    segments.sort();
    segments
}

/// Changes a byte of the first record of the journal, after which others follow.
pub fn damage_first_record(store: &Path) {
    let segment = segments(store).remove(0);
    let mut bytes = fs::read(&segment).unwrap();
    bytes[FIRST_RECORD + 80] ^= 1;
    fs::write(segment, bytes).unwrap();
}

/// Appends a group of changes as a commit; `integrity` is what the store then has to find.
pub fn append(store: &Path, changes: &Changes, integrity: &Integrity) {
    let (mut journal, _) = Journal::open(&store.join("journal"), Options { segment_bytes: 1 << 20 }).unwrap();
    let Integrity { commit, digest, .. } = *integrity;
    journal.append(&Group { commit, time: Timestamp::from_secs(0), changes, digest }).unwrap();
}
