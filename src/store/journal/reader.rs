//! Reads segments with bounded memory.

use std::{fs::File, io, ops::RangeInclusive, os::unix::fs::FileExt};

use uuid::Uuid;

use super::{
    Damage, JournalError, OwnedGroup, Tip,
    record::{HEAD_BYTES, RecordHead, is_zero},
    segment::{HEAD_PAGE_BYTES, SegmentFile},
};

/// How much is read at once.
const READ_BYTES: usize = 1 << 18;

/// Bytes that can be read anywhere.
pub(super) trait Source {
    /// Reads at that place; fewer bytes only at the end.
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize>;

    /// How many there are.
    fn size(&self) -> io::Result<u64>;
}

/// A part of a source in memory, which moves as other parts are asked for.
pub(super) struct Window<S> {
    source: S,
    size: u64,
    from: u64,
    bytes: Vec<u8>,
}

/// A record at a place.
pub(super) struct FoundRecord {
    pub(super) head: RecordHead,
    pub(super) tip: Tip,
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match FileExt::read_at(self, &mut buffer[read..], at + read as u64) {
                Ok(0) => break,
                Ok(more) => read += more,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

impl Source for &[u8] {
    fn read_at(&self, buffer: &mut [u8], at: u64) -> io::Result<usize> {
        let from = usize::try_from(at).map_or(self.len(), |at| at.min(self.len()));
        let read = buffer.len().min(self.len() - from);
        buffer[..read].copy_from_slice(&self[from..from + read]);
        Ok(read)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }
}

impl<S: Source> Window<S> {
    pub(super) fn new(source: S) -> io::Result<Self> {
        let size = source.size()?;
        Ok(Self { source, size, from: 0, bytes: Vec::new() })
    }

    /// How large the source is.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// The bytes there, `None` if the source ends before them.
    pub(super) fn bytes(&mut self, at: u64, length: usize) -> io::Result<Option<&[u8]>> {
        if at.checked_add(length as u64).is_none_or(|end| end > self.size) {
            return Ok(None);
        }
        if at < self.from || at + length as u64 > self.from + self.bytes.len() as u64 {
            self.move_to(at, length)?;
        }
        let from = usize::try_from(at - self.from).map_err(io::Error::other)?;
        Ok(self.bytes.get(from..from + length))
    }

    fn move_to(&mut self, at: u64, length: usize) -> io::Result<()> {
        let rest = usize::try_from(self.size - at).unwrap_or(usize::MAX);
        self.bytes.resize(length.max(READ_BYTES).min(rest), 0);
        self.from = at;
        let read = self.source.read_at(&mut self.bytes, at)?;
        self.bytes.truncate(read);
        Ok(())
    }

    /// The whole record there, `None` if there is none.
    pub(super) fn record(&mut self, at: u64) -> io::Result<Option<FoundRecord>> {
        let Some(head) = self.bytes(at, HEAD_BYTES)?.and_then(RecordHead::parse) else { return Ok(None) };
        let tip = self.bytes(at, head.length())?.and_then(|record| head.tip(record));
        Ok(tip.map(|tip| FoundRecord { head, tip }))
    }

    /// The place after the last byte from there on that is not zero; that place itself if all are.
    pub(super) fn end_of_contents(&mut self, from: u64) -> io::Result<u64> {
        let (mut at, mut end) = (from, from);
        while at < self.size {
            let length = (self.size - at).min(READ_BYTES as u64);
            let part = self.bytes(at, usize::try_from(length).map_err(io::Error::other)?)?.unwrap_or_default();
            if let Some(last) = last_that_is_not_zero(part) {
                end = at + last as u64 + 1;
            }
            at += length;
        }
        Ok(end)
    }
}

/// The groups of one stretch of records, from the first segment of it on.
pub struct Groups {
    store: Uuid,
    segments: Vec<SegmentFile>,
    /// Which segment is read, and where.
    segment: usize,
    at: u64,
    /// The last group that was read, `None` before the first.
    tip: Option<Tip>,
    /// Groups up to this commit are passed over.
    after: u64,
    /// The last commit.
    last: u64,
    open: Option<Window<File>>,
}

impl Groups {
    /// The groups with numbers above the first and up to the second, in records that begin in that segment at that place.
    pub(super) fn of(
        store: Uuid,
        segments: Vec<SegmentFile>,
        (mut segment, mut at): (usize, u64),
        range: RangeInclusive<u64>,
    ) -> Self {
        let (after, last) = range.into_inner();
        let starts_by = |file: &SegmentFile| file.first <= after.saturating_add(1);
        if let Some(later) = segments.iter().rposition(starts_by).filter(|later| *later > segment) {
            (segment, at) = (later, HEAD_PAGE_BYTES);
        }
        // Without a group the stretch is at its end.
        let tip = (after >= last).then_some(Tip::default());
        let last = if after >= last { 0 } else { last };
        Self { store, segments, segment, at, tip, after, last, open: None }
    }

    /// The next group, also one that is to be passed over.
    fn read_next(&mut self) -> Result<Option<OwnedGroup>, JournalError> {
        while self.tip.is_none_or(|tip| tip.position.commit < self.last) {
            let Some(file) = self.segments.get(self.segment) else { return Err(self.ended()) };
            let window = match &mut self.open {
                Some(window) => window,
                closed => closed.insert(Window::new(File::open(&file.path)?)?),
            };
            match window.record(self.at)? {
                Some(found) => return self.take(&found).map(Some),
                None => {
                    (self.segment, self.at, self.open) = (self.segment + 1, HEAD_PAGE_BYTES, None);
                }
            }
        }
        Ok(None)
    }

    fn take(&mut self, found: &FoundRecord) -> Result<OwnedGroup, JournalError> {
        let FoundRecord { head, tip } = found;
        let at = self.at;
        let record = self.open.as_mut().map(|open| open.bytes(at, head.length())).transpose()?.flatten();
        let group = record.and_then(|record| head.group(record));
        let follows = head.store == self.store && self.tip.is_none_or(|before| head.follows(&before));
        match group.filter(|_| follows) {
            Some(group) => {
                self.tip = Some(*tip);
                self.at += u64::from(head.length);
                Ok(group)
            }
            None => Err(self.ended()),
        }
    }

    /// The error of a stretch that ends before its last commit.
    fn ended(&self) -> JournalError {
        let name = self.segments.get(self.segment.min(self.segments.len().saturating_sub(1))).map(SegmentFile::name);
        let first = self.tip.map_or(self.after, |tip| tip.position.commit).saturating_add(1);
        JournalError::Damaged(Box::new(Damage::ended(name.unwrap_or_default(), self.at, first..=self.last)))
    }
}

impl Iterator for Groups {
    type Item = Result<OwnedGroup, JournalError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.read_next() {
                Ok(Some(group)) if group.commit <= self.after => {}
                Ok(group) => return group.map(Ok),
                Err(error) => {
                    // What comes after an error is not read.
                    (self.segment, self.last) = (self.segments.len(), 0);
                    self.tip = self.tip.or(Some(Tip::default()));
                    return Some(Err(error));
                }
            }
        }
    }
}

fn last_that_is_not_zero(bytes: &[u8]) -> Option<usize> {
    let sectors = bytes.chunks(512).enumerate();
    let (number, sector) = sectors.rev().find(|(_, sector)| !is_zero(sector))?;
    sector.iter().rposition(|byte| *byte != 0).map(|last| number * 512 + last)
}
