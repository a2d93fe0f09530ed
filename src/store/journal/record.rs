//! The encoding of one group as a record.

use std::io;

use crc32c::{crc32c, crc32c_append};
use uuid::Uuid;

use super::{Group, OwnedGroup, Position, Tip};
use crate::{
    clock::Timestamp,
    store::engine::{Changes, Tree},
};

/// How a record begins and ends. No UTF-8 text contains these bytes.
pub(super) const MAGIC: [u8; 4] = [0xff, b'L', b'J', 0xfe];
pub(super) const END: [u8; 4] = [0xfe, b'j', b'l', 0xff];
/// The size of a record without its rows.
pub(super) const HEAD_BYTES: usize = 72;
const TRAILER_BYTES: usize = 8;
/// Records begin at multiples of this.
pub(super) const ALIGNMENT: u64 = 8;
/// What a disk writes whole or not at all; a multiple of it in reality.
pub(super) const SECTOR_BYTES: u64 = 512;
const ROW_HEAD_BYTES: usize = 10;

/// What is before the rows of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordHead {
    pub(super) length: u32,
    pub(super) previous_chain: u32,
    pub(super) position: Position,
    pub(super) time: Timestamp,
    rows: u32,
    blank_sectors: u32,
    pub(super) store: Uuid,
}

/// Encodes a group; [`seal`] completes the record for its place.
///
/// # Errors
/// If the group is larger than 4 GiB.
pub(super) fn encode(buffer: &mut Vec<u8>, store: Uuid, group: &Group<'_>) -> io::Result<()> {
    buffer.clear();
    buffer.resize(HEAD_BYTES, 0);
    for ((tree, key), value) in group.changes {
        push_row(buffer, *tree, key, value.as_deref())?;
    }
    let length = buffer.len().next_multiple_of(8) + TRAILER_BYTES;
    buffer.resize(length, 0);
    buffer[8..12].copy_from_slice(&count(length)?.to_be_bytes());
    buffer[16..24].copy_from_slice(&group.commit.to_be_bytes());
    buffer[24..32].copy_from_slice(&group.time.as_millis().to_be_bytes());
    buffer[32..48].copy_from_slice(&group.digest.to_be_bytes());
    buffer[48..52].copy_from_slice(&count(group.changes.len())?.to_be_bytes());
    buffer[56..72].copy_from_slice(store.as_bytes());
    Ok(())
}

/// Completes a record for the place where it is written, and returns the chain after it.
pub(super) fn seal(record: &mut [u8], at: u64, previous_chain: u32) -> u32 {
    let end = record.len() - TRAILER_BYTES;
    record[end + 4..].copy_from_slice(&END);
    record[..4].copy_from_slice(&MAGIC);
    record[12..16].copy_from_slice(&previous_chain.to_be_bytes());
    let blank = u32::try_from(sectors(record, at).filter(|sector| is_blank(sector)).count());
    record[52..56].copy_from_slice(&blank.expect("the length fits in 32 bits").to_be_bytes());
    let of_head = crc32c(&record[8..HEAD_BYTES]);
    record[4..8].copy_from_slice(&of_head.to_be_bytes());
    let chain = crc32c_append(previous_chain, &record[..end]);
    record[end..end + 4].copy_from_slice(&chain.to_be_bytes());
    chain
}

impl RecordHead {
    /// The head in these bytes, if it is one.
    pub(super) fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEAD_BYTES] = bytes.first_chunk()?;
        let is_whole = bytes.starts_with(&MAGIC) && u32_at(bytes, 4) == crc32c(&bytes[8..]);
        let head = Self {
            length: u32_at(bytes, 8),
            previous_chain: u32_at(bytes, 12),
            position: Position { commit: u64_at(bytes, 16), digest: u128_at(bytes, 32) },
            time: Timestamp::from_millis(u64_at(bytes, 24)),
            rows: u32_at(bytes, 48),
            blank_sectors: u32_at(bytes, 52),
            store: Uuid::from_bytes(*bytes[56..].first_chunk()?),
        };
        (is_whole && head.length.is_multiple_of(8) && head.length() >= HEAD_BYTES + TRAILER_BYTES).then_some(head)
    }

    pub(super) fn length(&self) -> usize {
        self.length as usize
    }

    /// The position after a whole record of this head, `None` if the record is changed or incomplete.
    pub(super) fn tip(&self, record: &[u8]) -> Option<Tip> {
        let end = self.length() - TRAILER_BYTES;
        let chain = crc32c_append(self.previous_chain, record.get(..end)?);
        // The mark at the end is needed only where the checksum is wrong.
        (record.len() == self.length() && u32_at(record, end) == chain)
            .then_some(Tip { position: self.position, chain })
    }

    /// Whether the record comes directly after that position.
    pub(super) fn follows(&self, tip: &Tip) -> bool {
        self.previous_chain == tip.chain && Some(self.position.commit) == tip.position.commit.checked_add(1)
    }

    /// Whether a record of this head at that place, which is not whole, lacks its end or whole sectors.
    pub(super) fn is_incomplete(&self, record: &[u8], at: u64) -> bool {
        let missing = sectors(record, at).filter(|sector| is_zero(sector)).count();
        record.last() == Some(&0) || missing > self.blank_sectors as usize
    }

    /// The group in a whole record, `None` if its rows cannot be decoded.
    pub(super) fn group(&self, record: &[u8]) -> Option<OwnedGroup> {
        let mut rest = record.get(HEAD_BYTES..record.len().checked_sub(TRAILER_BYTES)?)?;
        let mut changes = Changes::new();
        for _ in 0..self.rows {
            let (row, value) = take_row(&mut rest)?;
            changes.insert(row, value);
        }
        let is_whole = rest.len() < 8 && is_zero(rest) && changes.len() == self.rows as usize;
        let Position { commit, digest } = self.position;
        is_whole.then_some(OwnedGroup { commit, time: self.time, changes, digest })
    }
}

/// Whether all bytes are zero.
pub(super) fn is_zero(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 512] = [0; 512];
    bytes.chunks(ZEROS.len()).all(|part| part == &ZEROS[..part.len()])
}

/// The parts of bytes at that place that are in different sectors.
pub(super) fn sectors(bytes: &[u8], at: u64) -> impl Iterator<Item = &[u8]> {
    let first = usize::try_from(SECTOR_BYTES - at % SECTOR_BYTES).expect("a sector is small");
    let (first, rest) = bytes.split_at(first.min(bytes.len()));
    std::iter::once(first).chain(rest.chunks(512)).filter(|sector| !sector.is_empty())
}

/// Whether so few bytes are not zero that one damaged byte could make the sector look as if it was never written.
fn is_blank(sector: &[u8]) -> bool {
    sector.iter().filter(|byte| **byte != 0).nth(1).is_none()
}

fn push_row(buffer: &mut Vec<u8>, tree: Tree, key: &[u8], value: Option<&[u8]>) -> io::Result<()> {
    buffer.extend([tree as u8, u8::from(value.is_some())]);
    buffer.extend(count(key.len())?.to_be_bytes());
    buffer.extend(count(value.map_or(0, <[u8]>::len))?.to_be_bytes());
    buffer.extend(key);
    buffer.extend(value.unwrap_or_default());
    Ok(())
}

type Row = ((Tree, Vec<u8>), Option<Vec<u8>>);

fn take_row(rest: &mut &[u8]) -> Option<Row> {
    let (head, after) = rest.split_at_checked(ROW_HEAD_BYTES)?;
    let (key, after) = after.split_at_checked(u32_at(head, 2) as usize)?;
    let (value, after) = after.split_at_checked(u32_at(head, 6) as usize)?;
    *rest = after;
    let value = match head[1] {
        1 => Some(value.to_vec()),
        0 if value.is_empty() => None,
        _ => return None,
    };
    Some(((Tree::of_number(head[0])?, key.to_vec()), value))
}

fn count(number: usize) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::Error::other("the group is larger than 4 GiB"))
}

/// The number in the four bytes there, which must exist.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array_at(bytes, at))
}

/// The number in the eight bytes there, which must exist.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(array_at(bytes, at))
}

/// The number in the sixteen bytes there, which must exist.
pub(super) fn u128_at(bytes: &[u8], at: usize) -> u128 {
    u128::from_be_bytes(array_at(bytes, at))
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range has that length")
}
