//! A backup as a file: written to a temporary name, synced, renamed, read back.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, BufWriter, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::{BackupError, Reader, Summary};
use crate::{clock::Timestamp, directory::named_in};

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

/// Has a backup written, makes it durable under its name, and reads it back. An older file of that name is replaced only
/// by a whole one.
///
/// # Errors
/// [`BackupFileError`]; then there is no new file.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<Summary, BackupFileError> {
    let failed = |source| BackupFileError { path: path.to_owned(), source };
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(UNFINISHED);
    let temporary = PathBuf::from(temporary);
    let saved = write_durably(&temporary, write).and_then(|()| check(&temporary).map_err(|error| error.source));
    let saved = saved
        .and_then(|summary| Ok(fs::rename(&temporary, path).and_then(|()| sync_parent(path)).map(|()| summary)?));
    saved.map_err(|source| {
        let _ = fs::remove_file(&temporary);
        failed(source)
    })
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
    remove_oldest(directory, keep).map_err(failed)?;
    Ok((path, summary))
}

fn write_durably(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut out = BufWriter::new(&file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    Ok(file.sync_all()?)
}

fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}

/// Removes what a server that was killed has left behind.
fn remove_unfinished(directory: &Path) -> io::Result<()> {
    named_in(directory, NAMES.0, UNFINISHED)?.iter().try_for_each(fs::remove_file)
}

fn remove_oldest(directory: &Path, keep: usize) -> io::Result<()> {
    // The time in the name sorts as a text.
    let made = named_in(directory, NAMES.0, NAMES.1)?;
    made.iter().take(made.len().saturating_sub(keep)).try_for_each(fs::remove_file)
}
