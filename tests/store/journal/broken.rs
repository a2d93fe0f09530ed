//! Every byte of the last 4 KiB is changed, and the end is lost at every place: nothing acknowledged is lost in silence, and
//! nothing that a crash leaves is refused.

use std::{fs, fs::OpenOptions, ops::Range, os::unix::fs::FileExt, path::PathBuf};

use lodge::store::journal::{Fault, FaultKind, Inspection, Journal, JournalError};

use super::{HEAD_PAGE, SMALL, Written, append, group, groups, records, runs};

/// Sizes of values for records of all alignments, within one segment and across sectors.
const SIZES: [usize; 12] = [1, 700, 20, 513, 0, 90, 1500, 33, 8, 411, 260, 1200];
/// How many bytes are changed before the end of the contents and before the end of the file.
const CHANGED: usize = 4096;

/// A segment with its undamaged bytes.
struct Segment {
    written: Written,
    path: PathBuf,
    bytes: Vec<u8>,
    records: Vec<(usize, usize)>,
}

impl Segment {
    fn of(sizes: &[usize]) -> Self {
        let written = Written::of(sizes);
        let path = written.segment();
        let bytes = fs::read(&path).unwrap();
        let records = records(&bytes);
        assert_eq!(records.len(), sizes.len());
        Self { written, path, bytes, records }
    }

    fn count(&self) -> u64 {
        self.records.len() as u64
    }

    fn end(&self) -> usize {
        self.records.last().unwrap().1
    }

    /// What is found once these bytes are written there.
    fn inspect_with(&self, at: usize, bytes: &[u8]) -> Inspection {
        self.write(at, bytes);
        let inspection = self.written.inspect();
        self.write(at, &self.bytes[at..at + bytes.len()]);
        inspection
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        OpenOptions::new().write(true).open(&self.path).unwrap().write_all_at(bytes, at as u64).unwrap();
    }

    /// How many records are whole if the contents are zeros from there on.
    fn whole_before(&self, at: usize) -> u64 {
        let whole = |(_, end): &&(usize, usize)| at >= *end || is_zero(&self.bytes[at..(*end - 4).max(at)]);
        self.records.iter().take_while(whole).count() as u64
    }
}

#[test]
fn a_changed_byte_loses_exactly_the_record_that_has_it() {
    let segment = Segment::of(&SIZES);
    let (end, size) = (segment.end(), segment.bytes.len());
    let changed: Range<usize> = end - CHANGED..end;
    assert!(changed.start > HEAD_PAGE && size - CHANGED > end);

    for at in changed.chain(end..end + 200).chain(size - CHANGED..size) {
        let byte = segment.bytes[at];
        for changed in [byte ^ 1 << (at % 8), byte ^ 0xff, 0].into_iter().filter(|changed| *changed != byte) {
            let inspection = segment.inspect_with(at, &[changed]);
            expect_loss_of(&segment, at, &inspection);
        }
    }
}

/// A changed mark at the end of a record loses nothing, and what is after the last record is cut off.
fn expect_loss_of(segment: &Segment, at: usize, inspection: &Inspection) {
    let count = segment.count();
    let lost = (1..).zip(&segment.records).find(|(_, (from, to))| (*from..*to - 4).contains(&at)).map(|(lost, _)| lost);
    let expected = match lost {
        Some(lost) if lost == count => vec![(1, count - 1)],
        Some(lost) => vec![(1, lost - 1), (lost + 1, count)],
        None => vec![(1, count)],
    };
    assert_eq!(runs(inspection), expected, "byte {at}");
    assert_eq!(inspection.lost(), lost.map(|lost| lost..=lost).into_iter().collect::<Vec<_>>(), "byte {at}");
    assert_eq!((inspection.faults.len(), inspection.highest()), (usize::from(lost.is_some()), count), "byte {at}");
    assert_eq!(inspection.is_incomplete(), at >= segment.end(), "byte {at}");
}

#[test]
fn zeros_from_any_place_on_leave_the_whole_records_before_it() {
    let segment = Segment::of(&SIZES);

    for at in HEAD_PAGE..segment.end() + 16 {
        let inspection = segment.inspect_with(at, &vec![0; segment.bytes.len() - at]);

        let whole = segment.whole_before(at);
        assert_eq!((inspection.faults.as_slice(), runs(&inspection)), ([].as_slice(), vec![(1, whole)]), "byte {at}");
        let begins = segment.records.get(usize::try_from(whole).unwrap()).map_or(at, |record| record.0);
        assert_eq!(inspection.is_incomplete(), begins < at, "byte {at}");
    }
}

#[test]
fn a_file_that_is_shorter_than_it_was_made_is_damaged() {
    let segment = Segment::of(&SIZES);

    let (end, size) = (segment.end(), segment.bytes.len());
    let places = (end - CHANGED..end).chain((end..size).step_by(509)).chain([size - 1]);
    for at in places.collect::<Vec<_>>().into_iter().rev() {
        OpenOptions::new().write(true).open(&segment.path).unwrap().set_len(at as u64).unwrap();
        let inspection = segment.written.inspect();

        let name = segment.path.file_name().unwrap().to_string_lossy().into_owned();
        assert_eq!(inspection.faults, [Fault { segment: name, at: at as u64, kind: FaultKind::Truncated }]);
        let whole = segment.records.iter().filter(|(_, end)| *end <= at).count() as u64;
        assert_eq!(runs(&inspection), [(1, whole)], "byte {at}");
        assert!(inspection.damage().unwrap().may_lack_later, "byte {at}");
    }
}

#[test]
fn a_last_record_that_lacks_any_of_its_sectors_is_cut_off() {
    let segment = Segment::of(&[700, 20, 3300]);
    let (from, to) = segment.records[2];
    let bounds: Vec<_> = (from..to).filter(|at| *at == from || at % 512 == 0).chain([to]).collect();
    let parts: Vec<_> = bounds.windows(2).map(|pair| pair[0]..pair[1]).collect();
    assert!(parts.len() > 6, "{parts:?}");

    for missing in 1..1_u32 << parts.len() {
        let mut bytes = segment.bytes[from..to].to_vec();
        let lacks = |place: usize| missing & 1 << place != 0;
        for (_, part) in parts.iter().enumerate().filter(|(place, _)| lacks(*place)) {
            bytes[part.start - from..part.end - from].fill(0);
        }
        let is_there = bytes.iter().any(|byte| *byte != 0);
        let inspection = segment.inspect_with(from, &bytes);
        assert_eq!((inspection.faults.as_slice(), runs(&inspection)), ([].as_slice(), vec![(1, 2)]), "{missing:b}");
        assert_eq!(inspection.is_incomplete(), is_there, "{missing:b}");
    }
}

#[test]
fn a_record_with_blank_sectors_of_its_own_is_damaged_when_one_byte_is_changed() {
    let mut groups = [group(1, 600), group(2, 0)];
    let blank = groups[1].changes.values_mut().flatten().next().unwrap();
    *blank = vec![0; 3000];
    blank[1700] = 1;
    let written = Written::of(&[600]);
    append(&mut written.open().unwrap(), &groups[1]);
    let path = written.segment();
    let bytes = fs::read(&path).unwrap();
    let (from, to) = records(&bytes)[1];
    let segment = Segment { written, path, records: records(&bytes), bytes };

    for at in from..to - 4 {
        for changed in [0, segment.bytes[at] ^ 0x10].into_iter().filter(|changed| *changed != segment.bytes[at]) {
            expect_loss_of(&segment, at, &segment.inspect_with(at, &[changed]));
        }
    }
}

#[test]
fn what_is_cut_off_is_kept_and_the_journal_goes_on() {
    let segment = Segment::of(&SIZES);
    let (from, to) = *segment.records.last().unwrap();
    let places = [from + 1, from + 72, from + 73, from + 600, to - 8, to - 5];

    for at in places {
        segment.write(at, &vec![0; to - at]);
        let (mut journal, opened) = Journal::open(segment.written.path(), SMALL).unwrap();

        assert_eq!(journal.last().commit, segment.count() - 1, "byte {at}");
        let kept = fs::read(opened.cut.unwrap()).unwrap();
        assert!(segment.bytes[from..at].starts_with(&kept) && is_zero(&segment.bytes[from + kept.len()..at]));
        append(&mut journal, segment.written.groups.last().unwrap());
        assert_eq!(groups(&journal, 0), segment.written.groups);
        assert!(fs::read(&segment.path).unwrap() == segment.bytes, "byte {at}");
    }
}

#[test]
fn an_incomplete_mark_of_a_whole_record_is_completed() {
    let segment = Segment::of(&SIZES);
    let end = segment.end();

    for missing in 1..=4 {
        segment.write(end - missing, &vec![0; missing]);
        assert_eq!(groups(&segment.written.open().unwrap(), 0), segment.written.groups);
        assert!(fs::read(&segment.path).unwrap() == segment.bytes);
    }
}

#[test]
fn a_damaged_journal_is_refused_with_what_is_lost_and_not_changed() {
    let segment = Segment::of(&SIZES);
    let (at, _) = segment.records[4];
    segment.write(at + 80, &[segment.bytes[at + 80] ^ 4]);
    let before = fs::read(&segment.path).unwrap();

    let Err(JournalError::Damaged(damage)) = segment.written.open() else { panic!("a damaged journal was opened") };

    assert_eq!((damage.lost.clone(), damage.readable.clone()), (vec![5..=5], vec![1..=4, 6..=12]));
    assert_eq!(
        damage.to_string(),
        format!(
            "the journal is damaged: the record at byte {at} of segment-00000000000000000001 is damaged; \
             commits that can be read: 1 to 4, 6 to 12; commits lost: 5"
        )
    );
    assert!(fs::read(&segment.path).unwrap() == before);
    assert!(!segment.written.path().join("cut-off").exists());
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| *byte == 0)
}
