//! The audit log: who did what to whom, from where, with which credential, when, with what result.
//!
//! The entry of a change is a row in the same transaction as the change, written by [`Chain::append`]. Credentials that are
//! refused or have to wait change nothing; they are counted in memory and written every few seconds. A thread of its own copies
//! entries that are durable to files and then removes all but the newest from the store.
//!
//! Each entry has an HMAC of the one before and its own text, under a key derived from the server's secret; the store holds the
//! last one, its number and the first that is still kept, under a seal. So an entry that is changed, moved, added or removed is
//! noticed, by [`verify()`], and so is an end that was cut off. A new secret begins a new key, which seals the entries before it
//! as they are: with an HMAC of each of their lines, in a file beside theirs ([`PreparedSeal`]).
//!
//! Only an act of the operator begins a key so ([`Chain::begin`]). A log that a server merely finds under another key, or that
//! ends before its own files ([`continue_after_files`]), continues with an entry that reports it, and unsealed.

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

/// An audit log that cannot be read, or copied to its files.
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
    /// The entries cannot be written where they were asked for.
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

    /// Counts a credential that was refused; it is in the log a few seconds later.
    pub fn refused(&self, now: Timestamp, actor: Actor, action: Action) {
        self.refusal_counters.note(now, actor, (action, Outcome::Refused), None);
    }

    /// Counts an attempt that was locked out, likewise. The account of that name is looked up when the entry is written: in the request,
    /// where no hash is computed, the time of the look-up would reveal whether there is one.
    pub fn had_to_wait(&self, now: Timestamp, actor: Actor, action: Action, name: Option<Username>) {
        self.refusal_counters.note(now, actor, (action, Outcome::HadToWait), name);
    }

    /// The account in the entry of a name that no account has.
    #[must_use]
    pub fn unknown(&self, username: &str) -> crate::domain::Account {
        crate::domain::Account::Unknown(self.chain.name_hash(username))
    }

    /// Lets entries be copied to these files, once.
    pub fn keep_in(&self, files: Files) {
        let _ = self.files.set(Mutex::new(files));
    }

    /// The whole log as it is now, to be read while it goes on. It must not be asked for where asynchronous work runs.
    ///
    /// # Errors
    /// [`AuditError`] if its files cannot be opened or the store not be read.
    ///
    /// # Panics
    /// Never: no holder of the files panics.
    pub fn log_reader(&self, store: &Store) -> Result<(LogReader, crate::store::Snapshot), AuditError> {
        let Some(files) = self.files.get() else { return Ok((LogReader::default(), store.snapshot()?)) };
        let mut files = files.lock().expect("no holder of the lock panics");
        // The rest can be read although something cannot be written, as on a full disk.
        if let Err(error) = round(self, &mut files, store) {
            log::warn!("the audit log is not up to date: {}", crate::error_chain::chain(&error));
        }
        Ok((LogReader::of(files.directory())?, store.snapshot()?))
    }
}

/// Something that was done, once, just now.
#[must_use]
pub fn done(at: Timestamp, actor: Actor, action: Action, subject: AffectedResource) -> Event {
    Event { at, actor, action, outcome: Outcome::Done, subject, count: 1 }
}

impl Chain {
    /// Writes an event that stands for itself, where no asynchronous work runs.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn record(&self, store: &Store, event: Event) -> Result<(), StoreError> {
        let chain = self.clone();
        store.write_blocking(move |txn| chain.append(txn, event))
    }
}
