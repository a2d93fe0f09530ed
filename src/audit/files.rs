//! The files that hold the log: JSON Lines, each file named by its first entry.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    time::Duration,
};

use super::{
    AuditError,
    line::line,
    parsed_line::{MAX_LINE, ParsedLine},
};
use crate::{
    clock::Timestamp,
    config::Settings,
    domain::AuditEntry,
    error_chain::chain,
    files::{named_in, sync_directory},
    store::audit::LogPosition,
};

/// The beginning and the end of a file's name; the id of its first entry is in between.
const NAMES: (&str, &str) = ("audit-", ".jsonl");

/// When the next file is begun, and how many files are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// The size at which the next file is begun.
    pub size_bytes: u64,
    /// The age of a file's first entry at which the next file is begun.
    pub age: Duration,
    /// How many files are kept; the oldest are removed.
    pub keep: usize,
}

impl From<&Settings> for RetentionPolicy {
    fn from(settings: &Settings) -> Self {
        Self { size_bytes: settings.audit_file_size, age: settings.audit_file_age, keep: settings.audit_keep }
    }
}

/// The files of one log, for writing.
#[derive(Debug)]
pub struct Files {
    directory: PathBuf,
    policy: RetentionPolicy,
    current: Option<Current>,
    last: LogPosition,
}

#[derive(Debug)]
struct Current {
    path: PathBuf,
    file: File,
    length: u64,
    began: Timestamp,
}

/// Where the audit log's files are in a data directory.
#[must_use]
pub fn directory_in(data: &Path) -> PathBuf {
    data.join("audit")
}

/// Creates the directory if it is missing, and closes it to other users.
pub(super) fn create_directory(directory: &Path) -> io::Result<()> {
    if directory.exists() { Ok(()) } else { DirBuilder::new().mode(0o700).create(directory) }
}

impl Files {
    /// Opens the files in a directory, which is created if it is missing and closed to other users. If their last entry
    /// cannot be read, they continue in a new file after `exported`, the last entry that is known to be in them.
    ///
    /// # Errors
    /// [`AuditError::Io`] if they cannot be used.
    pub fn open(directory: &Path, policy: RetentionPolicy, exported: LogPosition) -> Result<Self, AuditError> {
        let failed = |source| AuditError::Io { path: directory.to_owned(), source };
        create_directory(directory).map_err(failed)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        let mut files = Self { directory: directory.to_owned(), policy, current: None, last: LogPosition::default() };
        let mut names = names(directory).map_err(failed)?;
        while let Some(path) = names.pop() {
            match last_in(&path) {
                // A crash interrupted the first line.
                Ok(None) => fs::remove_file(&path).map_err(|source| AuditError::Io { path, source })?,
                Ok(Some(last)) => {
                    files.resume(path, &last)?;
                    break;
                }
                Err(error) => {
                    log::error!("the audit log continues in a new file: {}", chain(&error));
                    files.last = exported;
                    break;
                }
            }
        }
        Ok(files)
    }

    /// Their directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The last entry in them, id 0 if there is none.
    #[must_use]
    pub fn last(&self) -> LogPosition {
        self.last
    }

    /// Appends entries; they are durable when this returns.
    ///
    /// # Errors
    /// [`AuditError::Io`]; then the entries up to [`Files::last`] are written, and no part of another one.
    pub fn append(&mut self, entries: &[AuditEntry]) -> Result<(), AuditError> {
        let mut waiting = String::new();
        let mut last = self.last;
        for entry in entries {
            let length = self.current.as_ref().map_or(0, |current| current.length) + waiting.len() as u64;
            if self.current.as_ref().is_some_and(|current| current.is_over(&self.policy, length, entry.event.at)) {
                self.write(&waiting, last)?;
                waiting.clear();
                self.current = None;
            }
            if self.current.is_none() {
                self.begin(entry)?;
            }
            waiting.push_str(&line(entry));
            waiting.push('\n');
            last = LogPosition::after(entry);
        }
        self.write(&waiting, last)
    }

    /// The files that are to be removed, the oldest first, each with its last entry.
    ///
    /// # Errors
    /// [`AuditError::Io`] if they cannot be read.
    pub fn excess(&self) -> Result<Vec<(PathBuf, LogPosition)>, AuditError> {
        let failed = |source| AuditError::Io { path: self.directory.clone(), source };
        let names = names(&self.directory).map_err(failed)?;
        let excess = names.len().saturating_sub(self.policy.keep);
        let with_last = |path: PathBuf| {
            last_in(&path).map(|last| (path, last.map_or_else(LogPosition::default, |last| last.position)))
        };
        names.into_iter().take(excess).map(with_last).collect()
    }

    /// Removes a file.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn remove(&mut self, path: &Path) -> Result<(), AuditError> {
        fs::remove_file(path).map_err(|source| AuditError::Io { path: path.to_owned(), source })
    }

    /// Continues a file, and cuts off a partial line that a crash has left at its end.
    fn resume(&mut self, path: PathBuf, last: &Last) -> Result<(), AuditError> {
        let failed = |source| AuditError::Io { path: path.clone(), source };
        let began = first_moment(&path).map_err(failed)?;
        let file = OpenOptions::new().append(true).open(&path).map_err(failed)?;
        let length = last.length;
        file.set_permissions(fs::Permissions::from_mode(0o600)).and_then(|()| file.set_len(length)).map_err(failed)?;
        self.last = last.position;
        self.current = Some(Current { path, file, length, began });
        Ok(())
    }

    fn begin(&mut self, first: &AuditEntry) -> Result<(), AuditError> {
        let path = self.directory.join(format!("{}{:012}{}", NAMES.0, first.id, NAMES.1));
        let failed = |source| AuditError::Io { path: path.clone(), source };
        let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path).map_err(failed)?;
        sync_directory(&self.directory).map_err(failed)?;
        self.current = Some(Current { path, file, length: 0, began: first.event.at });
        Ok(())
    }

    fn write(&mut self, lines: &str, last: LogPosition) -> Result<(), AuditError> {
        let Some(current) = self.current.as_mut().filter(|_| !lines.is_empty()) else { return Ok(()) };
        let written = current.file.write_all(lines.as_bytes()).and_then(|()| current.file.sync_data());
        if let Err(source) = written {
            let path = current.path.clone();
            // A partial line that cannot be cut off now is cut off when the file is continued.
            if current.file.set_len(current.length).is_err() {
                self.current = None;
            }
            return Err(AuditError::Io { path, source });
        }
        current.length += lines.len() as u64;
        self.last = last;
        Ok(())
    }
}

impl Current {
    fn is_over(&self, policy: &RetentionPolicy, length: u64, now: Timestamp) -> bool {
        let age = now.as_millis().saturating_sub(self.began.as_millis());
        length > 0 && (length >= policy.size_bytes || u128::from(age) >= policy.age.as_millis())
    }
}

/// The files of a log, the oldest first.
pub(super) fn names(directory: &Path) -> io::Result<Vec<PathBuf>> {
    // The number in the name has a fixed length, so that names sort as numbers do.
    named_in(directory, NAMES.0, NAMES.1)
}

/// The last entry of a file.
pub(super) struct Last {
    pub(super) position: LogPosition,
    /// The length of the file up to the end of that entry.
    length: u64,
}

/// The last entry of a file; `None` if there is none.
pub(super) fn last_in(path: &Path) -> Result<Option<Last>, AuditError> {
    let read = || -> io::Result<Option<Last>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        let from = length.saturating_sub(MAX_LINE);
        file.seek(SeekFrom::Start(from))?;
        let mut tail = Vec::new();
        file.take(MAX_LINE).read_to_end(&mut tail)?;
        let Some(end) = tail.iter().rposition(|byte| *byte == b'\n') else { return Ok(None) };
        let begin = tail[..end].iter().rposition(|byte| *byte == b'\n').map_or(0, |before| before + 1);
        let line = ParsedLine::parse(&tail[begin..end]);
        let line = line.ok_or_else(|| io::Error::other("its last line is not an entry"))?;
        Ok(Some(Last { position: line.position(), length: from + end as u64 + 1 }))
    };
    read().map_err(|source| AuditError::Io { path: path.to_owned(), source })
}

/// The time of a file's first entry; 1970 if it cannot be read.
fn first_moment(path: &Path) -> io::Result<Timestamp> {
    let mut first = Vec::new();
    BufReader::new(File::open(path)?.take(MAX_LINE)).read_until(b'\n', &mut first)?;
    let line = first.strip_suffix(b"\n").and_then(ParsedLine::parse);
    Ok(line.map_or(Timestamp::from_millis(0), |line| line.summary.at))
}
