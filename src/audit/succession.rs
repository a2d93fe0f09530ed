//! How a log goes on in a store that does not have it, or not all of it.

use std::ops::ControlFlow;

use super::{AuditError, Chain, LogReader, chain::put, files::Last};
use crate::{
    clock::Timestamp,
    domain::Event,
    store::{
        Store, StoreError, Txn,
        audit::{self, AuditState, LogPosition},
    },
};

/// What is left of a log whose store is replaced.
pub struct Former<'a> {
    /// The store, if it can be read.
    pub store: Option<&'a Store>,
    /// The files, which stay.
    pub files: &'a LogReader,
}

/// Lets a log go on in the store that takes the former's place, with an entry that tells of it if one is given. Where it is
/// not whole, the key begins anew behind the last entry that is known of, in the former store or in the files.
///
/// # Errors
/// [`AuditError`] if the store cannot be written or the files not be read.
pub async fn carry_over(former: Former<'_>, store: &Store, entry: Option<(Chain, Event)>) -> Result<(), AuditError> {
    if let Some((whole, state)) = former.whole() {
        take_over(whole, state, store).await?;
        let Some((chain, event)) = entry else { return Ok(()) };
        return Ok(store.write(move |txn| chain.append(txn, event)).await?);
    }
    let state = former.left(entry.as_ref().map(|(chain, _)| chain))?;
    let begin = move |txn: &mut Txn<'_>| {
        let why = format!("the log was not whole; it goes on behind entry {}", state.last.id);
        if state.last.id > 0 {
            txn.set_audit_state(&state);
        }
        entry.map_or(Ok::<_, StoreError>(()), |(chain, event)| chain.begin(txn, &why, event))
    };
    Ok(store.write(begin).await?)
}

/// Lets the log go on behind its files, if they have more than the store knows of: a new store, or one that was put back
/// alone. An entry says so, and the seal is left broken: whoever cuts off the end of the log can bring this about too.
///
/// # Errors
/// [`AuditError`] if the store cannot be read or written.
pub async fn resume(chain: &Chain, files: &LogReader, store: &Store, now: Timestamp) -> Result<(), AuditError> {
    let known = audit::state(store)?.unwrap_or_default();
    // A file that cannot be read keeps nobody from going on with what the store knows.
    let last = files.last().ok().flatten().filter(|last| last.position.id > known.last.id);
    let Some(last) = last else { return Ok(()) };
    let why = format!("the store knew of {} entries, and the files end with entry {}", known.last.id, last.position.id);
    log::warn!("the audit log goes on behind its files: {why}");
    let (chain, mut state) = (chain.clone(), of_files(Some(chain), files, &last)?);
    let go_on = move |txn: &mut Txn<'_>| {
        audit::behind(txn, 0, usize::MAX)?.iter().try_for_each(|entry| txn.remove(entry))?;
        chain.continue_under_key(txn, &mut state, now, &why)?;
        txn.set_audit_state(&state);
        Ok::<_, StoreError>(())
    };
    Ok(store.write(go_on).await?)
}

impl Former<'_> {
    /// The store with what it knows of the log, if the entries that it should have are all there.
    fn whole(&self) -> Option<(&Store, AuditState)> {
        let store = self.store?;
        let state = audit::state(store).ok()??;
        let mut last = state.pruned.id;
        let visited = audit::visit_behind(store, state.pruned.id, &mut |entry| {
            let is_next = entry.id == last + 1;
            last += u64::from(is_next);
            if is_next { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        });
        (visited.is_ok() && last == state.last.id).then_some((store, state))
    }

    /// What is known of a log that is not whole.
    fn left(&self, chain: Option<&Chain>) -> Result<AuditState, AuditError> {
        let told = self.store.and_then(|store| audit::state(store).ok().flatten()).unwrap_or_default().last;
        match self.files.last()? {
            Some(last) if last.position.id >= told.id => of_files(chain, self.files, &last),
            Some(_) | None => Ok(behind(told, told)),
        }
    }
}

/// What is known of a log of which only the files are left. If the key vouches for the last entry there, all that the links
/// lead over up to it is part of the log; else none of it is.
fn of_files(chain: Option<&Chain>, files: &LogReader, last: &Last) -> Result<AuditState, AuditError> {
    let Last { position, mac, .. } = last;
    let is_ours = chain.is_some_and(|chain| chain.verify_mac(&position.link, mac));
    let dropped = if is_ours { files.begin()?.filter(|begin| begin.id < position.id) } else { None };
    Ok(behind(*position, dropped.unwrap_or(*position)))
}

/// What is known of a log that goes on behind that place, with nothing of it in the store.
fn behind(last: LogPosition, dropped: LogPosition) -> AuditState {
    AuditState { last, exported: last, pruned: last, dropped, ..AuditState::default() }
}

async fn take_over(former: &Store, state: AuditState, store: &Store) -> Result<(), AuditError> {
    const BATCH: usize = 1000;
    let mut last = state.pruned.id;
    while last < state.last.id {
        let entries = audit::behind(former, last, BATCH)?;
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
