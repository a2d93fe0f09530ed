//! The bytes of a segment, as the first version wrote them.

use std::fs;

use lodge::{
    clock::Timestamp,
    store::{
        engine::{Changes, Tree},
        journal::{Journal, JournalError, OwnedGroup, Position},
    },
};
use serde_json::Value;
use tempfile::TempDir;

use super::{HEAD_PAGE, SMALL, append, groups, segments, store};

const GOLDEN: &str = include_str!("../../data/golden-journal.json");

#[test]
fn a_segment_is_written_as_it_always_was() {
    let directory = TempDir::new().unwrap();
    let mut journal = Journal::create(directory.path(), store(), before(), SMALL).unwrap();
    for group in golden_groups() {
        append(&mut journal, &group);
    }

    let path = directory.path().join("segment-00000000000000000008");
    assert_eq!(segments(directory.path()), std::slice::from_ref(&path));
    assert!(fs::read(path).unwrap() == golden_segment());
}

#[test]
fn a_segment_of_the_first_format_is_read() {
    let directory = TempDir::new().unwrap();
    fs::write(directory.path().join("segment-00000000000000000008"), golden_segment()).unwrap();

    let (journal, _) = Journal::open(directory.path(), SMALL).unwrap();

    assert_eq!((journal.store(), journal.first()), (store(), before()));
    assert_eq!(journal.last(), Position { commit: 9, digest: 6 });
    assert_eq!(groups(&journal, 7), golden_groups());
}

#[test]
fn a_segment_of_a_newer_format_is_refused() {
    let directory = TempDir::new().unwrap();
    let mut segment = golden_segment();
    (segment[11], segment[2048 + 11]) = (2, 2);
    fs::write(directory.path().join("segment-00000000000000000008"), segment).unwrap();

    for refused in [Journal::open(directory.path(), SMALL).err(), Journal::inspect(directory.path()).err()] {
        assert!(matches!(refused, Some(JournalError::TooNew { found: 2, known: 1 })), "{refused:?}");
    }
}

fn before() -> Position {
    Position { commit: 7, digest: 0x0123_4567_89ab_cdef_fedc_ba98_7654_3210 }
}

fn golden_groups() -> [OwnedGroup; 2] {
    let first = Changes::from([
        ((Tree::Users, vec![0, 0, 0, 1]), Some(b"ann".to_vec())),
        ((Tree::Configurations, vec![0, 0, 0, 1, 0, 0, 0, 2]), Some(Vec::new())),
        ((Tree::Meta, b"integrity".to_vec()), Some(vec![4, 7])),
        ((Tree::Activity, b"gone".to_vec()), None),
    ]);
    let second = Changes::from([
        ((Tree::UsersByUsername, b"zeros".to_vec()), Some(vec![0; 1300])),
        ((Tree::UsersByUsername, b"zeros and one".to_vec()), Some([vec![0; 700], vec![7]].concat())),
    ]);
    let time = Timestamp::from_millis;
    [
        OwnedGroup { commit: 8, time: time(1_700_000_000_123), changes: first, digest: 1 << 100 | 5 },
        OwnedGroup { commit: 9, time: time(1_700_000_000_456), changes: second, digest: 6 },
    ]
}

fn golden_segment() -> Vec<u8> {
    let golden: Value = serde_json::from_str(GOLDEN).unwrap();
    let golden = &golden["format 1"];
    let (head, records) = (bytes(&golden["head"]), golden["records"].as_array().unwrap());
    let mut segment = vec![0; HEAD_PAGE];
    segment[..head.len()].copy_from_slice(&head);
    segment[2048..2048 + head.len()].copy_from_slice(&head);
    segment.extend(records.iter().flat_map(bytes));
    segment.resize(16 << 10, 0);
    segment
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().unwrap();
    (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect()
}
