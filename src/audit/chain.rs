//! Chains entries, and begins keys.
//!
//! An entry's HMAC covers the HMAC before it and its own text, so that it proves every earlier entry under the same
//! key. The state of the log is sealed under that key too, so that the end of the log cannot be cut off unnoticed.
//! Entries of 0.3.0 were chained by links: the SHA-256 of the link before and the text, each with an HMAC of the link.
//! The first entry after them is chained to the last link.

use std::sync::Arc;

use ring::{
    digest::{Context, SHA256},
    hmac,
};

use super::{done, line::body, parsed_line::ParsedLine};
use crate::{
    clock::Timestamp,
    domain::{Action, Actor, AffectedResource, AuditEntry, Event},
    secret::{Purpose, RootSecret},
    store::{
        PutError, StoreError, Txn,
        audit::{self, AuditState, LogPosition},
        table,
    },
};

/// The seal of a state in which a key continues entries that it does not prove.
pub(super) const UNSEALED: [u8; 32] = [0; 32];
/// The details of the first entry under a key that the server began by itself, not an operator.
const NOT_OURS: &str = "the log up to here was written under another secret, or was changed";

/// Chains entries under the keys of one secret; a clone uses the same.
#[derive(Clone)]
pub struct Chain(Arc<Keys>);

struct Keys {
    entries: hmac::Key,
    names: hmac::Key,
    id: [u8; 16],
}

impl Chain {
    /// A chain under the server's secret.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        let key = |purpose| hmac::Key::new(hmac::HMAC_SHA256, secret.derive(purpose).expose());
        let (entries, names) = (key(Purpose::AuditLog), key(Purpose::AuditNames));
        let id = first_half(&sign(&entries, &[b"key"]));
        Self(Arc::new(Keys { entries, names, id }))
    }

    /// Appends an event as part of the transaction. A log of another key is continued under this one, which does not
    /// prove the earlier entries.
    ///
    /// # Errors
    /// [`StoreError`] if the state of the log cannot be read.
    pub fn append(&self, txn: &mut Txn<'_>, event: Event) -> Result<(), StoreError> {
        let mut state = self.known(txn)?;
        // A state that the server did not write must not get a valid seal.
        let is_sealed = self.has_sealed(&state);
        if !self.is_own(&state) {
            self.continue_unsealed(txn, &mut state, event.at, NOT_OURS)?;
        }
        self.put_next(txn, &mut state, event)?;
        if is_sealed {
            self.seal(&mut state);
        }
        txn.set_audit_state(&state);
        Ok(())
    }

    /// Begins this key with an entry that gives the reason, and appends an event. From then on the key proves the
    /// earlier entries as they are in the file `seal`, so only an operator's command may call this.
    ///
    /// # Errors
    /// [`StoreError`] if the state of the log cannot be read.
    pub fn begin(&self, txn: &mut Txn<'_>, why: &str, event: Event) -> Result<(), StoreError> {
        let state = self.known(txn)?;
        self.begin_after(txn, state, why, event)
    }

    /// As [`Chain::begin`], after a state that is not the store's.
    pub(super) fn begin_after(
        &self,
        txn: &mut Txn<'_>,
        mut state: AuditState,
        why: &str,
        event: Event,
    ) -> Result<(), StoreError> {
        self.take(&mut state);
        if state.last.id > 0 {
            self.put_next(txn, &mut state, continued(event.at, why))?;
        }
        self.put_next(txn, &mut state, event)?;
        self.seal(&mut state);
        txn.set_audit_state(&state);
        Ok(())
    }

    /// Continues under this key with an entry that gives the reason, and without a seal.
    pub(super) fn continue_unsealed(
        &self,
        txn: &mut Txn<'_>,
        state: &mut AuditState,
        at: Timestamp,
        why: &str,
    ) -> Result<(), StoreError> {
        self.take(state);
        state.seal = UNSEALED;
        self.put_next(txn, state, continued(at, why))
    }

    /// Lets the next entry be the first under this key.
    fn take(&self, state: &mut AuditState) {
        (state.key_id, state.key_since) = (self.0.id, state.last.id + 1);
    }

    /// Records the last entry in the files and the last one that was removed from them, and removes the oldest entries
    /// beyond
    /// `max_rows` from the store, some at a time.
    pub(super) fn advance(
        &self,
        txn: &mut Txn<'_>,
        exported: LogPosition,
        dropped: Option<LogPosition>,
        max_rows: u64,
    ) -> Result<(), StoreError> {
        // Few, because other writes wait meanwhile.
        const MAX_AT_ONCE: usize = 250;
        let Some(mut state) = audit::state(txn)?.filter(|state| self.is_own(state)) else { return Ok(()) };
        let is_sealed = self.has_sealed(&state);
        // Files with more entries than the log are those of another log.
        if (state.exported.id..=state.last.id).contains(&exported.id) {
            state.exported = exported;
        }
        state.dropped = dropped.filter(|dropped| dropped.id <= state.exported.id).unwrap_or(state.dropped);
        let last_to_go = state.last.id.saturating_sub(max_rows).min(state.exported.id);
        for entry in audit::after(txn, state.pruned.id, MAX_AT_ONCE)? {
            if entry.id > last_to_go {
                break;
            }
            state.pruned = LogPosition::after(&entry);
            txn.remove(&entry)?;
        }
        if is_sealed {
            self.seal(&mut state);
        }
        txn.set_audit_state(&state);
        Ok(())
    }

    /// A keyed hash of a user name that no account has, without regard to case.
    #[must_use]
    pub fn name_hash(&self, username: &str) -> [u8; 16] {
        first_half(&sign(&self.0.names, &[b"name", username.to_ascii_lowercase().as_bytes()]))
    }

    /// Whether this key is that of the last entry.
    #[must_use]
    pub fn is_own(&self, state: &AuditState) -> bool {
        state.key_id == self.0.id
    }

    /// Whether the state is what was sealed under this key.
    pub(super) fn has_sealed(&self, state: &AuditState) -> bool {
        self.verify(&[b"state", &sealed_bytes(state)], &state.seal)
    }

    /// Whether the line was written under this key after an entry with that HMAC or link.
    pub(super) fn verify_line(&self, before: &[u8; 32], parsed: &ParsedLine) -> bool {
        match &parsed.link {
            Some(link) => is_linked(before, parsed) && self.verify(&[b"entry", link], &parsed.mac),
            None => self.verify(&[b"line", before, parsed.body.as_bytes()], &parsed.mac),
        }
    }

    /// The seal of an entry's line, which may be chained under any key.
    pub(super) fn seal_line(&self, id: u64, line: &[u8]) -> [u8; 32] {
        sign(&self.0.entries, &[b"sealed", &id.to_be_bytes(), line])
    }

    /// Whether the seal is that of the line.
    pub(super) fn verify_sealed(&self, id: u64, line: &[u8], sealed: &[u8; 32]) -> bool {
        self.verify(&[b"sealed", &id.to_be_bytes(), line], sealed)
    }

    /// The state of the log; that of an empty log begins under this key.
    fn known(&self, txn: &Txn<'_>) -> Result<AuditState, StoreError> {
        let known = audit::state(txn)?.filter(|state| state.last.id > 0);
        Ok(known.unwrap_or_else(|| {
            let mut state = AuditState { key_id: self.0.id, key_since: 1, ..AuditState::default() };
            self.seal(&mut state);
            state
        }))
    }

    fn seal(&self, state: &mut AuditState) {
        state.seal = sign(&self.0.entries, &[b"state", &sealed_bytes(state)]);
    }

    fn put_next(&self, txn: &mut Txn<'_>, state: &mut AuditState, event: Event) -> Result<(), StoreError> {
        let id = state.last.id + 1;
        let mac = sign(&self.0.entries, &[b"line", &state.last.mac, body(id, &event).as_bytes()]);
        let entry = AuditEntry { id, event, mac, link: None };
        state.last = LogPosition::after(&entry);
        put(txn, &entry)
    }

    fn verify(&self, message: &[&[u8]], mac: &[u8; 32]) -> bool {
        hmac::verify(&self.0.entries, &message.concat(), mac).is_ok()
    }
}

/// Stores an entry as it is.
pub(super) fn put(txn: &mut Txn<'_>, entry: &AuditEntry) -> Result<(), StoreError> {
    txn.put(entry).map_err(|error| match error {
        PutError::Taken(tree) => table::corrupt(tree),
        PutError::Store(error) => error,
    })
}

/// Whether the link of a line of 0.3.0 is that of its text after the entry with that link.
pub(super) fn is_linked(before: &[u8; 32], parsed: &ParsedLine) -> bool {
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(parsed.body.as_bytes());
    parsed.link.is_some_and(|link| context.finish().as_ref() == link)
}

fn continued(at: Timestamp, why: &str) -> Event {
    done(at, Actor::SERVER, Action::ContinueLog, AffectedResource::details(vec![why.to_owned()]))
}

fn sealed_bytes(state: &AuditState) -> Vec<u8> {
    let positions = [state.last, state.exported, state.pruned, state.dropped];
    let mut bytes: Vec<u8> =
        positions.iter().flat_map(|position| [&position.id.to_be_bytes(), &position.mac[..]].concat()).collect();
    bytes.extend(state.key_id);
    bytes.extend(state.key_since.to_be_bytes());
    bytes
}

/// HMAC-SHA-256 of a message whose first part is its kind; no kind is a prefix of another.
fn sign(key: &hmac::Key, message: &[&[u8]]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    for part in message {
        context.update(part);
    }
    context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

fn first_half(bytes: &[u8; 32]) -> [u8; 16] {
    *bytes.first_chunk().expect("32 bytes have 16")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{Store, memory::Memory};

    /// A store with ten entries.
    fn ten() -> (Store, Chain) {
        let (store, chain) = (Store::over(Arc::new(Memory::default())), Chain::new(&RootSecret::from_bytes([7; 32])));
        for number in 1..=10 {
            let event = done(Timestamp::from_secs(number), Actor::SERVER, Action::SignIn, AffectedResource::default());
            chain.record(&store, event).unwrap();
        }
        (store, chain)
    }

    #[test]
    fn files_with_more_entries_than_the_log_are_ignored() {
        let (store, chain) = ten();
        let before = audit::state(&store).unwrap();
        let eleventh = LogPosition { id: 11, mac: [0; 32] };

        store.write_blocking(move |txn| chain.advance(txn, eleventh, Some(eleventh), 2)).unwrap();

        assert_eq!(audit::state(&store).unwrap(), before);
        assert_eq!(audit::after(&store, 0, 100).unwrap().len(), 10);
    }

    #[test]
    fn an_entry_that_is_in_no_file_stays_in_the_store() {
        let (store, chain) = ten();
        let fifth = LogPosition::after(&audit::after(&store, 4, 1).unwrap()[0]);

        store.write_blocking(move |txn| chain.advance(txn, fifth, None, 2)).unwrap();

        assert_eq!(audit::state(&store).unwrap().unwrap().pruned, fifth);
        assert_eq!(audit::after(&store, 0, 100).unwrap().len(), 5);
    }
}
