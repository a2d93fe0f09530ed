//! Verifies that the log is what the server wrote.

use std::{ops::ControlFlow, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    AuditError, Chain, LogReader,
    chain::{UNSEALED, is_linked},
    line::line,
    parsed_line::ParsedLine,
    seal::Seal,
};
use crate::store::{
    StoreError,
    audit::{self, AuditState, LogPosition, visit_after},
    table::ReadRows,
};

/// The result of a verification.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The first entry that still exists.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// The first entry under the current secret; earlier ones are as they were when it sealed them.
    pub key_since: u64,
    /// The first fault, in a sentence.
    pub fault: Option<String>,
}

/// Verifies the whole log, in its files and in the store.
///
/// # Errors
/// [`AuditError`] if it cannot be read; a malformed line is a fault.
pub fn verify(chain: &Chain, files: &LogReader, rows: &impl ReadRows) -> Result<Report, AuditError> {
    let state = audit::state(rows)?.unwrap_or_default();
    let fault = match foreign(chain, &state) {
        Some(fault) => Some(fault),
        None => Walk::over(chain, &state, files, rows)?.or_else(|| unsealed(chain, &state)),
    };
    Ok(Report { first: state.dropped.id.saturating_add(1), last: state.last.id, key_since: state.key_since, fault })
}

/// Whether the files have what was written under the key, from the state's `dropped` to its `last`.
pub(super) fn is_in_files(chain: &Chain, state: &AuditState, files: &LogReader) -> Result<bool, AuditError> {
    let mut walk = Walk { chain, state, seal: files.seal(), at: state.dropped, vouched_since: 0 };
    Ok(walk.files(files)?.is_none())
}

/// The fault of a log that was written under another secret: nothing in it can be verified.
fn foreign(chain: &Chain, state: &AuditState) -> Option<String> {
    let is_foreign = state.last.id > 0 && !chain.is_own(state);
    is_foreign
        .then(|| format!("the log up to entry {} was written under another secret, or was changed", state.last.id))
}

/// The fault of a state without a valid seal.
fn unsealed(chain: &Chain, state: &AuditState) -> Option<String> {
    if state.last.id == 0 || chain.has_sealed(state) {
        return None;
    }
    Some(match state.key_since.checked_sub(1) {
        Some(before @ 1..) if state.seal == UNSEALED => format!(
            "the log up to entry {before} may have been changed, or the secret or the store was replaced other than by a \
             successful `lodge secret rotate` or `lodge restore`, as entry {} reports; `lodge secret rotate` begins a new seal, with \
             --keep-keys if the current secret is the right one",
            state.key_since
        ),
        Some(_) | None => {
            format!("the store's state of the log, which ends with entry {}, was changed", state.last.id)
        }
    })
}

/// Verifies line after line.
struct Walk<'a> {
    chain: &'a Chain,
    state: &'a AuditState,
    seal: Option<&'a Seal>,
    at: LogPosition,
    /// The first entry that can be verified.
    vouched_since: u64,
}

impl<'a> Walk<'a> {
    /// Verifies the files and then the store, up to the first fault.
    fn over(
        chain: &'a Chain,
        state: &'a AuditState,
        files: &'a LogReader,
        rows: &impl ReadRows,
    ) -> Result<Option<String>, AuditError> {
        let vouched_since = if state.seal == UNSEALED { state.key_since } else { 0 };
        let mut in_files = Self { chain, state, seal: files.seal(), at: state.dropped, vouched_since };
        if let Some(fault) = in_files.files(files)? {
            return Ok(Some(fault));
        }
        let mut in_store = Self { at: state.pruned, ..in_files };
        Ok(in_store.rows(rows, in_files.at)?)
    }

    /// Verifies the files, and compares their end with the store's state.
    fn files(&mut self, files: &LogReader) -> Result<Option<String>, AuditError> {
        let mut fault = None;
        files.lines(&mut |path, line| {
            fault = self.line(path, line);
            on(fault.as_ref())
        })?;
        Ok(fault.or_else(|| self.end_of_files()))
    }

    fn end_of_files(&self) -> Option<String> {
        let AuditState { last, exported, pruned, .. } = self.state;
        let missing_to = exported.id.max(pruned.id);
        if self.at.id < missing_to {
            return Some(missing(self.at.id + 1, missing_to, "the files"));
        }
        let is_too_much = self.at.id > last.id;
        is_too_much.then(|| format!("entry {} is in the files, but not in the store's state of the log", last.id + 1))
    }

    /// Verifies the entries in the store, some of which may also be in the files, which end at `end_of_files`.
    fn rows(&mut self, rows: &impl ReadRows, end_of_files: LogPosition) -> Result<Option<String>, StoreError> {
        let mut fault = None;
        visit_after(rows, self.at.id, &mut |entry| {
            fault = self.entry(line(&entry).as_bytes(), "the store");
            if fault.is_none() && self.at.id == end_of_files.id && self.at != end_of_files {
                fault = Some(format!("entry {} is not the same in the files and in the store", entry.id));
            }
            on(fault.as_ref())
        })?;
        Ok(fault.or_else(|| self.end_of_rows(end_of_files)))
    }

    fn end_of_rows(&self, end_of_files: LogPosition) -> Option<String> {
        let AuditState { last, pruned, .. } = self.state;
        if self.at.id < last.id {
            return Some(missing(self.at.id + 1, last.id, "the store"));
        }
        let is_other = self.at != *last || end_of_files.id == pruned.id && end_of_files != *pruned;
        is_other.then(|| format!("the entries up to {} are not those that the store has counted", self.at.id))
    }

    fn line(&mut self, path: &Path, line: &[u8]) -> Option<String> {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        self.entry(line, &file)
    }

    fn entry(&mut self, line: &[u8], place: &str) -> Option<String> {
        let expected = self.at.id + 1;
        let Some(parsed) = ParsedLine::parse(line) else {
            return Some(format!("entry {expected}: the line in {place} is malformed"));
        };
        let (id, dropped) = (parsed.summary.id, self.state.dropped.id);
        // Files and rows that are to be removed may still exist.
        if id <= dropped && self.at.id == dropped {
            return None;
        }
        if id != expected {
            return Some(format!("entry {expected}: entry {id} is in its place in {place}"));
        }
        if !self.is_genuine(id, line, &parsed) {
            let why =
                if id < self.state.key_since && self.seal.is_none() { "; the file `seal` is missing" } else { "" };
            return Some(format!(
                "entry {id} in {place} is not what was written, or does not follow the one before{why}"
            ));
        }
        self.at = parsed.position();
        None
    }

    /// Whether the line of an entry was sealed, or written after the entry before it.
    fn is_genuine(&self, id: u64, line: &[u8], parsed: &ParsedLine) -> bool {
        // Entries that cannot be verified are reported as a fault of the state.
        id < self.vouched_since
            || self.seal.is_some_and(|seal| seal.verify(self.chain, id, line))
            || self.chain.verify_line(&self.at.mac, parsed)
            // Before a key that 0.3.0 began, the links lead to an entry that the key proves.
            || (self.seal.is_none() && id < self.state.key_since && is_linked(&self.at.mac, parsed))
    }
}

/// Continues with the next entry, unless there is a fault.
fn on(fault: Option<&String>) -> ControlFlow<()> {
    if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn missing(from: u64, to: u64, place: &str) -> String {
    if from == to {
        format!("entry {from} is missing in {place}")
    } else {
        format!("entry {from} is missing in {place}, and so are all up to {to}")
    }
}
