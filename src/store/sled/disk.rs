//! Free disk space: writes are refused before the disk is full, and a ballast file is deleted if a store on a full disk
//! could not be opened otherwise.

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{FallocateFlags, fallocate, statvfs},
    io::retry_on_intr,
};

use crate::{config::Settings, store::StoreError};

const BALLAST: &str = "ballast";

/// How much disk space is reserved, and in which portions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskReserve {
    /// Writes are refused when less than this is left.
    pub reserve_bytes: u64,
    /// The size of the file that is deleted when a store on a full disk must be opened.
    pub ballast_bytes: u64,
    /// The size of a segment of the journal, which takes its room before it is written.
    pub segment_bytes: u64,
}

/// The default size of a segment of the journal.
const SEGMENT_BYTES: u64 = 16 << 20;
/// A segment takes at most this part of a disk, but not less than [`MIN_SEGMENT_BYTES`].
const SEGMENTS_OF_A_DISK: u64 = 32;
const MIN_SEGMENT_BYTES: u64 = 64 << 10;

impl DiskReserve {
    /// The reserve for a disk of that many bytes: each part takes at most a quarter of a small disk.
    fn within(self, disk_bytes: u64) -> Self {
        let quarter = disk_bytes / 4;
        if self.reserve_bytes.max(self.ballast_bytes) > quarter {
            log::warn!(
                "the disk is small: {quarter} bytes of it are kept free (--disk-reserve), and as many are in the ballast \
                 (--ballast), at most"
            );
        }
        let (reserve_bytes, ballast_bytes) = (self.reserve_bytes.min(quarter), self.ballast_bytes.min(quarter));
        let segment_bytes = self.segment_bytes.min((disk_bytes / SEGMENTS_OF_A_DISK).max(MIN_SEGMENT_BYTES));
        Self { reserve_bytes, ballast_bytes, segment_bytes }
    }

    /// No reserve: for stores that one command creates and reads.
    pub const NONE: Self = Self { reserve_bytes: 0, ballast_bytes: 0, segment_bytes: SEGMENT_BYTES };
}

impl From<&Settings> for DiskReserve {
    fn from(settings: &Settings) -> Self {
        Self {
            reserve_bytes: settings.disk_reserve,
            ballast_bytes: settings.ballast,
            segment_bytes: settings.journal_segment,
        }
    }
}

/// Monitors the free space on the disk of one store.
#[derive(Debug)]
pub(in crate::store) struct DiskMonitor {
    directory: PathBuf,
    disk_reserve: DiskReserve,
    is_full: bool,
}

impl DiskMonitor {
    pub(in crate::store) fn of(directory: &Path, disk_reserve: DiskReserve) -> Self {
        let disk_reserve = disk_reserve.within(disk_bytes(directory).unwrap_or(u64::MAX));
        Self { directory: directory.to_owned(), disk_reserve, is_full: false }
    }

    /// The size of a segment of the journal on that disk.
    pub(in crate::store) fn segment_bytes(&self) -> u64 {
        self.disk_reserve.segment_bytes
    }

    /// Whether the last check found the disk almost full.
    pub(in crate::store) fn is_full(&self) -> bool {
        self.is_full
    }

    /// Deletes the ballast if the disk is too full to open the store.
    pub(in crate::store) fn make_room_to_open(&self) -> io::Result<()> {
        if self.available()? >= self.disk_reserve.ballast_bytes {
            return Ok(());
        }
        match fs::remove_file(self.ballast()) {
            Ok(()) => log::warn!("the disk is full: the ballast was deleted to open the store"),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Creates the ballast if it is missing and there is room for it.
    pub(in crate::store) fn take_ballast(&self) -> io::Result<()> {
        let has_room =
            self.available()? >= self.disk_reserve.ballast_bytes.saturating_add(self.disk_reserve.reserve_bytes);
        if self.has_ballast() || !has_room {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.ballast())?;
        let bytes = self.disk_reserve.ballast_bytes;
        let allocated = retry_on_intr(|| fallocate(&file, FallocateFlags::empty(), 0, bytes));
        allocated
            .map_err(io::Error::from)
            .or_else(|error| set_length(&file, bytes, error))
            .and_then(|()| file.sync_all())
            .or_else(|error| fs::remove_file(self.ballast()).and(Err(error)))
    }

    /// Refuses a write while the disk is almost full, and logs when that begins and ends.
    pub(in crate::store) fn check(&mut self) -> Result<(), StoreError> {
        let is_full = self.is_short();
        if is_full != self.is_full {
            self.is_full = is_full;
            if is_full {
                log::error!("the disk is almost full: writes are refused until there is room again");
            } else {
                log::warn!("there is room on the disk again: writes are accepted");
            }
        }
        if is_full { Err(StoreError::DiskFull) } else { Ok(()) }
    }

    fn is_short(&self) -> bool {
        let Ok(available) = self.available() else { return false };
        if available < self.disk_reserve.reserve_bytes {
            return true;
        }
        // A deleted ballast must be restored before the space is used for anything else.
        !self.has_ballast() && (self.take_ballast().is_err() || !self.has_ballast())
    }

    fn has_ballast(&self) -> bool {
        self.disk_reserve.ballast_bytes == 0 || self.ballast().exists()
    }

    fn ballast(&self) -> PathBuf {
        self.directory.join(BALLAST)
    }

    fn available(&self) -> io::Result<u64> {
        let disk = statvfs(&self.directory)?;
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

/// The size of the disk that the directory is on, or will be on.
fn disk_bytes(directory: &Path) -> io::Result<u64> {
    let existing = directory.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(directory);
    let disk = statvfs(existing)?;
    Ok(disk.f_blocks.saturating_mul(disk.f_frsize))
}

/// Sets the file's length after `fallocate` has failed, unless the disk is full. Where `fallocate` is not supported, it
/// fails with various errors. The file may then be sparse, and deleting it may free nothing.
fn set_length(file: &File, bytes: u64, error: io::Error) -> io::Result<()> {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => Err(error),
        _ => file.set_len(bytes),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::*;

    #[test]
    fn the_reserve_takes_a_part_of_a_small_disk_only() {
        let wanted = DiskReserve { reserve_bytes: 64, ballast_bytes: 20, segment_bytes: 16 << 20 };
        let small =
            |reserve_bytes, ballast_bytes| DiskReserve { reserve_bytes, ballast_bytes, segment_bytes: 64 << 10 };
        assert_eq!(wanted.within(100), small(25, 20));
        assert_eq!(wanted.within(256), small(64, 20));
        assert_eq!(wanted.within(0), small(0, 0));
        assert_eq!(wanted.within(64 << 20), DiskReserve { segment_bytes: 2 << 20, ..wanted });
        assert_eq!(wanted.within(1 << 30), wanted);
    }

    #[test]
    fn a_ballast_is_created_without_fallocate_but_not_on_a_full_disk() {
        let file = tempfile::tempfile().unwrap();
        for errno in [Errno::OPNOTSUPP, Errno::NOSYS, Errno::INVAL, Errno::PERM, Errno::INTR] {
            file.set_len(0).unwrap();
            set_length(&file, 4096, errno.into()).unwrap();
            assert_eq!(file.metadata().unwrap().len(), 4096, "{errno}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT, Errno::FBIG] {
            assert_eq!(set_length(&file, 8192, errno.into()).unwrap_err().raw_os_error(), Some(errno.raw_os_error()));
        }
    }
}
