//! The files of a journal: their names, their heads, and their creation.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
};

use crc32c::crc32c;
use uuid::Uuid;

use super::{
    Position, Tip,
    reader::{Source, Window},
    record::{u32_at, u64_at, u128_at},
};
use crate::files::{create_private, named_in};

/// The format of the segments that are written, and the newest one that is read.
pub const FORMAT: u32 = 1;

const MAGIC: &[u8; 8] = b"LODGEJNL";
/// Where the records begin.
pub(super) const HEAD_PAGE_BYTES: u64 = 4096;
/// Where the two copies of the head are.
const COPIES: [u64; 2] = [0, 2048];
const HEAD_BYTES: usize = 68;
const PREFIX: &str = "segment-";

/// The beginning of a segment, which describes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentHead {
    pub(super) store: Uuid,
    /// The position before the first record.
    pub(super) before: Tip,
    /// The size that the file was made in.
    pub(super) size: u64,
}

/// A segment's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SegmentFile {
    pub(super) path: PathBuf,
    /// The number of the first commit in it, by its name.
    pub(super) first: u64,
}

/// What was found at the beginning of a file.
pub(super) enum FoundHead {
    Head(SegmentHead),
    Newer(u32),
    Unreadable,
}

impl SegmentFile {
    pub(super) fn of(directory: &Path, first: u64) -> Self {
        Self { path: directory.join(format!("{PREFIX}{first:020}")), first }
    }

    pub(super) fn name(&self) -> String {
        self.path.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

/// The segments in a directory, in the order of their commits.
pub(super) fn list(directory: &Path) -> io::Result<Vec<SegmentFile>> {
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(PREFIX)?.parse().ok();
    let numbers = named_in(directory, PREFIX, "")?.into_iter().filter_map(|path| number(&path));
    let mut files: Vec<_> = numbers.map(|first| SegmentFile::of(directory, first)).collect();
    // Another spelling of a number is no segment.
    files.sort_unstable_by_key(|file| file.first);
    files.dedup();
    files.retain(|file| file.path.is_file());
    Ok(files)
}

impl SegmentHead {
    /// The first page of a segment.
    pub(super) fn page(&self) -> Vec<u8> {
        let mut head = MAGIC.to_vec();
        head.extend(FORMAT.to_be_bytes());
        head.extend(self.before.chain.to_be_bytes());
        head.extend(self.store.as_bytes());
        head.extend(self.size.to_be_bytes());
        head.extend(self.before.position.commit.to_be_bytes());
        head.extend(self.before.position.digest.to_be_bytes());
        head.extend(crc32c(&head).to_be_bytes());
        let mut page = vec![0; 4096];
        page[..HEAD_BYTES].copy_from_slice(&head);
        page[2048..2048 + HEAD_BYTES].copy_from_slice(&head);
        page
    }

    /// Reads the head of a segment; either of its copies is enough.
    pub(super) fn read<S: Source>(segment: &mut Window<S>) -> io::Result<FoundHead> {
        let mut newer = None;
        for at in COPIES {
            match segment.bytes(at, HEAD_BYTES)?.map_or(FoundHead::Unreadable, parse) {
                FoundHead::Head(head) => return Ok(FoundHead::Head(head)),
                FoundHead::Newer(format) => newer = newer.or(Some(format)),
                FoundHead::Unreadable => {}
            }
        }
        Ok(newer.map_or(FoundHead::Unreadable, FoundHead::Newer))
    }
}

fn parse(head: &[u8]) -> FoundHead {
    let (checked, crc) = head.split_at(HEAD_BYTES - 4);
    let format = u32_at(checked, 8);
    if !checked.starts_with(MAGIC) {
        return FoundHead::Unreadable;
    }
    if format > FORMAT {
        return FoundHead::Newer(format);
    }
    if format == 0 || u32_at(crc, 0) != crc32c(checked) {
        return FoundHead::Unreadable;
    }
    let position = Position { commit: u64_at(checked, 40), digest: u128_at(checked, 48) };
    let store = Uuid::from_slice(&checked[16..32]).expect("sixteen bytes");
    FoundHead::Head(SegmentHead {
        store,
        before: Tip { position, chain: u32_at(checked, 12) },
        size: u64_at(checked, 32),
    })
}

/// Makes a file of zeros, and syncs it with its size.
pub(super) fn make_empty(path: &Path, size: u64) -> io::Result<File> {
    static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
    let mut file = create_private(path)?;
    let mut missing = usize::try_from(size).map_err(io::Error::other)?;
    while missing > 0 {
        let part = missing.min(ZEROS.len());
        // Written, not only allocated: the first write to allocated room changes metadata.
        file.write_all(&ZEROS[..part])?;
        missing -= part;
    }
    file.sync_all()?;
    Ok(file)
}
