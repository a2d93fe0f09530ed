//! Journals of several segments that are damaged, incomplete, or mixed up.

use std::{fs, fs::OpenOptions, os::unix::fs::FileExt, path::Path};

use lodge::store::journal::{FaultKind, Journal, JournalError, Position};

use super::{HEAD_PAGE, SMALL, Written, append, group, groups, records, runs, store};

/// A journal of four segments of 16 KiB.
fn written() -> Written {
    let written = Written::of(&[1000; 40]);
    assert_eq!(written.segments().len(), 4);
    written
}

fn kinds(written: &Written) -> Vec<FaultKind> {
    written.inspect().faults.iter().map(|fault| fault.kind).collect()
}

/// The number of the first commit in a segment.
fn first(segment: &Path) -> u64 {
    segment.file_name().unwrap().to_string_lossy().trim_start_matches("segment-").parse().unwrap()
}

fn change(path: &Path, at: usize) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[byte[0] ^ 0x20], at as u64).unwrap();
}

#[test]
fn damage_in_an_older_segment_is_refused_also_at_its_end() {
    for record in [0, 3, 9] {
        let written = written();
        let segment = &written.segments()[1];
        let (at, _) = records(&fs::read(segment).unwrap())[record];
        let lost = first(segment) + record as u64;
        change(segment, at + 90);

        let inspection = written.inspect();

        assert_eq!((inspection.lost(), inspection.highest()), (vec![lost..=lost], 40));
        assert_eq!((inspection.reachable(0), inspection.reachable(lost)), (lost - 1, 40));
        assert_eq!(
            inspection.digest_at(lost + 1).unwrap(),
            Some(written.groups[usize::try_from(lost).unwrap()].digest)
        );
        let later: Vec<_> = inspection.groups_after(lost).map(Result::unwrap).collect();
        assert_eq!(later, written.groups[usize::try_from(lost).unwrap()..]);
        assert!(written.refusal().starts_with("the journal is damaged: the record at byte "), "{}", written.refusal());
    }
}

#[test]
fn an_incomplete_record_in_an_older_segment_is_damage() {
    let written = written();
    let segment = &written.segments()[1];
    let mut bytes = fs::read(segment).unwrap();
    let (from, _) = *records(&bytes).last().unwrap();
    bytes[from + 100..].fill(0);
    fs::write(segment, bytes).unwrap();
    let lost = first(&written.segments()[2]) - 1;

    assert_eq!((kinds(&written), written.inspect().lost()), (vec![FaultKind::Record], vec![lost..=lost]));
}

#[test]
fn a_missing_segment_is_refused_with_the_commits_that_were_in_it() {
    let written = written();
    let [_, second, third, _] = written.segments().try_into().unwrap();
    fs::remove_file(&second).unwrap();

    assert_eq!(kinds(&written), [FaultKind::Gap]);
    assert_eq!(written.inspect().lost(), [first(&second)..=first(&third) - 1]);
}

#[test]
fn a_record_of_another_history_breaks_the_chain() {
    let (ours, theirs) = (written(), Written::of(&[&[1001], &[1000; 39][..]].concat()));
    let (path, other) = (&ours.segments()[3], &theirs.segments()[3]);
    assert_eq!(path.file_name(), other.file_name());
    fs::copy(other, path).unwrap();

    let inspection = ours.inspect();

    assert_eq!(kinds(&ours), [FaultKind::Chain]);
    let begins = first(path);
    assert_eq!((runs(&inspection), inspection.lost()), (vec![(1, begins - 1), (begins, 40)], vec![]));
}

#[test]
fn one_copy_of_a_segments_head_is_enough_and_without_both_it_is_damaged() {
    let written = written();
    for segment in written.segments() {
        change(&segment, 30);
        assert_eq!(groups(&written.open().unwrap(), 0), written.groups);
        change(&segment, 30);
        change(&segment, 2048 + 60);
        assert_eq!(groups(&written.open().unwrap(), 0), written.groups);
        change(&segment, 20);

        let inspection = written.inspect();
        assert_eq!(kinds(&written), [FaultKind::Head]);
        assert_eq!((runs(&inspection), inspection.lost(), inspection.store), (vec![(1, 40)], vec![], store()));
        change(&segment, 20);
        change(&segment, 2048 + 60);
    }
}

#[test]
fn a_segment_under_another_name_or_of_another_store_does_not_belong_there() {
    let written = written();
    let segments = written.segments();
    fs::copy(&segments[1], written.path().join("segment-00000000000000000090")).unwrap();
    assert_eq!(kinds(&written), [FaultKind::Foreign]);
    fs::remove_file(written.path().join("segment-00000000000000000090")).unwrap();

    let other = tempfile::tempdir().unwrap();
    let after = Position { commit: 40, digest: 7 };
    drop(Journal::create(other.path(), uuid::Uuid::from_bytes([9; 16]), after, SMALL).unwrap());
    fs::copy(other.path().join("segment-00000000000000000041"), written.path().join("segment-00000000000000000041"))
        .unwrap();
    assert_eq!(kinds(&written), [FaultKind::Foreign]);
}

#[test]
fn what_is_after_the_last_record_of_an_older_segment_does_not_matter() {
    let written = written();
    let segment = &written.segments()[1];
    let size = fs::read(segment).unwrap().len();

    change(segment, size - 100);
    assert_eq!(groups(&written.open().unwrap(), 0), written.groups);
    OpenOptions::new().write(true).open(segment).unwrap().set_len(size as u64 - 100).unwrap();
    assert_eq!(groups(&written.open().unwrap(), 0), written.groups);
}

#[test]
fn a_directory_without_segments_is_no_journal() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("cut-off"), "left").unwrap();

    for path in [directory.path(), &directory.path().join("missing")] {
        assert!(matches!(Journal::open(path, SMALL), Err(JournalError::Missing(_))));
    }
}

#[test]
fn a_long_list_of_faults_is_shortened() {
    let written = written();
    let segment = &written.segments()[0];
    for (at, _) in records(&fs::read(segment).unwrap()).into_iter().step_by(2).skip(1).take(4) {
        change(segment, at + 90);
    }

    let refusal = written.refusal();

    assert!(refusal.contains(", and 1 more; commits that can be read: 1 to 2, 4, 6, 8, 10 to 40;"), "{refusal}");
    assert!(refusal.ends_with("commits lost: 3, 5, 7, 9"), "{refusal}");
}

#[test]
fn the_head_page_of_a_segment_can_lose_any_byte() {
    let written = Written::of(&[10]);
    let path = written.segment();
    for at in 0..HEAD_PAGE {
        change(&path, at);
        let inspection = written.inspect();
        assert_eq!((inspection.faults.as_slice(), runs(&inspection)), ([].as_slice(), vec![(1, 1)]), "byte {at}");
        change(&path, at);
    }
    append(&mut written.open().unwrap(), &group(2, 10));
}
