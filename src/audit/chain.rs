//! How entries are chained, and what vouches for them.

use std::sync::Arc;

use ring::{
    digest::{Context, SHA256},
    hmac,
};

use super::{done, line::body};
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

/// In place of a seal, where a key goes on with what it does not vouch for.
pub(super) const UNSEALED: [u8; 32] = [0; 32];
/// What the first entry under a key says of the others, if no act of anybody began that key.
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
        let id = first_half(&sign(&entries, b"key", &[]));
        Self(Arc::new(Keys { entries, names, id }))
    }

    /// Writes an event behind all others. It is kept if the transaction is. A log that was written under another key goes on
    /// under this one, which does not vouch for it.
    ///
    /// # Errors
    /// [`StoreError`] if what is known of the log cannot be read.
    pub fn append(&self, txn: &mut Txn<'_>, event: Event) -> Result<(), StoreError> {
        let mut state = self.known(txn)?;
        // A state that somebody else has written must stay recognisable as such.
        let is_sealed = self.has_sealed(&state);
        if !self.is_own(&state) {
            self.continue_under_key(txn, &mut state, event.at, NOT_OURS)?;
        }
        self.put_next(txn, &mut state, event)?;
        if is_sealed {
            self.seal(&mut state);
        }
        txn.set_audit_state(&state);
        Ok(())
    }

    /// As [`Chain::append`], behind an entry that says why this key begins here; from then on it vouches for the log, whatever
    /// was done to it before. Nobody may call it but for an act of whoever answers for the log.
    ///
    /// # Errors
    /// [`StoreError`] if what is known of the log cannot be read.
    pub fn begin(&self, txn: &mut Txn<'_>, why: &str, event: Event) -> Result<(), StoreError> {
        let mut state = self.known(txn)?;
        if state.last.id > 0 {
            self.continue_under_key(txn, &mut state, event.at, why)?;
        }
        self.put_next(txn, &mut state, event)?;
        self.seal(&mut state);
        txn.set_audit_state(&state);
        Ok(())
    }

    /// Goes on under this key with an entry that says why, and leaves the seal broken.
    pub(super) fn continue_under_key(
        &self,
        txn: &mut Txn<'_>,
        state: &mut AuditState,
        at: Timestamp,
        why: &str,
    ) -> Result<(), StoreError> {
        (state.key_id, state.key_since, state.seal) = (self.0.id, state.last.id + 1, UNSEALED);
        let subject = AffectedResource::details(vec![why.to_owned()]);
        self.put_next(txn, state, done(at, Actor::SERVER, Action::ContinueLog, subject))
    }

    /// Notes how far the log is in its files and what is no longer kept there, and removes the oldest entries beyond
    /// `max_rows` from the store, some at a time.
    pub(super) fn advance(
        &self,
        txn: &mut Txn<'_>,
        exported: LogPosition,
        dropped: Option<LogPosition>,
        max_rows: u64,
    ) -> Result<(), StoreError> {
        // Few, because others wait for them.
        const MAX_AT_ONCE: usize = 250;
        let Some(mut state) = audit::state(txn)?.filter(|state| self.is_own(state)) else { return Ok(()) };
        let is_sealed = self.has_sealed(&state);
        // Files that have more than the log has are those of another.
        if (state.exported.id..=state.last.id).contains(&exported.id) {
            state.exported = exported;
        }
        state.dropped = dropped.filter(|dropped| dropped.id <= state.exported.id).unwrap_or(state.dropped);
        let last_to_go = state.last.id.saturating_sub(max_rows).min(state.exported.id);
        for entry in audit::behind(txn, state.pruned.id, MAX_AT_ONCE)? {
            if entry.id > last_to_go {
                break;
            }
            state.pruned = position(&entry);
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
        first_half(&sign(&self.0.names, b"name", username.to_ascii_lowercase().as_bytes()))
    }

    /// Whether the log goes on under this key.
    #[must_use]
    pub fn is_own(&self, state: &AuditState) -> bool {
        state.key_id == self.0.id
    }

    /// Whether the state is what was sealed under this key.
    pub(super) fn has_sealed(&self, state: &AuditState) -> bool {
        let tag = [b"state".as_slice(), &sealed_bytes(state)].concat();
        hmac::verify(&self.0.entries, &tag, &state.seal).is_ok()
    }

    /// Whether that HMAC of a link was made under this key.
    pub(super) fn verify_mac(&self, link: &[u8; 32], mac: &[u8; 32]) -> bool {
        hmac::verify(&self.0.entries, &[b"entry".as_slice(), link].concat(), mac).is_ok()
    }

    /// What is known of the log; one without any entry begins under this key.
    fn known(&self, txn: &Txn<'_>) -> Result<AuditState, StoreError> {
        let known = audit::state(txn)?.filter(|state| state.last.id > 0);
        Ok(known.unwrap_or_else(|| {
            let mut state = AuditState { key_id: self.0.id, key_since: 1, ..AuditState::default() };
            self.seal(&mut state);
            state
        }))
    }

    fn seal(&self, state: &mut AuditState) {
        state.seal = sign(&self.0.entries, b"state", &sealed_bytes(state));
    }

    fn put_next(&self, txn: &mut Txn<'_>, state: &mut AuditState, event: Event) -> Result<(), StoreError> {
        let id = state.last.id + 1;
        let link = link(&state.last.link, body(id, &event).as_bytes());
        let mac = sign(&self.0.entries, b"entry", &link);
        let entry = AuditEntry { id, event, link, mac };
        state.last = position(&entry);
        put(txn, &entry)
    }
}

/// Puts an entry as it is.
pub(super) fn put(txn: &mut Txn<'_>, entry: &AuditEntry) -> Result<(), StoreError> {
    txn.put(entry).map_err(|error| match error {
        PutError::Taken(tree) => table::corrupt(tree),
        PutError::Store(error) => error,
    })
}

/// The place behind an entry.
pub(super) fn position(entry: &AuditEntry) -> LogPosition {
    LogPosition { id: entry.id, link: entry.link }
}

/// The link of the entry with that text, behind the one with that link.
pub(super) fn link(before: &[u8; 32], body: &[u8]) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    context.update(before);
    context.update(body);
    context.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
}

fn sealed_bytes(state: &AuditState) -> Vec<u8> {
    let places = [state.last, state.exported, state.pruned, state.dropped];
    let mut bytes: Vec<u8> =
        places.iter().flat_map(|position| [&position.id.to_be_bytes(), &position.link[..]].concat()).collect();
    bytes.extend(state.key_id);
    bytes.extend(state.key_since.to_be_bytes());
    bytes
}

/// HMAC-SHA-256 of a message of one kind; kinds are never each other's beginnings.
fn sign(key: &hmac::Key, kind: &[u8], message: &[u8]) -> [u8; 32] {
    let mut context = hmac::Context::with_key(key);
    context.update(kind);
    context.update(message);
    context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
}

fn first_half(bytes: &[u8; 32]) -> [u8; 16] {
    *bytes.first_chunk().expect("32 bytes have 16")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        store::{Store, memory::Memory},
    };

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
    fn files_that_have_more_than_the_log_has_count_for_nothing() {
        let (store, chain) = ten();
        let before = audit::state(&store).unwrap();
        let eleventh = LogPosition { id: 11, link: [0; 32] };

        store.write_blocking(move |txn| chain.advance(txn, eleventh, Some(eleventh), 2)).unwrap();

        assert_eq!(audit::state(&store).unwrap(), before);
        assert_eq!(audit::behind(&store, 0, 100).unwrap().len(), 10);
    }

    #[test]
    fn what_is_in_no_file_stays_in_the_store_however_little_is_to_stay() {
        let (store, chain) = ten();
        let fifth = position(&audit::behind(&store, 4, 1).unwrap()[0]);

        store.write_blocking(move |txn| chain.advance(txn, fifth, None, 2)).unwrap();

        assert_eq!(audit::state(&store).unwrap().unwrap().pruned, fifth);
        assert_eq!(audit::behind(&store, 0, 100).unwrap().len(), 5);
    }
}
