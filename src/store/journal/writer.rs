//! Appends to a journal.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Instant,
};

use crc32c::crc32c;
use uuid::Uuid;

use super::{
    Group, Groups, Inspection, JournalError, Options, Position, Tip,
    cut::cut_off,
    prepare::{NEXT, Preparer},
    record::{self, END},
    segment::{HEAD_PAGE_BYTES, SegmentFile, SegmentHead, make_empty},
};
use crate::{
    files::{ignore_not_found, sync_directory},
    metrics::{Histogram, SECONDS},
};

/// The size of the first segment of a journal; each further one has twice the size of the one before.
const FIRST_BYTES: u64 = 1 << 20;
/// The minimum size of a segment.
const MIN_BYTES: u64 = 16 << 10;
/// How much memory is kept for the next record.
const KEPT_BYTES: usize = 1 << 20;

/// A journal that is open for writing.
pub struct Journal {
    directory: PathBuf,
    store: Uuid,
    options: Options,
    segments: Vec<(SegmentFile, SegmentHead)>,
    file: File,
    /// Where the next record is written.
    at: u64,
    last: Tip,
    next: Preparer,
    record: Vec<u8>,
    has_failed: bool,
    sync_durations: Arc<Histogram>,
}

/// What was done to open a journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opened {
    /// The copy of an incomplete last record, which was cut off.
    pub cut: Option<PathBuf>,
}

impl Journal {
    /// Begins a journal in a directory, which is created if it is missing.
    ///
    /// # Errors
    /// [`JournalError::Io`] if it cannot be written.
    pub fn create(directory: &Path, store: Uuid, after: Position, options: Options) -> Result<Self, JournalError> {
        fs::create_dir_all(directory)?;
        let before = Tip { position: after, chain: crc32c(store.as_bytes()) };
        let head = SegmentHead { store, before, size: segment_bytes(options, FIRST_BYTES) };
        let file = SegmentFile::of(directory, after.commit.saturating_add(1));
        let unfinished = directory.join(NEXT);
        let first = make_empty(&unfinished, head.size)?;
        first.write_all_at(&head.page(), 0)?;
        first.sync_all()?;
        fs::rename(&unfinished, &file.path)?;
        sync_directory(directory)?;
        Ok(Self::of(directory, options, vec![(file, head)], first, HEAD_PAGE_BYTES, before))
    }

    /// Opens a journal, reads all of it, and cuts off an incomplete last record, of which a copy is kept.
    ///
    /// # Errors
    /// [`JournalError`] if it is missing, damaged, from a newer server, or cannot be read or written.
    pub fn open(directory: &Path, options: Options) -> Result<(Self, Opened), JournalError> {
        let inspection = Inspection::of(directory)?;
        if let Some(damage) = inspection.damage() {
            return Err(JournalError::Damaged(Box::new(damage)));
        }
        ignore_not_found(fs::remove_file(directory.join(NEXT)))?;
        let Inspection { segments, heads, tip, end, tail, .. } = inspection;
        let segments: Vec<_> = segments.into_iter().zip(heads.into_iter().flatten()).collect();
        let missing = || JournalError::Missing(directory.to_owned());
        let ((current, _), tip) = segments.last().zip(tip).ok_or_else(missing)?;
        let file = OpenOptions::new().read(true).write(true).open(&current.path)?;
        let cut = tail.map(|tail| cut_off(directory, &file, tail)).transpose()?;
        if end > HEAD_PAGE_BYTES {
            // The last record may lack a part of its mark.
            file.write_all_at(&END, end - END.len() as u64)?;
        }
        // What an ended process has written may not have been synced.
        file.sync_data()?;
        sync_directory(directory)?;
        Ok((Self::of(directory, options, segments, file, end, tip), Opened { cut }))
    }

    /// Reads a journal without changing anything.
    ///
    /// # Errors
    /// As [`Inspection::of`].
    pub fn inspect(directory: &Path) -> Result<Inspection, JournalError> {
        Inspection::of(directory)
    }

    /// Appends a group; it is durable when this returns.
    ///
    /// # Errors
    /// Those of the file system, and if an earlier append has failed. Then it is not known whether the group is durable.
    pub fn append(&mut self, group: &Group<'_>) -> io::Result<()> {
        if self.has_failed {
            return Err(io::Error::other("an earlier append to the journal failed"));
        }
        // Until it has succeeded: a sync that failed once must not be repeated.
        self.has_failed = true;
        self.write(group)?;
        self.has_failed = false;
        Ok(())
    }

    /// The groups after that commit, up to the last one as of now.
    #[must_use]
    pub fn groups_after(&self, commit: u64) -> Groups {
        let segments: Vec<_> = self.segments.iter().map(|(file, _)| file.clone()).collect();
        Groups::of(self.store, segments, (0, HEAD_PAGE_BYTES), commit..=self.last.position.commit)
    }

    /// The digest of all rows after that commit, `None` if the journal does not have it.
    ///
    /// # Errors
    /// [`JournalError`] if the journal cannot be read.
    pub fn digest_at(&self, commit: u64) -> Result<Option<u128>, JournalError> {
        let bounds = self.segments.iter().map(|(_, head)| head.before.position).chain([self.last.position]);
        if let Some(position) = bounds.into_iter().find(|position| position.commit == commit) {
            return Ok(Some(position.digest));
        }
        if commit <= self.first().commit {
            return Ok(None);
        }
        self.groups_after(commit - 1).next().map(|group| Ok(group?.digest)).transpose()
    }

    /// Removes the segments that have no commit after that one, except the current one.
    ///
    /// # Errors
    /// Those of the file system; then the rest stays.
    pub fn remove_up_to(&mut self, commit: u64) -> io::Result<()> {
        while self.segments.get(1).is_some_and(|(_, next)| next.before.position.commit <= commit) {
            ignore_not_found(fs::remove_file(&self.segments[0].0.path))?;
            // In this order, so that an interruption leaves no gap.
            sync_directory(&self.directory)?;
            self.segments.remove(0);
        }
        Ok(())
    }

    /// The id of the store.
    #[must_use]
    pub fn store(&self) -> Uuid {
        self.store
    }

    /// The position before the first record.
    #[must_use]
    pub fn first(&self) -> Position {
        self.segments[0].1.before.position
    }

    /// The position after the last record.
    #[must_use]
    pub fn last(&self) -> Position {
        self.last.position
    }

    /// The size of all files, with the one that is prepared.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.segments.iter().map(|(_, head)| head.size).sum::<u64>() + self.next.size()
    }

    /// The size of the records in segments that begin after that commit.
    #[must_use]
    pub fn bytes_after(&self, commit: u64) -> u64 {
        let after = self.segments.iter().filter(|(file, _)| file.first > commit);
        let free = self.size().saturating_sub(self.at);
        after.map(|(_, head)| head.size).sum::<u64>().saturating_sub(free)
    }

    /// How long the syncs of appends took.
    #[must_use]
    pub fn sync_durations(&self) -> Arc<Histogram> {
        Arc::clone(&self.sync_durations)
    }
}

impl Journal {
    fn of(
        directory: &Path,
        options: Options,
        segments: Vec<(SegmentFile, SegmentHead)>,
        file: File,
        at: u64,
        last: Tip,
    ) -> Self {
        Self {
            directory: directory.to_owned(),
            store: segments[0].1.store,
            options,
            segments,
            file,
            at,
            last,
            next: Preparer::of(directory),
            record: Vec::new(),
            has_failed: false,
            sync_durations: Arc::new(Histogram::new(&SECONDS)),
        }
    }

    /// The size of the current segment.
    fn size(&self) -> u64 {
        self.segments.last().map_or(0, |(_, head)| head.size)
    }

    fn write(&mut self, group: &Group<'_>) -> io::Result<()> {
        if Some(group.commit) != self.last.position.commit.checked_add(1) {
            return Err(io::Error::other("the group does not follow the last one"));
        }
        record::encode(&mut self.record, self.store, group)?;
        let length = self.record.len() as u64;
        if self.at + length > self.size() {
            self.write_to_next(length)?;
        } else {
            self.write_here()?;
        }
        self.at += length;
        self.last.position = Position { commit: group.commit, digest: group.digest };
        self.record.truncate(KEPT_BYTES);
        self.record.shrink_to(KEPT_BYTES);
        if self.at > self.size() / 2 {
            self.next.begin(segment_bytes(self.options, self.size().saturating_mul(2)));
        }
        Ok(())
    }

    fn write_here(&mut self) -> io::Result<()> {
        self.last.chain = record::seal(&mut self.record, self.at, self.last.chain);
        self.file.write_all_at(&self.record, self.at)?;
        self.sync()
    }

    /// Writes the record as the first one of the next segment, which gets its name once both are durable.
    fn write_to_next(&mut self, length: u64) -> io::Result<()> {
        let usual = segment_bytes(self.options, self.size().saturating_mul(2));
        let (next, size) = self.next.take(usual.max(HEAD_PAGE_BYTES + length))?;
        let head = SegmentHead { store: self.store, before: self.last, size };
        let file = SegmentFile::of(&self.directory, head.before.position.commit + 1);
        (self.file, self.at) = (next, HEAD_PAGE_BYTES);
        self.file.write_all_at(&head.page(), 0)?;
        self.write_here()?;
        fs::rename(self.next.path(), &file.path)?;
        sync_directory(&self.directory)?;
        self.segments.push((file, head));
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let began = Instant::now();
        self.file.sync_data()?;
        self.sync_durations.record_duration(began.elapsed());
        Ok(())
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.directory.display())
    }
}

/// The size of a segment for which that size is wanted.
fn segment_bytes(options: Options, wanted: u64) -> u64 {
    wanted.min(options.segment_bytes).max(MIN_BYTES)
}
