//! Reads the whole log: its files, and the entries that are only in the store so far.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use super::{
    AuditError, Chain, Filter,
    files::{last_in, names},
    line::line,
    parsed_line::{EntrySummary, MAX_LINE, ParsedLine},
    seal::{PreparedSeal, Seal},
};
use crate::{
    domain::{AuditEntry, Page},
    logging::printable,
    store::{
        Slice, StoreError,
        audit::{self, AuditState, LogPosition, visit_after},
        table::ReadRows,
    },
};

/// The files of a log as they were when it was opened; later writes and removals do not affect it.
#[derive(Debug, Default)]
pub struct LogReader {
    directory: PathBuf,
    files: Vec<Opened>,
    seal: Option<Seal>,
}

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    length: u64,
}

impl LogReader {
    /// Opens the files in a directory, which may have none.
    ///
    /// # Errors
    /// [`AuditError::Io`] if one cannot be opened.
    pub fn of(directory: &Path) -> Result<Self, AuditError> {
        let found = match names(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            found => found.map_err(|source| AuditError::Io { path: directory.to_owned(), source })?,
        };
        let files = found.into_iter().map(Opened::open).collect::<Result<_, _>>()?;
        Ok(Self { directory: directory.to_owned(), files, seal: Seal::open(directory)? })
    }

    /// The seal of the entries before the current key.
    pub(super) fn seal(&self) -> Option<&Seal> {
        self.seal.as_ref()
    }

    /// Seals all existing entries under a key that is to begin after them. Reads the whole log.
    ///
    /// # Errors
    /// [`AuditError`] if the log cannot be read or the seal cannot be written.
    pub fn prepare_seal(&self, chain: &Chain, rows: &impl ReadRows) -> Result<PreparedSeal, AuditError> {
        let AuditState { last, pruned, .. } = audit::state(rows)?.unwrap_or_default();
        let seal = PreparedSeal::begin(&self.directory)?;
        let mut sealed = Ok(());
        let mut add = |id, line: &[u8]| {
            sealed = if id <= last.id { seal.add(chain, id, line) } else { Ok(()) };
            if sealed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        visit_after(rows, pruned.id, &mut |entry| add(entry.id, line(&entry).as_bytes()))?;
        self.lines(&mut |_, line| {
            ParsedLine::parse(line).map_or(ControlFlow::Continue(()), |parsed| add(parsed.summary.id, line))
        })?;
        sealed.and_then(|()| seal.finish())
    }

    /// The last entry in the files.
    ///
    /// # Errors
    /// [`AuditError::Io`] if the file that should have it cannot be read.
    pub(super) fn last(&self) -> Result<Option<LogPosition>, AuditError> {
        // The last file may have no whole line, if a crash interrupted its first one.
        let last = self.files.iter().rev().find_map(|opened| last_in(&opened.path).transpose()).transpose()?;
        Ok(last.map(|last| last.position))
    }

    /// The position from which the files can be verified: the start if they begin with entry 1, otherwise their first
    /// entry, which only its missing predecessor could verify.
    ///
    /// # Errors
    /// [`AuditError::Io`] if the first file cannot be read.
    pub(super) fn begin(&self) -> Result<Option<LogPosition>, AuditError> {
        let mut first = None;
        self.lines(&mut |_, line| {
            first = ParsedLine::parse(line).map(|line| line.position());
            ControlFlow::Break(())
        })?;
        Ok(first.map(|first| if first.id == 1 { LogPosition::default() } else { first }))
    }

    /// Visits the lines of the files, each with its file and without its line break.
    ///
    /// # Errors
    /// [`AuditError::Io`] if one cannot be read.
    pub(super) fn lines(&self, visit: &mut dyn FnMut(&Path, &[u8]) -> ControlFlow<()>) -> Result<(), AuditError> {
        for Opened { path, file, length } in &self.files {
            let failed = |source| AuditError::Io { path: path.clone(), source };
            let mut file = file;
            file.rewind().map_err(failed)?;
            let mut lines = BufReader::new(file.take(*length));
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
                // The server was killed while it wrote a line without an end; its entry is in the store.
                let Some(line) = line.strip_suffix(b"\n").filter(|_| read > 0) else { break };
                if visit(path, line).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Writes the lines of the entries that match the filter, the oldest first, from the files and then from the store.
    ///
    /// # Errors
    /// [`AuditError`] if they cannot be read or written.
    pub fn print(
        &self,
        rows: &impl ReadRows,
        filter: &Filter,
        out: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        let AuditState { pruned, dropped, .. } = audit::state(rows)?.unwrap_or_default();
        let (mut printer, mut last) = (Printer { out, printed: Ok(()) }, pruned.id);
        self.lines(&mut |_, line| {
            let summary = ParsedLine::parse(line).map(|parsed| parsed.summary);
            if summary.as_ref().is_some_and(|summary| summary.id <= dropped.id) {
                return ControlFlow::Continue(());
            }
            last = summary.as_ref().map_or(last, |summary| last.max(summary.id));
            // A line that cannot be parsed was not written by the server; without a filter it is printed too.
            let is_wanted = summary.map_or_else(|| filter.is_empty(), |summary| filter.admits(&summary));
            printer.print(is_wanted, || String::from_utf8_lossy(line).into_owned())
        })?;
        if printer.printed.is_ok() {
            visit_after(rows, last, &mut |entry| {
                printer.print(filter.admits(&EntrySummary::of(&entry)), || line(&entry))
            })?;
        }
        printer.printed.map_err(AuditError::Out)
    }
}

/// Writes lines until a write fails.
struct Printer<'a> {
    out: &'a mut dyn FnMut(&str) -> io::Result<()>,
    printed: io::Result<()>,
}

impl Printer<'_> {
    fn print(&mut self, is_wanted: bool, line: impl FnOnce() -> String) -> ControlFlow<()> {
        if is_wanted {
            self.printed = (self.out)(&printable(&line()));
        }
        if self.printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// A page of the entries in the store that match the filter, and the number of all that match. With a filter it reads
/// every entry.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn page(rows: &impl ReadRows, filter: &Filter, page: Page) -> Result<Slice<AuditEntry>, StoreError> {
    if filter.is_empty() {
        return audit::page(rows, page);
    }
    let mut slice = Slice { records: Vec::new(), count: 0 };
    let pruned = audit::state(rows)?.unwrap_or_default().pruned;
    visit_after(rows, pruned.id, &mut |entry| {
        if filter.admits(&EntrySummary::of(&entry)) {
            if slice.count >= page.offset && slice.records.len() < page.limit {
                slice.records.push(entry);
            }
            slice.count += 1;
        }
        ControlFlow::Continue(())
    })?;
    Ok(slice)
}

impl Opened {
    fn open(path: PathBuf) -> Result<Self, AuditError> {
        let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
        match opened {
            Ok((length, file)) => Ok(Self { path, file, length }),
            Err(source) => Err(AuditError::Io { path, source }),
        }
    }
}
