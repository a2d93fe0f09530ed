//! Backup files: written under a temporary name, synced, renamed, and read back.

use std::{
    fs::{self, File},
    io::{self, BufWriter, Read, Seek, Write},
    path::{Path, PathBuf},
};

use thiserror::Error;
use zstd::zstd_safe;

use super::{BackupError, Reader, Summary};
use crate::{
    files::{create_private, directory_of, sync_directory, with_suffix},
    privileges::as_operator,
};

/// The suffix of unfinished backups.
pub(super) const UNFINISHED: &str = ".unfinished";

/// A backup file that could not be written or is not valid.
#[derive(Debug, Error)]
#[error("the backup {}", path.display())]
pub struct BackupFileError {
    pub(super) path: PathBuf,
    pub(super) source: BackupError,
}

/// Reads a backup to its end to check it.
///
/// # Errors
/// [`BackupFileError`] if it is not valid.
pub fn check(path: &Path) -> Result<Summary, BackupFileError> {
    open(path).map(|(_, summary)| summary)
}

/// Opens a backup, checks it to its end, and rewinds the file.
///
/// # Errors
/// [`BackupFileError`] if it is not valid.
pub fn open(path: &Path) -> Result<(File, Summary), BackupFileError> {
    let checked = || -> Result<(File, Summary), BackupError> {
        let mut file = as_operator(path, || File::open(path))?;
        let mut reader = Reader::open(&file)?;
        while reader.next_line()?.is_some() {}
        let summary = reader.summary();
        file.rewind()?;
        Ok((file, summary))
    };
    checked().map_err(|source| BackupFileError { path: path.to_owned(), source })
}

/// Writes a backup, makes it durable under its name, and reads it back. An older backup of that name is replaced only
/// by a complete one; another file is never replaced. `write` runs with the caller's rights, file operations with those
/// of [`as_operator`].
///
/// # Errors
/// [`BackupFileError`]; then there is no new file.
pub fn save(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<Summary, BackupFileError> {
    let failed = |source| BackupFileError { path: path.to_owned(), source };
    as_operator(path, || refuse_to_replace(path)).map_err(failed)?;
    let temporary = with_suffix(path, UNFINISHED);
    let saved = write_durably(&temporary, write).and_then(|()| check(&temporary).map_err(|error| error.source));
    let saved = saved.and_then(|summary| {
        let replace = || fs::rename(&temporary, path).and_then(|()| sync_directory(directory_of(path)));
        Ok(as_operator(path, replace).map(|()| summary)?)
    });
    saved.map_err(|source| {
        let _ = as_operator(path, || fs::remove_file(&temporary));
        failed(source)
    })
}

/// Refuses to replace a file that is neither a backup nor empty, because its name may be a mistake.
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

fn write_durably(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let file = as_operator(path, || create_private(path))?;
    let mut out = BufWriter::new(&file);
    write(&mut out)?;
    out.flush()?;
    drop(out);
    Ok(file.sync_all()?)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_file_that_is_no_backup_is_not_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("backup");
        let refused = || {
            let saved = save(&path, |_| panic!("nothing is written"));
            saved.unwrap_err().source.to_string()
        };
        let message = "another file has that name";

        fs::write(&path, "a letter").unwrap();
        assert_eq!((refused().as_str(), fs::read_to_string(&path).unwrap().as_str()), (message, "a letter"));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert_eq!(refused(), message);
    }

    #[test]
    fn a_link_at_the_temporary_name_is_replaced_and_not_followed() {
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
