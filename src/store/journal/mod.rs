//! The journal: every committed group of changes, in order, in append-only files.
//!
//! A journal is a directory of segments. A segment is made in its full size, filled with zeros and synced before it gets its
//! name, so an append changes no size and needs one `fdatasync`. Its name has the number of the first commit in it.
//!
//! ```text
//! segment-<first commit, 20 digits>
//! ├── 4,096 bytes   the head, twice (at 0 and at 2,048): "LODGEJNL", format, chain, store id, size, and
//! │                 the commit and digest before the first record, CRC32C of all that
//! ├── record, record, ...
//! └── zeros, up to the size
//!
//! record, a multiple of 8 bytes
//! ├──  0  FF 'L' 'J' FE, CRC32C of bytes 8 to 72
//! ├──  8  length of the record, chain before it
//! ├── 16  commit number
//! ├── 24  milliseconds since 1970
//! ├── 32  digest of all rows after the commit (16 bytes)
//! ├── 48  number of rows, number of blank sectors
//! ├── 56  store id (16 bytes)
//! ├── 72  rows: tree (1 byte), 1 for a value or 0 for a removal (1 byte), length of the key, length of the value, key, value
//! ├──     zeros, so that the length is a multiple of 8
//! └──     chain after it, FE 'j' 'l' FF
//! ```
//!
//! Integers are big-endian, of 4 bytes for lengths, numbers of rows and sectors, and checksums, of 8 bytes otherwise.
//! Trees are numbered as in [`Tree::ALL`](super::engine::Tree::ALL). The chain after a record is the CRC32C of all records
//! of the journal up to its own last 8 bytes, continued from the chain before it; the first segment begins with the CRC32C
//! of the store id. So a record that is changed, missing, or from another history breaks the chain, and each record can be
//! checked by itself, because it names the chain before it.
//!
//! Two kinds of broken records are distinguished. An *incomplete* one is the last of the last segment, and lacks what a
//! crash prevented from being written: its end, or whole sectors, where zeros are instead. It was never acknowledged, so it
//! is cut off. For this a record has the number of its sectors that are blank anyway, and ends with four bytes that are not
//! zero. Any other broken record is *damage*: it may have been acknowledged, so the journal is refused.
//! The marks of records contain bytes that are in no UTF-8 text, so no value of a client's can look like a record.

mod cut;
mod damage;
mod inspection;
mod prepare;
mod reader;
mod record;
mod scan;
mod segment;
mod writer;

use std::{io, path::PathBuf};

use thiserror::Error;

pub use self::{
    damage::{Damage, Fault, FaultKind},
    inspection::{Inspection, Run},
    reader::Groups,
    segment::FORMAT,
    writer::{Journal, Opened},
};
use super::engine::Changes;
use crate::clock::Timestamp;

/// A moment in the history of a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// The number of the last commit; 0 before the first.
    pub commit: u64,
    /// The digest of all rows after it.
    pub digest: u128,
}

/// A position, with the chain of checksums up to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tip {
    position: Position,
    chain: u32,
}

/// How a journal is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The size of a segment. The first ones of a journal are smaller, and one for a larger group is larger.
    pub segment_bytes: u64,
}

/// A group of changes to append.
#[derive(Clone, Copy, Debug)]
pub struct Group<'a> {
    /// The number of the commit, which follows that of the last one.
    pub commit: u64,
    /// When it is committed.
    pub time: Timestamp,
    /// The rows that it puts and removes.
    pub changes: &'a Changes,
    /// The digest of all rows after it.
    pub digest: u128,
}

/// A group of changes that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnedGroup {
    /// The number of the commit.
    pub commit: u64,
    /// When it was committed.
    pub time: Timestamp,
    /// The rows that it puts and removes.
    pub changes: Changes,
    /// The digest of all rows after it.
    pub digest: u128,
}

/// Why a journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It has no segment.
    #[error("the journal {} is missing", .0.display())]
    Missing(PathBuf),
    /// A newer server wrote it.
    #[error("the journal has format {found}; this server reads up to {known}")]
    TooNew {
        /// Its format.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// It has lost or changed records.
    #[error(transparent)]
    Damaged(Box<Damage>),
    /// It cannot be read or written.
    #[error("the journal cannot be read or written")]
    Io(#[from] io::Error),
}
