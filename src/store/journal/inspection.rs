//! What was found in a journal, and how far its records lead.

use std::{
    fs::File,
    io,
    ops::{Range, RangeInclusive},
    path::Path,
};

use uuid::Uuid;

use super::{
    Damage, Fault, Groups, JournalError, Position, Tip,
    segment::{self, HEAD_PAGE_BYTES, SegmentFile, SegmentHead},
};

/// A stretch of records that follow each other without a fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of its first commit.
    pub first: u64,
    /// The number of its last commit; one less than the first if it has none.
    pub last: u64,
    /// The digest of all rows after the last commit, or before the first if it has none.
    pub digest: u128,
    pub(super) segment: usize,
    pub(super) at: u64,
}

/// What was found in a journal.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// The id of the store.
    pub store: Uuid,
    /// The position before the first record; `None` if the first segment has no readable head.
    pub first: Option<Position>,
    /// The stretches of records, in the order of the journal; at least one if there are no faults.
    pub runs: Vec<Run>,
    /// What is damaged; an incomplete last record is no damage.
    pub faults: Vec<Fault>,
    pub(super) segments: Vec<SegmentFile>,
    pub(super) heads: Vec<Option<SegmentHead>>,
    pub(super) tip: Option<Tip>,
    /// Where the next record is written, in the last segment.
    pub(super) end: u64,
    /// What is to be cut off the last segment.
    pub(super) tail: Option<Range<u64>>,
    pub(super) lost_last: Option<u64>,
    pub(super) may_lack_later: bool,
    /// Where the contents of the current segment end, once that is known.
    pub(super) contents: Option<u64>,
}

impl Inspection {
    /// Reads a journal; nothing is changed.
    ///
    /// # Errors
    /// [`JournalError`] if it is missing, from a newer server, or cannot be read. Damage is no error.
    pub fn of(directory: &Path) -> Result<Self, JournalError> {
        let missing = || JournalError::Missing(directory.to_owned());
        let segments = match segment::list(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(missing()),
            segments => segments?,
        };
        if segments.is_empty() { Err(missing()) } else { Self::scan(segments, |file| File::open(&file.path)) }
    }

    /// The damage, `None` if there is none.
    #[must_use]
    pub fn damage(&self) -> Option<Damage> {
        let readable = self.runs.iter().map(|run| run.first..=run.last).collect();
        let (lost, may_lack_later) = (self.lost(), self.may_lack_later);
        let damage = || Damage { faults: self.faults.clone(), readable, lost, may_lack_later };
        (!self.faults.is_empty()).then(damage)
    }

    /// Whether the last record is incomplete, and will be cut off.
    #[must_use]
    pub fn is_incomplete(&self) -> bool {
        self.tail.is_some()
    }

    /// The commits between the first and the last one that cannot be read.
    #[must_use]
    pub fn lost(&self) -> Vec<RangeInclusive<u64>> {
        let between = self.runs.windows(2).map(|pair| pair[0].last.saturating_add(1)..=pair[1].first.saturating_sub(1));
        between.chain(self.lost_last.map(|last| last..=last)).filter(|lost| !lost.is_empty()).collect()
    }

    /// The last commit of which anything is known.
    #[must_use]
    pub fn highest(&self) -> u64 {
        self.runs.iter().map(|run| run.last).chain(self.lost_last).max().unwrap_or(0)
    }

    /// The last commit that the journal leads to from that one; that one itself if it has no record after it.
    #[must_use]
    pub fn reachable(&self, commit: u64) -> u64 {
        self.run_after(commit).map_or(commit, |run| run.last)
    }

    /// The groups after that commit, as far as they follow each other.
    #[must_use]
    pub fn groups_after(&self, commit: u64) -> Groups {
        let run = self.run_after(commit);
        let start = run.map_or((0, HEAD_PAGE_BYTES), |run| (run.segment, run.at));
        Groups::of(self.store, self.segments.clone(), start, commit..=run.map_or(0, |run| run.last))
    }

    /// The digest of all rows after that commit, `None` if the journal does not have it.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn digest_at(&self, commit: u64) -> Result<Option<u128>, JournalError> {
        if let Some(run) = self.runs.iter().find(|run| run.last == commit) {
            return Ok(Some(run.digest));
        }
        if let Some(head) = self.heads.iter().flatten().find(|head| head.before.position.commit == commit) {
            return Ok(Some(head.before.position.digest));
        }
        let Some(before) = commit.checked_sub(1) else { return Ok(None) };
        self.groups_after(before).next().map(|group| Ok(group?.digest)).transpose()
    }

    fn run_after(&self, commit: u64) -> Option<&Run> {
        self.runs.iter().rev().find(|run| (run.first..=run.last).contains(&commit.saturating_add(1)))
    }
}
