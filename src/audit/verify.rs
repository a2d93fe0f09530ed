//! Whether the log is what the server wrote.

use std::{ops::ControlFlow, path::Path};

use serde::{Deserialize, Serialize};

use super::{
    AuditError, Chain, Reading,
    chain::link,
    line::{Parts, line, parts},
    reading::Told,
};
use crate::store::{
    audit::{self, AuditState, Place, visit_behind},
    table::Rows,
};

/// What was found out about a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The first entry that is still kept.
    pub first: u64,
    /// The last entry.
    pub last: u64,
    /// The first entry that the present secret vouches for by itself.
    pub key_since: u64,
    /// The first thing that is wrong, in a sentence.
    pub fault: Option<String>,
}

/// Verifies the whole log, in its files and in the store.
///
/// # Errors
/// [`AuditError`] if it cannot be read; what makes no sense is a fault.
pub fn verify(chain: &Chain, files: &Reading, rows: &impl Rows) -> Result<Report, AuditError> {
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
    is_foreign.then(|| format!("entry {} was written under another secret, and nothing behind it", state.last.id))
}

/// What is wrong with the state itself.
fn unsealed(chain: &Chain, state: &AuditState) -> Option<String> {
    let changed = || format!("what the store knows of the log, which ends with entry {}, was changed", state.last.id);
    (state.last.id > 0 && !chain.has_sealed(state)).then(changed)
}

/// Goes from entry to entry.
struct Walk<'a> {
    chain: &'a Chain,
    key_since: u64,
    dropped: u64,
    at: Place,
}

impl<'a> Walk<'a> {
    /// Goes over the files and then over the store; tells the first fault.
    fn over(
        chain: &'a Chain,
        state: &AuditState,
        files: &Reading,
        rows: &impl Rows,
    ) -> Result<Option<String>, AuditError> {
        let (key_since, dropped) = (state.key_since, state.dropped.id);
        let mut in_files = Self { chain, key_since, dropped, at: state.dropped };
        let mut fault = None;
        files.lines(&mut |path, line| {
            fault = in_files.line(path, line);
            if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if fault.is_some() {
            return Ok(fault);
        }
        let missing_to = state.exported.id.max(state.pruned.id);
        if in_files.at.id < missing_to {
            return Ok(Some(missing(in_files.at.id + 1, missing_to, "the files")));
        }
        if in_files.at.id > state.last.id {
            return Ok(Some(format!("entry {} is in the files, and the store does not know of it", state.last.id + 1)));
        }
        let mut in_store = Self { at: state.pruned, ..in_files };
        visit_behind(rows, state.pruned.id, &mut |entry| {
            let text = line(&entry);
            fault = parts(&text).and_then(|parts| in_store.entry(entry.id, &parts, "the store"));
            if fault.is_none() && in_store.at.id == in_files.at.id && in_store.at != in_files.at {
                fault = Some(format!("entry {} is not the same in the files and in the store", entry.id));
            }
            if fault.is_none() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        if fault.is_none() && in_store.at.id < state.last.id {
            fault = Some(missing(in_store.at.id + 1, state.last.id, "the store"));
        }
        if fault.is_none()
            && (in_store.at != state.last || in_files.at.id == state.pruned.id && in_files.at != state.pruned)
        {
            fault = Some(format!("the entries up to {} are not those that the store has counted", in_store.at.id));
        }
        Ok(fault)
    }

    fn line(&mut self, path: &Path, line: &[u8]) -> Option<String> {
        let file = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let read = || {
            let parts = parts(str::from_utf8(line.strip_suffix(b"\n")?).ok()?)?;
            Some((Told::read(&parts.body)?.id, parts))
        };
        match read() {
            None => Some(format!("entry {}: the line in {file} makes no sense", self.at.id + 1)),
            // What is no longer to be kept may be there still.
            Some((id, _)) if id <= self.dropped && self.at.id == self.dropped => None,
            Some((id, parts)) => self.entry(id, &parts, &file),
        }
    }

    fn entry(&mut self, id: u64, parts: &Parts, place: &str) -> Option<String> {
        let expected = self.at.id + 1;
        if id != expected {
            return Some(format!("entry {expected}: entry {id} is in its place in {place}"));
        }
        let is_linked = link(&self.at.link, parts.body.as_bytes()) == parts.link;
        let is_vouched_for = id < self.key_since || self.chain.vouches_for(&parts.link, &parts.mac);
        if !is_linked || !is_vouched_for {
            return Some(format!("entry {id} in {place} is not what was written, or does not follow the one before"));
        }
        self.at = Place { id, link: parts.link };
        None
    }
}

fn missing(from: u64, to: u64, place: &str) -> String {
    if from == to {
        format!("entry {from} is missing in {place}")
    } else {
        format!("entry {from} is missing in {place}, and so are all up to {to}")
    }
}
