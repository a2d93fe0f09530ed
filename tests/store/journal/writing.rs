//! What is appended is read again, whatever its size, and old segments go.

use std::fs;

use lodge::{
    clock::Timestamp,
    store::{
        engine::{Changes, Tree},
        journal::{Group, Journal, Options, OwnedGroup, Position},
    },
};
use proptest::{
    collection::{btree_map, vec},
    option,
    prelude::*,
};
use tempfile::TempDir;

use super::{SMALL, Written, append, group, groups, runs, segments, store};

fn any_changes() -> impl Strategy<Value = Changes> {
    let bytes = |max| vec(prop_oneof![Just(0_u8), any::<u8>()], 0..max);
    btree_map((proptest::sample::select(Tree::ALL.to_vec()), bytes(40)), option::of(bytes(3000)), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn every_group_is_read_as_it_was_appended(all in vec((any_changes(), any::<u64>(), any::<u128>()), 1..8)) {
        let directory = TempDir::new().unwrap();
        let mut journal = Journal::create(directory.path(), store(), Position { commit: 4, digest: 9 }, SMALL).unwrap();
        let mut written = Vec::new();
        for (commit, (changes, time, digest)) in (5..).zip(all) {
            written.push(OwnedGroup { commit, time: Timestamp::from_millis(time), changes, digest });
            append(&mut journal, &written[written.len() - 1]);
        }
        prop_assert_eq!(&groups(&journal, 4), &written);
        drop(journal);

        let (journal, opened) = Journal::open(directory.path(), SMALL).unwrap();

        prop_assert_eq!(opened.cut, None);
        for after in 4..journal.last().commit + 2 {
            let rest = &written[usize::try_from(after - 4).unwrap().min(written.len())..];
            prop_assert_eq!(&groups(&journal, after), &rest);
        }
    }
}

#[test]
fn a_journal_goes_on_where_it_ended() {
    let directory = TempDir::new().unwrap();
    let first = Position { commit: 0, digest: 3 };
    drop(Journal::create(directory.path(), store(), first, SMALL).unwrap());
    let written: Vec<_> = (1..=60).map(|commit| group(commit, 900)).collect();

    for (count, group) in written.iter().enumerate() {
        let (mut journal, _) = Journal::open(directory.path(), SMALL).unwrap();
        assert_eq!((journal.first(), journal.last().commit), (first, count as u64));
        append(&mut journal, group);
    }

    let (journal, _) = Journal::open(directory.path(), SMALL).unwrap();
    assert_eq!((groups(&journal, 0), journal.last()), (written, Position { commit: 60, digest: group(60, 0).digest }));
    let digests = [0, 1, 30, 60, 61].map(|commit| journal.digest_at(commit).unwrap());
    let of = |commit| Some(group(commit, 0).digest);
    assert_eq!(digests, [Some(3), of(1), of(30), of(60), None]);
}

#[test]
fn segments_double_up_to_their_size_and_a_larger_group_has_one_of_its_own() {
    let directory = TempDir::new().unwrap();
    let options = Options { segment_bytes: 4 << 20 };
    let mut journal = Journal::create(directory.path(), store(), Position::default(), options).unwrap();
    let sizes = [900_000, 900_000, 900_000, 3_000_000, 9_000_000, 10];
    let written: Vec<_> = (1..).zip(sizes).map(|(commit, size)| group(commit, size)).collect();
    for group in &written {
        append(&mut journal, group);
    }

    let lengths: Vec<_> = segments(directory.path()).iter().map(|path| fs::metadata(path).unwrap().len()).collect();
    assert_eq!(lengths[..3], [1 << 20, 2 << 20, 4 << 20]);
    assert!((9_000_000..9_010_000).contains(&lengths[3]), "{lengths:?}");
    assert_eq!(lengths[4..], [4 << 20]);
    assert_eq!(groups(&journal, 0), written);
}

#[test]
fn segments_go_once_all_their_commits_are_covered_and_never_the_current_one() {
    let written = Written::of(&[1000; 40]);
    let mut journal = written.open().unwrap();
    let firsts: Vec<u64> = written
        .segments()
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().trim_start_matches("segment-").parse().unwrap())
        .collect();

    for commit in 0..=50 {
        journal.remove_up_to(commit).unwrap();
        let kept = firsts.iter().copied().filter(|first| *first <= (commit + 1).min(firsts[3])).max().unwrap();
        assert_eq!(
            (segments(written.path()).len(), journal.first().commit),
            (firsts.iter().filter(|first| **first >= kept).count(), kept - 1)
        );
        let rest = &written.groups[usize::try_from(commit).unwrap().min(40)..];
        assert_eq!(groups(&journal, commit), rest, "commit {commit}");
    }
    assert_eq!(journal.bytes_after(40), 0);
    drop(journal);
    assert_eq!(runs(&written.inspect()), [(firsts[3], 40)]);
}

#[test]
fn groups_are_read_while_more_are_appended() {
    let written = Written::of(&[1000; 20]);
    let mut journal = written.open().unwrap();
    let mut reading = journal.groups_after(0);
    let mut read = vec![reading.next().unwrap().unwrap()];

    (21..60).for_each(|commit| append(&mut journal, &group(commit, 1000)));
    read.extend(reading.map(Result::unwrap));

    assert_eq!(read, written.groups);
}

#[test]
fn after_a_failed_append_nothing_is_appended() {
    let written = Written::of(&[1000; 5]);
    let mut journal = written.open().unwrap();
    let append_of = |journal: &mut Journal, commit| {
        let OwnedGroup { commit, time, changes, digest } = group(commit, 15_000);
        journal.append(&Group { commit, time, changes: &changes, digest })
    };
    let segment = written.segment();
    // The next segment cannot get its name.
    fs::create_dir_all(written.path().join("segment-00000000000000000006/in the way")).unwrap();

    append_of(&mut journal, 6).unwrap_err();
    fs::remove_dir_all(written.path().join("segment-00000000000000000006")).unwrap();

    assert_eq!(append_of(&mut journal, 6).unwrap_err().to_string(), "an earlier append to the journal failed");
    drop(journal);
    assert_eq!(written.segment(), segment);
    assert_eq!(groups(&written.open().unwrap(), 0), written.groups);
}

#[test]
fn a_group_that_does_not_follow_is_refused() {
    let written = Written::of(&[10]);
    let mut journal = written.open().unwrap();
    let OwnedGroup { time, changes, digest, .. } = group(3, 10);

    let refused = journal.append(&Group { commit: 3, time, changes: &changes, digest });

    assert_eq!(refused.unwrap_err().to_string(), "the group does not follow the last one");
}

#[test]
fn a_prepared_segment_of_an_ended_process_is_replaced() {
    let written = Written::of(&[1000; 20]);
    fs::write(written.path().join("next.unfinished"), "half").unwrap();

    let mut journal = written.open().unwrap();
    assert!(!written.path().join("next.unfinished").exists());
    (21..40).for_each(|commit| append(&mut journal, &group(commit, 1000)));
    assert_eq!(journal.last().commit, 39);
    drop(journal);

    assert_eq!(runs(&written.inspect()), [(1, 39)]);
}
