//! A backup as a file: written to a temporary name, synced, renamed, read back.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use thiserror::Error;
use zstd::zstd_safe;

use super::{BackupError, Reader, Summary};
use crate::{
    clock::Timestamp,
    files::{create_private, directory_of, named_in, sync_directory, with_suffix},
};

/// What scheduled backups are called; the time of their making stands between.
const NAMES: (&str, &str) = ("lodge-", ".backup");

/// What a backup's name ends with until it is whole.
const UNFINISHED: &str = ".unfinished";

/// A backup file that could not be made or is not sound.
#[derive(Debug, Error)]
#[error("the backup {}", path.display())]
pub struct BackupFileError {
    path: PathBuf,
    source: BackupError,
}

/// Reads a backup to its end.
///
/// # Errors
/// [`BackupFileError`] if it is not sound.
pub fn check(path: &Path) -> Result<Summary, BackupFileError> {
    let checked = || -> Result<Summary, BackupError> {
        let mut reader = Reader::open(BufReader::new(File::open(path)?))?;
        while reader.next_line()?.is_some() {}
        Ok(reader.summary())
    };
    checked().map_err(|source| BackupFileError { path: path.to_owned(), source })
}

/// Has a backup written, makes it durable under its name, and reads it back. An older one of that name is replaced only by a
/// whole one, and what is no backup never.
///
/// # Errors
/// [`BackupFileError`]; then there is no new file.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<Summary, BackupFileError> {
    let failed = |source| BackupFileError { path: path.to_owned(), source };
    refuse_to_replace(path).map_err(failed)?;
    let temporary = with_suffix(path, UNFINISHED);
    let saved = write_durably(&temporary, write).and_then(|()| check(&temporary).map_err(|error| error.source));
    let saved = saved.and_then(|summary| {
        Ok(fs::rename(&temporary, path).and_then(|()| sync_directory(directory_of(path))).map(|()| summary)?)
    });
    saved.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
}

/// A name is easily mistaken, and whatever had it would be gone. An empty file holds a place.
fn refuse_to_replace(path: &Path) -> Result<(), BackupError> {
    let metadata = match fs::metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        metadata => metadata?,
    };
    let mut begin = Vec::new();
    if metadata.is_file() {
        File::open(path)?.take(4).read_to_end(&mut begin)?;
    }
    let may_be_a_backup = metadata.is_file() && (begin.is_empty() || begin == zstd_safe::MAGICNUMBER.to_le_bytes());
    if may_be_a_backup { Ok(()) } else { Err(BackupError::InTheWay) }
}

/// Saves a backup in a directory under a name with the time in it, and removes the oldest ones beyond `keep`.
///
/// # Errors
/// [`BackupFileError`]; then no older one is removed.
pub fn save_in(
    directory: &Path,
    now: Timestamp,
    keep: usize,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<(PathBuf, Summary), BackupFileError> {
    let path = directory.join(format!("{}{}{}", NAMES.0, now.in_file_name(), NAMES.1));
    let failed = |source: io::Error| BackupFileError { path: path.clone(), source: source.into() };
    fs::create_dir_all(directory).and_then(|()| remove_unfinished(directory)).map_err(failed)?;
    let summary = save(&path, write)?;
    remove_oldest(directory, keep, &path).map_err(failed)?;
    Ok((path, summary))
}

/// The moment of the newest backup that was saved in the directory, as its name tells it. One from after `now` does not count:
/// the clock has been set back since.
///
/// # Errors
/// If the directory cannot be read.
pub(super) fn newest_in(directory: &Path, now: Timestamp) -> io::Result<Option<Timestamp>> {
    let made = named_in(directory, NAMES.0, NAMES.1)?;
    Ok(made.iter().filter_map(|path| moment_of(path)).filter(|moment| *moment <= now).max())
}

fn moment_of(path: &Path) -> Option<Timestamp> {
    let moment = path.file_name()?.to_str()?.strip_prefix(NAMES.0)?.strip_suffix(NAMES.1)?;
    let (date, time) = moment.split_once('T')?;
    // As it was before `Timestamp::in_file_name` made it part of a name.
    let text = format!("{date}T{}", time.replacen('-', ":", 2).replacen('-', ".", 1));
    let since_1970 = humantime::parse_rfc3339(&text).ok()?.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    since_1970.as_millis().try_into().ok().map(Timestamp::from_millis)
}

fn write_durably(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let file = create_private(path)?;
    let mut out = BufWriter::new(&file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    Ok(file.sync_all()?)
}

/// Removes what a server that was killed has left behind.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    named_in(directory, NAMES.0, UNFINISHED)?.iter().try_for_each(fs::remove_file)
}

fn remove_oldest(directory: &Path, keep: usize, newest: &Path) -> io::Result<()> {
    // The time in the name sorts as a text.
    let mut made = named_in(directory, NAMES.0, NAMES.1)?;
    // What is dated later than the newest is from before the clock was set back.
    let until_newest = made.partition_point(|path| path.as_path() <= newest);
    made.rotate_left(until_newest);
    made.iter().take(made.len().saturating_sub(keep)).try_for_each(fs::remove_file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn the_newest_is_the_last_that_is_not_from_the_future() {
        let directory = tempfile::tempdir().unwrap();
        let newest = |now| newest_in(directory.path(), Timestamp::from_millis(now)).unwrap();
        assert_eq!(newest(0), None);
        for name in [1_000, 1_763_918_520_007, 1_763_918_520_008].map(|at| Timestamp::from_millis(at).in_file_name()) {
            fs::write(directory.path().join(format!("lodge-{name}.backup")), "").unwrap();
        }
        for name in ["lodge-.backup", "lodge-of-mine.backup", "lodge-2026-11-23T17-22-00-000Z.backup.unfinished"] {
            fs::write(directory.path().join(name), "").unwrap();
        }

        let moments = [999, 1_000, 1_763_918_520_007, u64::MAX].map(newest);

        let expected = [None, Some(1_000), Some(1_763_918_520_007), Some(1_763_918_520_008)];
        assert_eq!(moments, expected.map(|moment| moment.map(Timestamp::from_millis)));
    }

    #[test]
    fn a_backup_after_the_clock_was_set_back_pushes_out_those_from_before_and_not_itself() {
        let directory = tempfile::tempdir().unwrap();
        let name = |secs| format!("lodge-{}.backup", Timestamp::from_secs(secs).in_file_name());
        let made = |secs| {
            let path = directory.path().join(name(secs));
            fs::write(&path, "").unwrap();
            remove_oldest(directory.path(), 2, &path).unwrap();
            let left = named_in(directory.path(), NAMES.0, NAMES.1).unwrap();
            left.iter().map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };

        assert_eq!(made(500), [name(500)]);
        assert_eq!(made(600), [name(500), name(600)]);
        assert_eq!(made(100), [name(100), name(600)]);
        assert_eq!(made(200), [name(100), name(200)]);
        assert_eq!(made(300), [name(200), name(300)]);
    }

    #[test]
    fn what_is_no_backup_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let refused = || {
            let saved = save(&path, |_| panic!("nothing is written"));
            saved.unwrap_err().source.to_string()
        };
        let told = "something that is no backup has that name";

        fs::write(&path, "a letter").unwrap();
        assert_eq!((refused().as_str(), fs::read_to_string(&path).unwrap().as_str()), (told, "a letter"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(refused(), told);
    }

    #[test]
    fn what_lies_where_a_backup_is_written_is_replaced_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [unfinished, elsewhere] = ["unfinished", "elsewhere"].map(|name| directory.path().join(name));
        fs::write(&elsewhere, "somebody's").unwrap();
        let written = |bytes: &'static [u8]| {
            write_durably(&unfinished, |out| Ok(out.write_all(bytes)?)).unwrap();
            let mode = fs::symlink_metadata(&unfinished).unwrap().permissions().mode() & 0o777;
            (fs::read(&unfinished).unwrap(), mode)
        };

        symlink(&elsewhere, &unfinished).unwrap();
        assert_eq!(written(b"first"), (b"first".to_vec(), 0o600));
        fs::set_permissions(&unfinished, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(written(b"second"), (b"second".to_vec(), 0o600));

        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
    }
}
