//! Reading the whole log: its files, and what is only in the store so far.

use std::{
    borrow::Cow,
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek},
    ops::ControlFlow,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Deserializer, de::Error as _};

use super::{
    AuditError, Filter,
    files::{Last, MAX_LINE, last_in, names, placed},
    line::{line, parts},
};
use crate::{
    clock::Timestamp,
    domain::{Account, AuditEntry, Event, Page, Target},
    store::{
        Slice, StoreError,
        audit::{self, AuditState, LogPosition, visit_behind},
        table::ReadRows,
    },
};

/// The files of a log as they are at one moment; what is written or removed meanwhile changes nothing.
#[derive(Debug, Default)]
pub struct LogReader(Vec<Opened>);

#[derive(Debug)]
struct Opened {
    path: PathBuf,
    file: File,
    length: u64,
}

/// What of an entry decides whether it is wanted.
#[derive(Debug, Deserialize)]
pub(super) struct EntrySummary {
    pub(super) id: u64,
    #[serde(deserialize_with = "moment")]
    pub(super) at: Timestamp,
    pub(super) action: String,
    user_id: Option<u64>,
    username: Option<String>,
    target: Option<String>,
    target_id: Option<u64>,
    target_name: Option<String>,
}

impl EntrySummary {
    fn of(entry: &AuditEntry) -> Self {
        let Event { at, actor, action, subject, .. } = &entry.event;
        let (user_id, username) = match &actor.account {
            Some(Account::Known(id, name)) => (Some(u64::from(id.get())), Some(name.clone())),
            Some(Account::Unknown(_)) | None => (None, None),
        };
        let (target, target_id, target_name) = match &subject.target {
            Some(Target::User(id, name)) => (Some("user".to_owned()), Some(u64::from(id.get())), Some(name.clone())),
            Some(Target::Configuration(..) | Target::ApiKey(_) | Target::Session(_)) | None => (None, None, None),
        };
        let action = action.name().to_owned();
        Self { id: entry.id, at: *at, action, user_id, username, target, target_id, target_name }
    }

    pub(super) fn read(body: &str) -> Option<Self> {
        serde_json::from_str(body).ok()
    }

    /// Whether the account of that name or id did it, or had it done to it.
    pub(super) fn is_about(&self, user: &str) -> bool {
        let is = |id: Option<u64>, name: &Option<String>| {
            id.is_some_and(|id| id.to_string() == user)
                || name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(user))
        };
        is(self.user_id, &self.username)
            || (self.target.as_deref() == Some("user") && is(self.target_id, &self.target_name))
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Filter::moment(&text, Timestamp::from_millis(0)).map_err(D::Error::custom)
}

impl LogReader {
    /// Opens the files in that directory; there need be none.
    ///
    /// # Errors
    /// [`AuditError::Io`] if one cannot be opened.
    pub fn of(directory: &Path) -> Result<Self, AuditError> {
        let found = match names(directory) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            found => found.map_err(|source| AuditError::Io { path: directory.to_owned(), source })?,
        };
        found.into_iter().map(Opened::open).collect::<Result<_, _>>().map(Self)
    }

    /// The last entry in the files.
    ///
    /// # Errors
    /// [`AuditError::Io`] if the file that should have it cannot be read.
    pub(super) fn last(&self) -> Result<Option<Last>, AuditError> {
        // A crash may have come before the first line of a file was whole.
        self.0.iter().rev().find_map(|opened| last_in(&opened.path).transpose()).transpose()
    }

    /// The place behind which they begin, as far as the first line tells: what was before entry 1, or else the first entry
    /// itself, which nothing but the one before could vouch for.
    ///
    /// # Errors
    /// [`AuditError::Io`] if the first file cannot be read.
    pub(super) fn begin(&self) -> Result<Option<LogPosition>, AuditError> {
        let mut first = None;
        self.lines(&mut |_, line| {
            first = placed(line.trim_ascii_end());
            ControlFlow::Break(())
        })?;
        Ok(first.map(|(position, _)| if position.id == 1 { LogPosition::default() } else { position }))
    }

    /// Hands out each line of the files, with the name of its file.
    ///
    /// # Errors
    /// [`AuditError::Io`] if one cannot be read.
    pub(super) fn lines(&self, visit: &mut dyn FnMut(&Path, &[u8]) -> ControlFlow<()>) -> Result<(), AuditError> {
        for Opened { path, file, length } in &self.0 {
            let failed = |source| AuditError::Io { path: path.clone(), source };
            let mut file = file;
            file.rewind().map_err(failed)?;
            let mut lines = BufReader::new(file.take(*length));
            let mut line = Vec::new();
            loop {
                line.clear();
                let read = lines.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).map_err(failed)?;
                // A line without an end was being written when the server was killed; its entry is in the store.
                if read == 0 || line.last() != Some(&b'\n') {
                    break;
                }
                if visit(path, &line).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Hands out the lines of the entries that are wanted, the oldest first, from the files and then from the store.
    ///
    /// # Errors
    /// [`AuditError`] if they cannot be read or handed out.
    pub fn tell(
        &self,
        rows: &impl ReadRows,
        filter: &Filter,
        out: &mut dyn FnMut(&str) -> io::Result<()>,
    ) -> Result<(), AuditError> {
        let AuditState { pruned, dropped, .. } = audit::state(rows)?.unwrap_or_default();
        let (mut hand, mut last) = (Hand { out, handed: Ok(()) }, pruned.id);
        self.lines(&mut |_, line| {
            let text = String::from_utf8_lossy(line);
            let text = text.trim_end_matches('\n');
            let told = parts(text).and_then(|parts| EntrySummary::read(&parts.body));
            if told.as_ref().is_some_and(|told| told.id <= dropped.id) {
                return ControlFlow::Continue(());
            }
            last = told.as_ref().map_or(last, |told| last.max(told.id));
            // What makes no sense was not written by the server; whoever asks for everything shall see it.
            let is_wanted = told.map_or_else(|| filter.is_empty(), |told| filter.admits(&told));
            if is_wanted { hand.out(text) } else { ControlFlow::Continue(()) }
        })?;
        if hand.handed.is_ok() {
            visit_behind(rows, last, &mut |entry| {
                let is_wanted = filter.admits(&EntrySummary::of(&entry));
                if is_wanted { hand.out(&line(&entry)) } else { ControlFlow::Continue(()) }
            })?;
        }
        hand.handed.map_err(AuditError::Out)
    }
}

/// Hands out lines as long as they are taken.
struct Hand<'a> {
    out: &'a mut dyn FnMut(&str) -> io::Result<()>,
    handed: io::Result<()>,
}

impl Hand<'_> {
    fn out(&mut self, line: &str) -> ControlFlow<()> {
        self.handed = (self.out)(&printable(line));
        if self.handed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }
}

/// The line without what would command a terminal. The server writes no such characters; in JSON the line stays the same.
#[must_use]
pub fn printable(line: &str) -> Cow<'_, str> {
    let escaped = |character: char| match character {
        control if control.is_control() => format!("\\u{:04x}", u32::from(control)),
        other => other.to_string(),
    };
    if line.contains(char::is_control) { line.chars().map(escaped).collect() } else { line.into() }
}

/// A page of the wanted entries that are in the store, and how many of them there are. Takes long if any is looked for.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn page(rows: &impl ReadRows, filter: &Filter, page: Page) -> Result<Slice<AuditEntry>, StoreError> {
    if filter.is_empty() {
        return audit::page(rows, page);
    }
    let mut slice = Slice { records: Vec::new(), count: 0 };
    let pruned = audit::state(rows)?.unwrap_or_default().pruned;
    visit_behind(rows, pruned.id, &mut |entry| {
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
