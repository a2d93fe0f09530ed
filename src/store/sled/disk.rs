//! Room on the disk: writes end before the disk does, and a ballast is given up so that a full disk can be opened.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::store::StoreError;

const BALLAST: &str = "ballast";

/// How much room is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DiskReserve {
    /// Writes are refused when less than this is left.
    pub reserve_bytes: u64,
    /// The size of a file that is given up when a full disk must be opened.
    pub ballast_bytes: u64,
}

impl DiskReserve {
    /// No room is kept: for stores that are made and read by one command.
    pub const NONE: Self = Self { reserve_bytes: 0, ballast_bytes: 0 };
}

/// Watches the room on the disk of one store.
#[derive(Debug)]
pub(in crate::store) struct DiskMonitor {
    directory: PathBuf,
    disk_reserve: DiskReserve,
    is_full: bool,
}

impl DiskMonitor {
    pub(in crate::store) fn of(directory: &Path, disk_reserve: DiskReserve) -> Self {
        Self { directory: directory.to_owned(), disk_reserve, is_full: false }
    }

    /// Gives up the ballast if the disk is so full that the store could not be opened.
    pub(in crate::store) fn make_room_to_open(&self) -> io::Result<()> {
        if self.available()? >= self.disk_reserve.ballast_bytes {
            return Ok(());
        }
        match fs::remove_file(self.ballast()) {
            Ok(()) => log::warn!("the disk is full: the ballast was given up to open the store"),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        Ok(())
    }

    /// Makes the ballast if it is not there and there is room for it.
    pub(in crate::store) fn take_ballast(&self) -> io::Result<()> {
        let has_room =
            self.available()? >= self.disk_reserve.ballast_bytes.saturating_add(self.disk_reserve.reserve_bytes);
        if self.has_ballast() || !has_room {
            return Ok(());
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(self.ballast())?;
        let allocated = fallocate(&file, FallocateFlags::empty(), 0, self.disk_reserve.ballast_bytes);
        match allocated {
            Ok(()) => file.sync_all(),
            Err(rustix::io::Errno::OPNOTSUPP) => file.set_len(self.disk_reserve.ballast_bytes),
            Err(error) => fs::remove_file(self.ballast()).and(Err(error.into())),
        }
    }

    /// Refuses a write while there is too little room, and tells the log when that begins and ends.
    pub(in crate::store) fn check(&mut self) -> Result<(), StoreError> {
        let is_full = self.is_short();
        if is_full != self.is_full {
            self.is_full = is_full;
            if is_full {
                log::error!("the disk is almost full: nothing is written until there is room again");
            } else {
                log::warn!("there is room on the disk again: writing goes on");
            }
        }
        if is_full { Err(StoreError::DiskFull) } else { Ok(()) }
    }

    fn is_short(&self) -> bool {
        let Ok(available) = self.available() else { return false };
        if available < self.disk_reserve.reserve_bytes {
            return true;
        }
        // A ballast that was given up must be back before the room is used for anything else.
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
