//! Maintains the log while the server runs: writes counted refusals, copies entries to files, and removes the oldest
//! ones from the store.

use std::{
    io,
    sync::{
        Arc,
        mpsc::{RecvTimeoutError, Sender, channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{Audit, AuditError, Files, seal};
use crate::{
    domain::{Account, Event, Username},
    error_chain::chain,
    store::{
        Store, StoreError, Tables,
        audit::{self, AuditState, LogPosition},
    },
};

/// The time between two rounds.
const EVERY: Duration = Duration::from_secs(3);
/// How many entries stay in the store, where the API can list them.
pub const MAX_ROWS: u64 = 20_000;
/// How many entries are copied at once.
const BATCH: usize = 1000;

/// Maintains the log on a thread of its own until it is dropped.
pub struct Maintenance {
    stop: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Maintenance {
    /// Starts the thread.
    ///
    /// # Errors
    /// If no thread can be started.
    pub fn start(audit: Arc<Audit>, store: Store) -> io::Result<Self> {
        let (stop, stopped) = channel();
        let run = move || {
            let mut has_failed = false;
            loop {
                let is_over = stopped.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout);
                has_failed = run_round(&audit, &store, has_failed);
                if is_over {
                    break;
                }
            }
        };
        let thread = thread::Builder::new().name("audit".to_owned()).spawn(run)?;
        Ok(Self { stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Maintenance {
    /// Ends the thread, once all entries in the store are in the files too.
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Does one round, logs where failures begin and end, and returns whether it failed.
fn run_round(audit: &Audit, store: &Store, has_failed: bool) -> bool {
    let Some(files) = audit.files.get() else { return false };
    let done = round(audit, &mut files.lock().expect("no holder of the lock panics"), store);
    match &done {
        Err(error) if !has_failed => log::error!("the audit log's files cannot be maintained: {}", chain(error)),
        Ok(()) if has_failed => log::warn!("the audit log's files are maintained again"),
        Ok(()) | Err(_) => {}
    }
    done.is_err()
}

/// Writes counted refusals, copies durable entries to the files, and removes excess files and rows.
pub(super) fn round(audit: &Audit, files: &mut Files, store: &Store) -> Result<(), AuditError> {
    let written = write_refusals(audit, store);
    export(files, store)?;
    // A file that cannot be read must not prevent the removal of rows that are in others.
    while advance(audit, files, store, None)? {}
    remove_excess(audit, files, store)?;
    Ok(written?)
}

/// Removes the oldest files beyond those that are kept.
fn remove_excess(audit: &Audit, files: &mut Files, store: &Store) -> Result<(), AuditError> {
    let excess = files.excess()?;
    // Recorded in the store first: a crash in between leaves a file that is removed later.
    advance(audit, files, store, excess.iter().map(|(_, last)| *last).max_by_key(|last| last.id))?;
    excess.iter().try_for_each(|(path, _)| files.remove(path))?;
    let AuditState { dropped, pruned, key_since, .. } = audit::state(store)?.unwrap_or_default();
    if dropped.id.min(pruned.id) + 1 >= key_since { seal::remove(files.directory()) } else { Ok(()) }
}

/// Records how far the files are and removes some excess rows; returns whether there may be more.
fn advance(audit: &Audit, files: &Files, store: &Store, dropped: Option<LogPosition>) -> Result<bool, StoreError> {
    let before = audit::state(store)?.unwrap_or_default();
    let dropped = dropped.filter(|last| last.id > before.dropped.id);
    let is_too_much = before.last.id.saturating_sub(before.pruned.id) > MAX_ROWS;
    if files.last().id <= before.exported.id && dropped.is_none() && !is_too_much {
        return Ok(false);
    }
    let (chain, exported) = (audit.chain.clone(), files.last());
    store.write_blocking(move |txn| chain.advance(txn, exported, dropped, MAX_ROWS))?;
    Ok(audit::state(store)?.unwrap_or_default().pruned.id > before.pruned.id)
}

fn write_refusals(audit: &Audit, store: &Store) -> Result<(), StoreError> {
    let user_of = |name: &Username| store.user_by_username(&name.folded()).ok().flatten();
    let events = audit.refusal_counters.take(|name| user_of(name).as_ref().map(Account::of));
    if events.is_empty() {
        return Ok(());
    }
    let (chain, to_write): (_, Vec<Event>) = (audit.chain.clone(), events.clone());
    let written = store.write_blocking(move |txn| to_write.into_iter().try_for_each(|event| chain.append(txn, event)));
    written.inspect_err(|_| audit.refusal_counters.give_back(events))
}

fn export(files: &mut Files, store: &Store) -> Result<(), AuditError> {
    let last = |state: Option<AuditState>| state.map_or(0, |state| state.last.id);
    if last(audit::state(store)?) <= files.last().id {
        return Ok(());
    }
    // A snapshot has durable entries only; the store may have some that a power cut would undo.
    let snapshot = store.snapshot()?;
    if store.failure().borrow().is_some() {
        return Ok(());
    }
    let state = audit::state(&snapshot)?.unwrap_or_default();
    if files.last().id < state.exported.id.max(state.pruned.id) {
        log::error!(
            "the audit log's files end with entry {}, and entries up to {} had been in them",
            files.last().id,
            state.exported.id
        );
    }
    loop {
        let from = files.last().id.max(state.pruned.id);
        let entries = audit::after(&snapshot, from, BATCH)?;
        if entries.is_empty() {
            return Ok(());
        }
        files.append(&entries)?;
    }
}
