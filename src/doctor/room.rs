//! The free space for the store.

use std::{io, path::Path};

use rustix::fs::statvfs;

use super::{Check, Finding, Severity, bytes, file_system::existing};
use crate::{config::Settings, directory::store_in};

/// How many times the reserve is to be free, so that the server does not refuse writes soon.
const SUFFICIENT_RESERVES: u64 = 4;
/// How many files the server may need to create soon.
const SUFFICIENT_FILES: u64 = 100;

/// The space on a disk, and what of it is reserved.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    total_bytes: u64,
    available_bytes: u64,
    total_files: u64,
    available_files: u64,
    reserve_bytes: u64,
    /// What the ballast will take: nothing if it exists.
    ballast_bytes: u64,
}

impl Room {
    pub(super) fn observe(settings: &Settings) -> io::Result<Self> {
        let disk = statvfs(existing(&settings.data_dir)?)?;
        let has_ballast = store_in(&settings.data_dir).join("ballast").exists();
        Ok(Self {
            total_bytes: disk.f_blocks.saturating_mul(disk.f_frsize),
            available_bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            total_files: disk.f_files,
            available_files: disk.f_favail,
            reserve_bytes: settings.disk_reserve,
            ballast_bytes: if has_ballast { 0 } else { settings.ballast },
        })
    }

    /// What must be free for writes: the store takes at most a quarter of a small disk for each part.
    fn needed_bytes(&self) -> u64 {
        let quarter = self.total_bytes / 4;
        self.reserve_bytes.min(quarter) + self.ballast_bytes.min(quarter)
    }
}

pub(super) fn findings(path: &Path, room: &Room) -> Vec<Finding> {
    let finding = |severity, problem: String, advice: &str| {
        Finding::new(severity, Check::Room, format!("the disk of {} has {problem}", path.display()), advice)
    };
    let (free, needed) = (bytes(room.available_bytes), room.needed_bytes());
    let of_bytes = if room.available_bytes < needed {
        let problem = format!("{free} free, and writes are refused below {}", bytes(needed));
        Some(finding(Severity::Error, problem, "make room, or lower --disk-reserve and --ballast"))
    } else if room.available_bytes < needed.saturating_mul(SUFFICIENT_RESERVES) {
        let problem = format!("only {free} free; writes are refused below {}", bytes(needed));
        Some(finding(Severity::Warning, problem, "make room"))
    } else {
        None
    };
    let is_short_of_files = room.total_files > 0 && room.available_files < SUFFICIENT_FILES;
    let of_files = is_short_of_files.then(|| {
        let problem = format!("room for {} more files", room.available_files);
        finding(Severity::Error, problem, "remove files that are not needed; the disk is short of inodes, not of bytes")
    });
    of_bytes.into_iter().chain(of_files).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const SOUND: Room = Room {
        total_bytes: 8192 * MIB,
        available_bytes: 4096 * MIB,
        total_files: 1_000_000,
        available_files: 900_000,
        reserve_bytes: 64 * MIB,
        ballast_bytes: 64 * MIB,
    };

    fn severities(room: Room) -> Vec<Severity> {
        findings(Path::new("/data"), &room).into_iter().map(|finding| finding.severity).collect()
    }

    #[derive(clap::Parser)]
    struct Serve {
        #[command(flatten)]
        serve: crate::config::ServeArguments,
    }

    #[test]
    fn a_ballast_that_is_there_needs_no_room() {
        let place = tempfile::tempdir().unwrap();
        let data_dir = place.path().to_str().unwrap();
        let serve = <Serve as clap::Parser>::parse_from(["lodge", "--data-dir", data_dir, "--ballast", "64MiB"]).serve;
        let settings = serve.settings(None).unwrap();
        let needed = || Room::observe(&settings).unwrap().ballast_bytes;
        assert_eq!(needed(), 64 * MIB);

        std::fs::create_dir(store_in(place.path())).unwrap();
        std::fs::write(store_in(place.path()).join("ballast"), "").unwrap();

        assert_eq!(needed(), 0);
    }

    #[test]
    fn less_than_the_reserve_and_a_missing_ballast_is_an_error_and_less_than_four_times_a_warning() {
        let with = |available| severities(Room { available_bytes: available, ..SOUND });

        assert_eq!(with(512 * MIB), []);
        assert_eq!(with(512 * MIB - 1), [Severity::Warning]);
        assert_eq!(with(128 * MIB), [Severity::Warning]);
        assert_eq!(with(128 * MIB - 1), [Severity::Error]);
        let with_ballast = Room { available_bytes: 64 * MIB, ballast_bytes: 0, ..SOUND };
        assert_eq!(severities(with_ballast), [Severity::Warning]);
    }

    #[test]
    fn the_finding_names_the_disk_and_what_is_needed() {
        let problem = &findings(Path::new("/data"), &Room { available_bytes: MIB, ..SOUND })[0].problem;

        assert_eq!(problem, "the disk of /data has 1.0 MiB free, and writes are refused below 128.0 MiB");
    }

    #[test]
    fn of_a_small_disk_a_quarter_is_enough_for_each_part() {
        let small = Room { total_bytes: 100 * MIB, available_bytes: 50 * MIB, ..SOUND };

        assert_eq!(severities(small), [Severity::Warning]);
        assert_eq!(severities(Room { available_bytes: 49 * MIB, ..small }), [Severity::Error]);
    }

    #[test]
    fn a_disk_without_inodes_is_an_error_unless_its_file_system_counts_none() {
        assert_eq!(severities(Room { available_files: 99, ..SOUND }), [Severity::Error]);
        assert_eq!(severities(Room { available_files: 100, ..SOUND }), []);
        assert_eq!(severities(Room { total_files: 0, available_files: 0, ..SOUND }), []);
    }
}
