//! The files of scheduled backups, in a directory that others may use too.

use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

use uuid::Uuid;

use super::{
    BackupError, BackupFileError, Summary,
    file::{UNFINISHED, save},
};
use crate::{clock::Timestamp, files::named_in};

/// The suffix of scheduled backups.
const SUFFIX: &str = ".backup";

/// The scheduled backups of one store in a directory, which may have other files: `lodge-<store id>-<time>.backup`.
///
/// Only files with exactly such a name are counted or removed.
#[derive(Clone, Debug)]
pub(super) struct ScheduledBackups {
    directory: PathBuf,
    prefix: String,
}

impl ScheduledBackups {
    pub(super) fn of(directory: &Path, store: Uuid) -> Self {
        Self { directory: directory.to_owned(), prefix: format!("lodge-{}-", store.simple()) }
    }

    /// Saves a backup, and removes the store's oldest ones beyond `keep`.
    ///
    /// # Errors
    /// [`BackupFileError`]; then no older one is removed.
    pub(super) fn save(
        &self,
        now: Timestamp,
        keep: usize,
        write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
    ) -> Result<(PathBuf, Summary), BackupFileError> {
        let path = self.directory.join(format!("{}{}{SUFFIX}", self.prefix, now.in_file_name()));
        let failed = |source: io::Error| BackupFileError { path: path.clone(), source: source.into() };
        fs::create_dir_all(&self.directory).and_then(|()| self.remove_unfinished()).map_err(failed)?;
        let summary = save(&path, write)?;
        self.remove_oldest(keep, &path).map_err(failed)?;
        Ok((path, summary))
    }

    /// The time of the newest one, from its name. One after `now` does not count: the clock was set back since then.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub(super) fn newest(&self, now: Timestamp) -> io::Result<Option<Timestamp>> {
        let made = self.made(SUFFIX)?;
        Ok(made.into_iter().map(|(moment, _)| moment).filter(|moment| *moment <= now).max())
    }

    /// Removes the unfinished backups of a server that was killed.
    fn remove_unfinished(&self) -> io::Result<()> {
        self.made(&format!("{SUFFIX}{UNFINISHED}"))?.iter().try_for_each(|(_, path)| fs::remove_file(path))
    }

    fn remove_oldest(&self, keep: usize, newest: &Path) -> io::Result<()> {
        let mut made = self.made(SUFFIX)?;
        // Backups with a later date than the newest one are from before the clock was set back.
        let until_newest = made.partition_point(|(_, path)| path.as_path() <= newest);
        made.rotate_left(until_newest);
        made.iter().take(made.len().saturating_sub(keep)).try_for_each(|(_, path)| fs::remove_file(path))
    }

    /// The store's files with that suffix, oldest first.
    fn made(&self, suffix: &str) -> io::Result<Vec<(Timestamp, PathBuf)>> {
        let moment =
            |path: &Path| moment_of(path.file_name()?.to_str()?.strip_prefix(&self.prefix)?.strip_suffix(suffix)?);
        let named = named_in(&self.directory, &self.prefix, suffix)?.into_iter();
        // The time in the name sorts as a text.
        Ok(named.filter_map(|path| Some((moment(&path)?, path))).collect())
    }
}

fn moment_of(moment: &str) -> Option<Timestamp> {
    let (date, time) = moment.split_once('T')?;
    // Reverses `Timestamp::in_file_name`.
    let text = format!("{date}T{}", time.replacen('-', ":", 2).replacen('-', ".", 1));
    Timestamp::parse(&text).filter(|read| read.in_file_name() == moment)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backups_in(directory: &tempfile::TempDir) -> ScheduledBackups {
        ScheduledBackups::of(directory.path(), Uuid::from_bytes([7; 16]))
    }

    fn name_of(backups: &ScheduledBackups, moment: Timestamp) -> String {
        format!("{}{}{SUFFIX}", backups.prefix, moment.in_file_name())
    }

    #[test]
    fn the_newest_is_the_stores_last_that_is_not_from_the_future() {
        let directory = tempfile::tempdir().unwrap();
        let backups = backups_in(&directory);
        let newest = |now| backups.newest(Timestamp::from_millis(now)).unwrap();
        assert_eq!(newest(0), None);
        for at in [1_000, 1_763_918_520_007, 1_763_918_520_008] {
            fs::write(directory.path().join(name_of(&backups, Timestamp::from_millis(at))), "").unwrap();
        }
        let other = ScheduledBackups::of(directory.path(), Uuid::from_bytes([8; 16]));
        fs::write(directory.path().join(name_of(&other, Timestamp::from_millis(1_763_918_520_000))), "").unwrap();

        let moments = [999, 1_000, 1_763_918_520_006, 1_763_918_520_007, u64::MAX].map(newest);

        let expected = [None, Some(1_000), Some(1_000), Some(1_763_918_520_007), Some(1_763_918_520_008)];
        assert_eq!(moments, expected.map(|moment| moment.map(Timestamp::from_millis)));
    }

    #[test]
    fn only_scheduled_backups_of_the_same_store_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let backups = backups_in(&directory);
        let other = ScheduledBackups::of(directory.path(), Uuid::from_bytes([8; 16]));
        let moment = Timestamp::from_secs(1_000);
        let own = format!("{}{}", backups.prefix, moment.in_file_name());
        let foreign = [
            "lodge-before-upgrade.backup".to_owned(),
            format!("lodge-{}.backup", moment.in_file_name()),
            name_of(&other, moment),
            name_of(&other, moment) + UNFINISHED,
            format!("{own}-of-mine.backup"),
            format!("{}of-mine.backup", backups.prefix),
            format!("{own}.backup.copy"),
            format!("{}.backup", own.replace("1970", "+1970")),
        ];
        for name in foreign.iter().chain([&format!("{own}.backup"), &format!("{own}.backup{UNFINISHED}")]) {
            fs::write(directory.path().join(name), "").unwrap();
        }

        backups.remove_unfinished().unwrap();
        backups.remove_oldest(0, &directory.path().join(format!("{own}.backup"))).unwrap();

        let mut left: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort_unstable();
        let mut expected = foreign.map(std::ffi::OsString::from);
        expected.sort_unstable();
        assert_eq!(left, expected);
    }

    #[test]
    fn a_backup_after_the_clock_was_set_back_replaces_those_from_before_and_not_itself() {
        let directory = tempfile::tempdir().unwrap();
        let backups = backups_in(&directory);
        let name = |secs| name_of(&backups, Timestamp::from_secs(secs));
        let made = |secs| {
            let path = directory.path().join(name(secs));
            fs::write(&path, "").unwrap();
            backups.remove_oldest(2, &path).unwrap();
            let left = backups.made(SUFFIX).unwrap();
            left.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };

        assert_eq!(made(500), [name(500)]);
        assert_eq!(made(600), [name(500), name(600)]);
        assert_eq!(made(100), [name(100), name(600)]);
        assert_eq!(made(200), [name(100), name(200)]);
        assert_eq!(made(300), [name(200), name(300)]);
    }
}
