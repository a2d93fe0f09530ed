//! Files: private ones, their atomic replacement, texts, and names in directories.
//!
//! An unfinished file has a temporary name that is derived from its final one, not a random one: the next attempt
//! replaces what a crash has left.

mod private;
mod text;

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use libc::O_NONBLOCK;
use rustix::{
    fs::fchown,
    process::{Uid, geteuid},
};

pub use self::{
    private::{NotPrivate, read_private, read_private_within, withdraw_from_group},
    text::{is_marked_text, read_text, without_marks},
};
use crate::privileges::as_operator;

/// The paths in a directory whose names have that prefix and suffix, sorted by name.
///
/// # Errors
/// If the directory cannot be read.
pub fn named_in(directory: &Path, begin: &str, end: &str) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with(begin) && name.ends_with(end) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

/// The size of all files in a directory and those in it; those that vanish meanwhile do not count.
#[must_use]
pub fn bytes_below(path: &Path) -> u64 {
    let entries = fs::read_dir(path).into_iter().flatten().filter_map(Result::ok);
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_below(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

/// The path with that suffix after its last name.
#[must_use]
pub fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut path = path.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// The result of a removal, where a missing file is no error.
///
/// # Errors
/// Those of the removal.
pub fn ignore_not_found(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// The directory of a path's last name.
#[must_use]
pub fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Opens a regular file for reading. Anything that could block the reader, such as a pipe, is refused.
///
/// # Errors
/// Those of the file system, and if it is not a regular file.
pub fn open_file(path: &Path) -> io::Result<File> {
    let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(io::Error::other("it is not a regular file")) }
}

/// Makes the creation, renaming and removal of files in a directory durable.
///
/// # Errors
/// Those of the file system.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Creates a file that only its owner can read, and replaces an existing file or link. The target of a link is not
/// changed.
///
/// # Errors
/// Those of the file system, and if another process creates the file meanwhile.
pub fn create_private(path: &Path) -> io::Result<File> {
    ignore_not_found(fs::remove_file(path))?;
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Writes a file that only its owner can read, atomically; it is durable when this returns.
///
/// # Errors
/// Those of the file system; a partial file is never left under that name.
pub fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    Prepared::write(path, bytes)?.put_in_place()
}

/// A private file that is complete and durable under a temporary name, until it is put in place.
#[must_use]
pub struct Prepared {
    temporary: PathBuf,
    path: PathBuf,
}

impl Prepared {
    /// Writes the file under a temporary name.
    ///
    /// # Errors
    /// Those of the file system, and if a directory has the final name.
    pub fn write(path: &Path, bytes: &[u8]) -> io::Result<Self> {
        let (temporary, owner) = (with_suffix(path, ".new"), geteuid());
        let mut file = as_operator(path, || create_beside(path, &temporary, owner))?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(Self { temporary, path: path.to_owned() })
    }

    /// Renames the file to its final name; durable when this returns.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn put_in_place(self) -> io::Result<()> {
        as_operator(&self.path, || {
            fs::rename(&self.temporary, &self.path)?;
            sync_directory(directory_of(&self.path))
        })
    }
}

/// Creates the temporary file for `path`; one that root creates belongs to the owner, who has to read it.
fn create_beside(path: &Path, temporary: &Path, owner: Uid) -> io::Result<File> {
    if path.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    let file = create_private(temporary)?;
    if owner != geteuid() {
        fchown(&file, Some(owner), None)?;
    }
    Ok(file)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;
    pub(crate) use crate::privileges::tests::is_root;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn a_private_file_replaces_a_link_or_an_open_file_and_leaves_their_contents_alone() {
        let directory = tempfile::tempdir().unwrap();
        let [path, temporary, elsewhere] =
            ["secret", "secret.new", "elsewhere"].map(|name| directory.path().join(name));
        fs::write(&elsewhere, "somebody's").unwrap();
        symlink(&elsewhere, &temporary).unwrap();

        write_private(&path, b"first").unwrap();
        fs::write(&temporary, "half of it").unwrap();
        fs::set_permissions(&temporary, fs::Permissions::from_mode(0o666)).unwrap();
        write_private(&path, b"second").unwrap();

        assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "somebody's");
        assert_eq!((fs::read_to_string(&path).unwrap(), mode(&path)), ("second".to_owned(), 0o600));
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 2, "the secret and what was elsewhere");
    }

    #[test]
    fn a_secret_with_a_name_like_a_temporary_file_is_kept_until_the_next_one_is_complete() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("secret.new");
        write_private(&path, &[1; 32]).unwrap();
        // Nothing can be written under the temporary name.
        fs::create_dir(directory.path().join("secret.new.new")).unwrap();

        write_private(&path, &[2; 32]).unwrap_err();

        assert_eq!(fs::read(&path).unwrap(), [1; 32]);
    }

    #[test]
    fn opening_a_pipe_or_a_directory_fails_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).unwrap();

        for path in [pipe.as_path(), directory.path()] {
            assert_eq!(open_file(path).unwrap_err().to_string(), "it is not a regular file");
        }
    }
}
