//! A segment of a journal as a damaged disk may return it. The first byte chooses what the rest is: the head of the segment, the
//! rows of a record whose checksums are right, or everything after the head.
#![no_main]

use std::{fs, path::PathBuf, process, sync::OnceLock};

use crc32c::{crc32c, crc32c_append};
use libfuzzer_sys::fuzz_target;
use lodge::{
    clock::Timestamp,
    store::{
        engine::Changes,
        journal::{Group, Journal, Options, OwnedGroup, Position},
    },
};
use uuid::Uuid;

const HEAD_PAGE: usize = 4096;
const OPTIONS: Options = Options { segment_bytes: 16 << 10 };

fuzz_target!(|bytes: &[u8]| {
    let Some((kind, rest)) = bytes.split_first() else { return };
    let (at, written) = match kind {
        b'h' => (0, rest.to_vec()),
        b'r' => (HEAD_PAGE, record(rest)),
        _ => (HEAD_PAGE, rest.to_vec()),
    };
    let mut segment = empty_segment().to_vec();
    segment[at..at + written.len()].copy_from_slice(&written);
    fs::write(directory().join("segment-00000000000000000001"), segment).expect("the segment is written");
    examine();
});

fn examine() {
    let Ok(inspection) = Journal::inspect(&directory()) else { return };
    for run in &inspection.runs {
        // Another run may have the same commits.
        let before = run.first.saturating_sub(1);
        let groups = inspection.groups_after(before).take_while(Result::is_ok).count() as u64;
        assert!(groups <= inspection.reachable(before) - before);
    }
    let opened = Journal::open(&directory(), OPTIONS);
    assert_eq!(opened.is_ok(), inspection.damage().is_none());
    let Ok((mut journal, _)) = opened else { return };
    let before = readable(&journal);
    let Some(commit) = journal.last().commit.checked_add(1) else { return };
    let group = Group { commit, time: Timestamp::from_millis(1), changes: &Changes::new(), digest: 2 };
    journal.append(&group).expect("an open journal is appended to");
    drop(journal);

    let (journal, opened) = Journal::open(&directory(), OPTIONS).expect("what was opened is opened again");
    assert_eq!((opened.cut, journal.last()), (None, Position { commit, digest: 2 }));
    assert!(readable(&journal).starts_with(&before));
    for path in fs::read_dir(directory()).expect("the directory is read") {
        fs::remove_file(path.expect("the directory is read").path()).expect("a file is removed");
    }
}

/// The groups up to one whose rows cannot be decoded.
fn readable(journal: &Journal) -> Vec<OwnedGroup> {
    journal.groups_after(journal.first().commit).map_while(Result::ok).collect()
}

/// A record of these rows; the first byte is their number.
fn record(rows: &[u8]) -> Vec<u8> {
    let (count, rows) = rows.split_first().map_or((0, rows), |(count, rows)| (*count, rows));
    let chain = crc32c(store().as_bytes());
    let length = 72 + rows.len().next_multiple_of(8) + 8;
    let mut record =
        [&[0; 8], &u32::try_from(length).expect("it is short").to_be_bytes()[..], &chain.to_be_bytes()].concat();
    record.extend([1_u64.to_be_bytes(), [0; 8], [0; 8], [0; 8]].concat());
    record.extend([u32::from(count).to_be_bytes(), [0; 4]].concat());
    record.extend(store().as_bytes());
    record[..4].copy_from_slice(&[0xff, b'L', b'J', 0xfe]);
    let of_head = crc32c(&record[8..72]);
    record[4..8].copy_from_slice(&of_head.to_be_bytes());
    record.extend(rows);
    record.resize(length - 8, 0);
    let chain = crc32c_append(chain, &record);
    record.extend(chain.to_be_bytes());
    record.extend([0xfe, b'j', b'l', 0xff]);
    record
}

fn store() -> Uuid {
    Uuid::from_bytes([7; 16])
}

/// A directory of this process, in memory where there is one.
fn directory() -> PathBuf {
    let shared = PathBuf::from("/dev/shm");
    let base = if shared.is_dir() { shared } else { std::env::temp_dir() };
    base.join(format!("lodge-fuzz-journal-{}", process::id()))
}

fn empty_segment() -> &'static [u8] {
    static SEGMENT: OnceLock<Vec<u8>> = OnceLock::new();
    SEGMENT.get_or_init(|| {
        drop(Journal::create(&directory(), store(), Position::default(), OPTIONS).expect("a journal is created"));
        fs::read(directory().join("segment-00000000000000000001")).expect("it is read")
    })
}
