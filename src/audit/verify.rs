//! Whether the log is what the server wrote.

use std::{ops::ControlFlow, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    AuditError, Chain, LogReader,
    chain::{UNSEALED, link},
    line::{Parts, line, parts},
    log_reader::EntrySummary,
};
use crate::store::{
    StoreError,
    audit::{self, AuditState, LogPosition, visit_behind},
    table::ReadRows,
};

/// What was found out about a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The first entry that is still kept.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// The first entry that the present secret vouches for by itself; those before it have only the links up to it.
    pub key_since: u64,
    /// The first thing that is wrong, in a sentence.
    pub fault: Option<String>,
}

/// Verifies the whole log, in its files and in the store.
///
/// # Errors
/// [`AuditError`] if it cannot be read; what makes no sense is a fault.
pub fn verify(chain: &Chain, files: &LogReader, rows: &impl ReadRows) -> Result<Report, AuditError> {
    let state = audit::state(rows)?.unwrap_or_default();
    let fault = match foreign(chain, &state) {
        Some(fault) => Some(fault),
        None => Walk::over(chain, &state, files, rows)?.or_else(|| unsealed(chain, &state)),
    };
    Ok(Report { first: state.dropped.id.saturating_add(1), last: state.last.id, key_since: state.key_since, fault })
}

/// Nothing in a log that was written under another secret can be checked.
fn foreign(chain: &Chain, state: &AuditState) -> Option<String> {
    let is_foreign = state.last.id > 0 && !chain.is_own(state);
    is_foreign
        .then(|| format!("the log up to entry {} was written under another secret, or was changed", state.last.id))
}

/// What is wrong with the state itself.
fn unsealed(chain: &Chain, state: &AuditState) -> Option<String> {
    if state.last.id == 0 || chain.has_sealed(state) {
        return None;
    }
    Some(match state.key_since.checked_sub(1) {
        Some(before @ 1..) if state.seal == UNSEALED => format!(
            "the log up to entry {before} may have been changed, or the secret or the store was replaced other than by a \
             `lodge secret rotate` or `lodge restore` that ended well, as entry {} tells; `lodge secret rotate` begins anew, with \
             --keep-keys if the present secret is the right one",
            state.key_since
        ),
        Some(_) | None => {
            format!("what the store knows of the log, which ends with entry {}, was changed", state.last.id)
        }
    })
}

/// Goes from entry to entry.
struct Walk<'a> {
    chain: &'a Chain,
    state: &'a AuditState,
    at: LogPosition,
}

impl<'a> Walk<'a> {
    /// Goes over the files and then over the store; tells the first fault.
    fn over(
        chain: &'a Chain,
        state: &'a AuditState,
        files: &LogReader,
        rows: &impl ReadRows,
    ) -> Result<Option<String>, AuditError> {
        let mut in_files = Self { chain, state, at: state.dropped };
        if let Some(fault) = in_files.files(files)? {
            return Ok(Some(fault));
        }
        let mut in_store = Self { at: state.pruned, ..in_files };
        Ok(in_store.rows(rows, in_files.at)?)
    }

    /// Goes over the files, and compares their end with what the store knows of it.
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
        is_too_much.then(|| format!("entry {} is in the files, and the store does not know of it", last.id + 1))
    }

    /// Goes over the store, of which some may be in the files too, which end there.
    fn rows(&mut self, rows: &impl ReadRows, end_of_files: LogPosition) -> Result<Option<String>, StoreError> {
        let mut fault = None;
        visit_behind(rows, self.at.id, &mut |entry| {
            let text = line(&entry);
            fault = parts(&text).and_then(|parts| self.entry(entry.id, &parts, "the store"));
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
        let dropped = self.state.dropped.id;
        let read = || {
            let parts = parts(str::from_utf8(line.strip_suffix(b"\n")?).ok()?)?;
            Some((EntrySummary::read(&parts.body)?.id, parts))
        };
        match read() {
            None => Some(format!("entry {}: the line in {file} makes no sense", self.at.id + 1)),
            // What is no longer to be kept may be there still.
            Some((id, _)) if id <= dropped && self.at.id == dropped => None,
            Some((id, parts)) => self.entry(id, &parts, &file),
        }
    }

    fn entry(&mut self, id: u64, parts: &Parts, position: &str) -> Option<String> {
        let expected = self.at.id + 1;
        if id != expected {
            return Some(format!("entry {expected}: entry {id} is in its place in {position}"));
        }
        let is_linked = link(&self.at.link, parts.body.as_bytes()) == parts.link;
        let is_vouched_for = id < self.state.key_since || self.chain.verify_mac(&parts.link, &parts.mac);
        if !is_linked || !is_vouched_for {
            return Some(format!(
                "entry {id} in {position} is not what was written, or does not follow the one before"
            ));
        }
        self.at = LogPosition { id, link: parts.link };
        None
    }
}

/// On to the next entry, unless something is wrong.
fn on(fault: Option<&String>) -> ControlFlow<()> {
    if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
}

fn missing(from: u64, to: u64, position: &str) -> String {
    if from == to {
        format!("entry {from} is missing in {position}")
    } else {
        format!("entry {from} is missing in {position}, and so are all up to {to}")
    }
}
