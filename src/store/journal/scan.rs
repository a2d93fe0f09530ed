//! Reads a whole journal, and finds out what in it can be trusted.

use std::io;

use uuid::Uuid;

use super::{
    Fault, FaultKind, Inspection, JournalError, Position, Run,
    reader::{FoundRecord, Source, Window},
    record::{ALIGNMENT, END, HEAD_BYTES, MAGIC, RecordHead, is_zero, sectors},
    segment::{FORMAT, FoundHead, HEAD_PAGE_BYTES, SegmentFile, SegmentHead},
};

/// How much is searched at once for the next record.
const SEARCHED_BYTES: u64 = 1 << 16;

impl Inspection {
    /// Reads these segments, of which there is at least one.
    pub(super) fn scan<S: Source>(
        segments: Vec<SegmentFile>,
        open: impl Fn(&SegmentFile) -> io::Result<S>,
    ) -> Result<Self, JournalError> {
        let heads: Vec<_> = segments.iter().map(|file| head(open(file)?)).collect::<Result<_, JournalError>>()?;
        let store = match heads.iter().flatten().next() {
            Some(head) => head.store,
            None => store_of_records(&mut Window::new(open(&segments[0])?)?)?,
        };
        let first = heads[0].map(|head| head.before.position);
        let (runs, faults) = (Vec::new(), Vec::new());
        let (tip, end, tail, lost_last, may_lack_later, contents) = (None, HEAD_PAGE_BYTES, None, None, false, None);
        let mut found =
            Self { store, first, runs, faults, segments, heads, tip, end, tail, lost_last, may_lack_later, contents };
        for index in 0..found.segments.len() {
            let mut window = Window::new(open(&found.segments[index])?)?;
            found.segment(&mut window, index)?;
        }
        Ok(found)
    }

    fn segment<S: Source>(&mut self, window: &mut Window<S>, index: usize) -> io::Result<()> {
        (self.end, self.contents) = (HEAD_PAGE_BYTES, None);
        let is_last = index + 1 == self.segments.len();
        match self.heads[index] {
            None => self.fault(index, 0, FaultKind::Head),
            Some(head) if !self.belongs(index, &head) => {
                self.fault(index, 0, FaultKind::Foreign);
                self.may_lack_later |= is_last;
                return Ok(());
            }
            Some(head) => self.begin(index, &head),
        }
        while self.step(window, index)? {}
        if is_last && self.heads[index].is_some_and(|head| window.size() < head.size) {
            self.fault(index, window.size(), FaultKind::Truncated);
            self.may_lack_later = true;
        }
        Ok(())
    }

    fn belongs(&self, index: usize, head: &SegmentHead) -> bool {
        head.store == self.store && head.before.position.commit.checked_add(1) == Some(self.segments[index].first)
    }

    /// Continues with a segment.
    fn begin(&mut self, index: usize, head: &SegmentHead) {
        if self.tip == Some(head.before) {
            return;
        }
        self.broken_off(index, 0, head.before.position.commit);
        let Position { commit, digest } = head.before.position;
        self.runs.push(Run {
            first: commit.saturating_add(1),
            last: commit,
            digest,
            segment: index,
            at: HEAD_PAGE_BYTES,
        });
        self.tip = Some(head.before);
    }

    /// Reads what is at the current place; `false` at the end of the segment.
    fn step<S: Source>(&mut self, window: &mut Window<S>, index: usize) -> io::Result<bool> {
        if let Some(found) = window.record(self.end)?.filter(|found| found.head.store == self.store) {
            self.record(&found, index);
            return Ok(true);
        }
        let end = match self.contents {
            Some(end) => end,
            None => *self.contents.insert(window.end_of_contents(self.end)?),
        };
        if end <= self.end {
            return Ok(false);
        }
        let next = self.heads.get(index + 1).copied().flatten();
        // What the next segment continues is whole, whatever comes after it here.
        let is_whole = self.tip.is_some() && next.map(|next| next.before) == self.tip;
        if is_whole { Ok(false) } else { self.broken(window, index, end) }
    }

    fn record(&mut self, found: &FoundRecord, index: usize) {
        let FoundRecord { head, tip } = found;
        let commit = head.position.commit;
        if !self.tip.is_some_and(|before| head.follows(&before)) {
            self.broken_off(index, self.end, commit.saturating_sub(1));
            self.runs.push(Run { first: commit, last: commit, digest: 0, segment: index, at: self.end });
        }
        if let Some(run) = self.runs.last_mut() {
            (run.last, run.digest) = (commit, head.position.digest);
        }
        self.tip = Some(*tip);
        self.end += u64::from(head.length);
    }

    /// Records that this place does not continue what is before it, unless that is broken already.
    fn broken_off(&mut self, index: usize, at: u64, before: u64) {
        if let Some(tip) = self.tip {
            let kind = if before > tip.position.commit { FaultKind::Gap } else { FaultKind::Chain };
            self.fault(index, at, kind);
        }
    }

    /// Passes over what is no record; `false` if no record comes after it.
    fn broken<S: Source>(&mut self, window: &mut Window<S>, index: usize, end: u64) -> io::Result<bool> {
        let later = self.next_record(window, self.end + ALIGNMENT, end)?;
        let is_last = index + 1 == self.segments.len();
        if later.is_none() && is_last {
            if self.is_unfinished(window, end)? {
                self.tail = Some(self.end..end);
                return Ok(false);
            }
            self.lost_last = self.tip.map(|tip| tip.position.commit.saturating_add(1));
        }
        self.fault(index, self.end, FaultKind::Record);
        self.tip = None;
        self.end = later.unwrap_or(end);
        Ok(later.is_some())
    }

    fn next_record<S: Source>(&self, window: &mut Window<S>, from: u64, end: u64) -> io::Result<Option<u64>> {
        let mut at = from;
        while at < end {
            let length = (end - at).min(SEARCHED_BYTES);
            let part = window.bytes(at, usize::try_from(length).map_err(io::Error::other)?)?.unwrap_or_default();
            let begins = part.chunks(8).zip((at..).step_by(8)).filter(|(word, _)| word.starts_with(&MAGIC));
            let candidates: Vec<_> = begins.map(|(_, at)| at).collect();
            for candidate in candidates {
                if window.record(candidate)?.is_some_and(|found| found.head.store == self.store) {
                    return Ok(Some(candidate));
                }
            }
            at += length;
        }
        Ok(None)
    }

    /// Whether the last record was never written to its end, rather than changed afterwards.
    fn is_unfinished<S: Source>(&self, window: &mut Window<S>, end: u64) -> io::Result<bool> {
        let Some(bytes) = window.bytes(self.end, HEAD_BYTES)? else { return Ok(true) };
        if let Some(head) = RecordHead::parse(bytes) {
            let follows = head.store == self.store && self.tip.is_some_and(|tip| head.follows(&tip));
            let record = window.bytes(self.end, head.length())?;
            // A record that the file is too short for is reported as a lack of the file.
            return Ok(follows && record.is_none_or(|record| head.is_incomplete(record, self.end)));
        }
        let lacks_sector = sectors(bytes, self.end).any(is_zero);
        let is_at_end = end.is_multiple_of(ALIGNMENT) && window.bytes(end - 4, 4)? == Some(&END[..]);
        Ok(lacks_sector || !is_at_end)
    }

    fn fault(&mut self, index: usize, at: u64, kind: FaultKind) {
        self.faults.push(Fault { segment: self.segments[index].name(), at, kind });
    }
}

fn head<S: Source>(segment: S) -> Result<Option<SegmentHead>, JournalError> {
    match SegmentHead::read(&mut Window::new(segment)?)? {
        FoundHead::Head(head) => Ok(Some(head)),
        FoundHead::Newer(found) => Err(JournalError::TooNew { found, known: FORMAT }),
        FoundHead::Unreadable => Ok(None),
    }
}

/// The store that the first record names, where no segment names one.
fn store_of_records<S: Source>(segment: &mut Window<S>) -> io::Result<Uuid> {
    Ok(segment.record(HEAD_PAGE_BYTES)?.map_or(Uuid::nil(), |found| found.head.store))
}
