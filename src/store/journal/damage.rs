//! What is wrong with a journal, and which commits it has lost.

use std::{fmt, ops::RangeInclusive};

/// How many faults a sentence names.
const MAX_NAMED: usize = 3;

/// A place in a journal that is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the segment.
    pub segment: String,
    /// Where in it.
    pub at: u64,
    /// What is wrong there.
    pub kind: FaultKind,
}

/// What is wrong with a place in a journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// Neither copy of the head of the segment can be read.
    Head,
    /// A record is changed, or incomplete though others follow it.
    Record,
    /// A record or segment does not continue what is before it.
    Chain,
    /// Commits before this place are missing.
    Gap,
    /// The file is shorter than it was made.
    Truncated,
    /// The segment is not the one of its name, or belongs to another store.
    Foreign,
}

/// The damage of a journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damaged places, in the order of the journal; at least one.
    pub faults: Vec<Fault>,
    /// The commits that can be read, in stretches without a fault.
    pub readable: Vec<RangeInclusive<u64>>,
    /// The commits that cannot be read.
    pub lost: Vec<RangeInclusive<u64>>,
    /// Whether later commits may have been lost too, of which nothing is known.
    pub may_lack_later: bool,
}

impl Damage {
    /// A stretch that ends before its last commit.
    pub(super) fn ended(segment: String, at: u64, lost: RangeInclusive<u64>) -> Self {
        let faults = vec![Fault { segment, at, kind: FaultKind::Record }];
        Self { faults, readable: Vec::new(), lost: vec![lost], may_lack_later: false }
    }
}

impl std::error::Error for Damage {}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: Vec<_> = self.faults.iter().take(MAX_NAMED).map(ToString::to_string).collect();
        write!(f, "the journal is damaged: {}", named.join(", "))?;
        if self.faults.len() > MAX_NAMED {
            write!(f, ", and {} more", self.faults.len() - MAX_NAMED)?;
        }
        write!(f, "; commits that can be read: {}; commits lost: {}", ranges(&self.readable), ranges(&self.lost))?;
        if self.may_lack_later { f.write_str(", and possibly later ones") } else { Ok(()) }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { segment, at, kind } = self;
        match kind {
            FaultKind::Head => write!(f, "the head of {segment} cannot be read"),
            FaultKind::Record => write!(f, "the record at byte {at} of {segment} is damaged"),
            FaultKind::Chain => write!(f, "byte {at} of {segment} does not continue what is before it"),
            FaultKind::Gap => write!(f, "commits before byte {at} of {segment} are missing"),
            FaultKind::Truncated => write!(f, "{segment} ends at byte {at}"),
            FaultKind::Foreign => write!(f, "{segment} does not belong there"),
        }
    }
}

/// Ranges of commit numbers as text: `1 to 16, 18`.
fn ranges(ranges: &[RangeInclusive<u64>]) -> String {
    let text = |range: &RangeInclusive<u64>| match (range.start(), range.end()) {
        (first, last) if first == last => first.to_string(),
        (first, last) => format!("{first} to {last}"),
    };
    let texts: Vec<_> = ranges.iter().filter(|range| !range.is_empty()).map(text).collect();
    if texts.is_empty() { "none".to_owned() } else { texts.join(", ") }
}
