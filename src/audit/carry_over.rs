//! Continues a log in a store that lacks it or a part of it.

use std::ops::ControlFlow;

use super::{AuditError, Chain, LogReader, chain::put, verify::is_in_files};
use crate::{
    clock::Timestamp,
    domain::Event,
    store::{
        Store, StoreError, Txn,
        audit::{self, AuditState, LogPosition},
    },
};

/// Continues the log of a replaced store in the new one, with an entry of the replacement if there is a key for it. If
/// the former store could not be opened or lacks entries, the log continues after the last known one.
///
/// # Errors
/// [`AuditError`] if the store cannot be written or the files cannot be read.
pub async fn carry_over(
    former: Option<&Store>,
    files: &LogReader,
    store: &Store,
    entry: Option<(Chain, Event)>,
) -> Result<(), AuditError> {
    if let Some((former, state)) = former.and_then(with_all_entries) {
        copy(former, state, store).await?;
        let Some((chain, event)) = entry else { return Ok(()) };
        return Ok(store.write(move |txn| chain.append(txn, event)).await?);
    }
    let known = former.and_then(|former| audit::state(former).ok().flatten()).unwrap_or_default().last;
    let chain = entry.as_ref().map(|(chain, _)| chain);
    let state = match files.last()?.filter(|last| last.id >= known.id) {
        Some(last) => of_files(chain, files, last)?,
        None => after(known, known),
    };
    let begin = move |txn: &mut Txn<'_>| {
        let why = format!("the log was not whole; it continues after entry {}", state.last.id);
        match entry {
            Some((chain, event)) => return chain.begin_after(txn, state, &why, event),
            None if state.last.id > 0 => txn.set_audit_state(&state),
            None => {}
        }
        Ok::<_, StoreError>(())
    };
    Ok(store.write(begin).await?)
}

/// Continues the log after its files, if they have more entries than the store: the store is new, or was replaced by an
/// older one. An entry reports it, and nothing is sealed, because it might be the work of an attacker.
///
/// # Errors
/// [`AuditError`] if the store cannot be read or written.
pub async fn continue_after_files(
    chain: &Chain,
    files: &LogReader,
    store: &Store,
    now: Timestamp,
) -> Result<(), AuditError> {
    let known = audit::state(store)?.unwrap_or_default().last.id;
    // If a file cannot be read, the log continues after the store's last entry.
    let Some(last) = files.last().ok().flatten().filter(|last| last.id > known) else { return Ok(()) };
    let why = format!("the store knew of {known} entries, and the files end with entry {}", last.id);
    log::warn!("the audit log continues after its files: {why}");
    let (chain, mut state) = (chain.clone(), of_files(Some(chain), files, last)?);
    let go_on = move |txn: &mut Txn<'_>| {
        audit::after(txn, 0, usize::MAX)?.iter().try_for_each(|entry| txn.remove(entry))?;
        chain.continue_unsealed(txn, &mut state, now, &why)?;
        txn.set_audit_state(&state);
        Ok::<_, StoreError>(())
    };
    Ok(store.write(go_on).await?)
}

/// The store and its state of the log, if it has all the entries that it should have.
fn with_all_entries(store: &Store) -> Option<(&Store, AuditState)> {
    let state = audit::state(store).ok()??;
    let mut last = state.pruned.id;
    let visited = audit::visit_after(store, state.pruned.id, &mut |entry| {
        let is_next = entry.id == last + 1;
        last += u64::from(is_next);
        if is_next { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    (visited.is_ok() && last == state.last.id).then_some((store, state))
}

/// The state of a log of which only the files are left, up to their last entry. If they were written under the key,
/// their entries are part of the log; otherwise none is.
fn of_files(chain: Option<&Chain>, files: &LogReader, last: LogPosition) -> Result<AuditState, AuditError> {
    if let Some((chain, begin)) = chain.zip(files.begin()?) {
        // Entries of 0.3.0 do not show their key; the last of them must be under this one.
        let state = AuditState { key_since: last.id, ..after(last, begin) };
        if is_in_files(chain, &state, files)? {
            return Ok(state);
        }
    }
    Ok(after(last, last))
}

/// The state of a log that continues after that position, with no entry in the store.
fn after(last: LogPosition, dropped: LogPosition) -> AuditState {
    AuditState { last, exported: last, pruned: last, dropped, ..AuditState::default() }
}

async fn copy(former: &Store, state: AuditState, store: &Store) -> Result<(), AuditError> {
    const BATCH: usize = 1000;
    let mut last = state.pruned.id;
    while last < state.last.id {
        let entries = audit::after(former, last, BATCH)?;
        let Some(newest) = entries.last() else { break };
        last = newest.id;
        store.write(move |txn| entries.iter().try_for_each(|entry| put(txn, entry))).await?;
    }
    let set = move |txn: &mut Txn<'_>| {
        txn.set_audit_state(&state);
        Ok::<_, StoreError>(())
    };
    Ok(store.write(set).await?)
}
