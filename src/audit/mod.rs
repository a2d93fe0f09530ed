//! The audit log: who did what to whom, from where, with which credential, when, with what result.
//!
//! The entry of a change is a row in the same transaction as the change, written by [`Chain::append`]. Refused and
//! locked-out credentials change no row; they are counted in memory and written every few seconds. A thread of its own
//! copies durable entries to files and then removes all but the newest from the store.
//!
//! Each entry has an HMAC of the entry before and its own text, under a key derived from the server's secret. The store
//! has the last HMAC, its number and the first entry that still exists, under a seal. So [`verify()`] detects an entry
//! that was changed, moved, added or removed, and an end that was cut off. A new secret begins a new key, which seals
//! all earlier entries: an HMAC of each of their lines, in a file beside theirs ([`PreparedSeal`]).
//!
//! Only an operator's command begins a key like that ([`Chain::begin`]). A log that the server finds under another key,
//! or that ends before its own files ([`continue_after_files`]), continues unsealed, with an entry that reports it.

mod carry_over;
mod chain;
mod files;
mod filter;
mod line;
mod log_reader;
mod maintenance;
mod parsed_line;
mod refusal_counters;
mod seal;
mod verify;

use std::{
    io,
    path::PathBuf,
    sync::{Mutex, OnceLock},
};

use thiserror::Error;

pub use self::{
    carry_over::{carry_over, continue_after_files},
    chain::Chain,
    files::{Files, RetentionPolicy, directory_in},
    filter::Filter,
    line::EntryView,
    log_reader::{LogReader, page},
    maintenance::{MAX_ROWS, Maintenance},
    seal::PreparedSeal,
    verify::{Report, verify},
};
use self::{maintenance::round, refusal_counters::RefusalCounters};
use crate::{
    clock::Timestamp,
    domain::{Action, Actor, AffectedResource, Event, Outcome, Username},
    secret::RootSecret,
    store::{Store, StoreError},
};

/// The audit log of one installation.
pub struct Audit {
    /// Writes entries.
    pub chain: Chain,
    refusal_counters: RefusalCounters,
    files: OnceLock<Mutex<Files>>,
}

/// Why the audit log cannot be read or written.
#[derive(Debug, Error)]
pub enum AuditError {
    /// A file cannot be read or written.
    #[error("the audit log's file {} cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The entries cannot be written to the reader's output.
    #[error("the entries cannot be written out")]
    Out(#[source] io::Error),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Audit {
    /// The log whose entries are chained under this secret.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        Self { chain: Chain::new(secret), refusal_counters: RefusalCounters::default(), files: OnceLock::new() }
    }

    /// Counts a refused credential, which is in the log a few seconds later.
    pub fn refused(&self, now: Timestamp, actor: Actor, action: Action) {
        self.refusal_counters.note(now, actor, (action, Outcome::Refused), None);
    }

    /// Counts a locked-out attempt, likewise. The account of that name is looked up when the entry is written: in the
    /// request, which computes no hash, the time of the look-up would reveal whether the account exists.
    pub fn had_to_wait(&self, now: Timestamp, actor: Actor, action: Action, name: Option<Username>) {
        self.refusal_counters.note(now, actor, (action, Outcome::HadToWait), name);
    }

    /// How many attempts at that action ended so since the start: refused or locked out, which the log sums.
    #[must_use]
    pub fn refusals(&self, action: Action, outcome: Outcome) -> u64 {
        self.refusal_counters.total((action, outcome))
    }

    /// The account of an entry about a name that no account has.
    #[must_use]
    pub fn unknown(&self, username: &str) -> crate::domain::Account {
        crate::domain::Account::Unknown(self.chain.name_hash(username))
    }

    /// Sets the files that entries are copied to; only the first call counts.
    pub fn keep_in(&self, files: Files) {
        let _ = self.files.set(Mutex::new(files));
    }

    /// The whole log as it is now, for reading. Blocks, so it must not be called on an asynchronous thread.
    ///
    /// # Errors
    /// [`AuditError`] if its files cannot be opened or the store cannot be read.
    ///
    /// # Panics
    /// Never: no holder of the files panics.
    pub fn log_reader(&self, store: &Store) -> Result<(LogReader, crate::store::Snapshot), AuditError> {
        let Some(files) = self.files.get() else { return Ok((LogReader::default(), store.snapshot()?)) };
        let mut files = files.lock().expect("no holder of the lock panics");
        // The log can be read even if its files cannot be written, as on a full disk.
        if let Err(error) = round(self, &mut files, store) {
            log::warn!("the audit log is not up to date: {}", crate::error_chain::chain(&error));
        }
        Ok((LogReader::of(files.directory())?, store.snapshot()?))
    }
}

/// The event of an action that was done once, at that time.
#[must_use]
pub fn done(at: Timestamp, actor: Actor, action: Action, subject: AffectedResource) -> Event {
    Event { at, actor, action, outcome: Outcome::Done, subject, count: 1 }
}

impl Chain {
    /// Writes an event that belongs to no other write, on a thread without asynchronous work.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn record(&self, store: &Store, event: Event) -> Result<(), StoreError> {
        let chain = self.clone();
        store.write_blocking(move |txn| chain.append(txn, event))
    }
}
