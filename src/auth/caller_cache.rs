//! Callers found out lately, so that the next request of theirs need not find out again who is asking.
//!
//! An entry is good while nothing has changed that it rests on, which the store's mark of its owner tells: a request that
//! begins after the answer to a sign-out, a deletion or any loss of rights finds the mark moved and the entry worth
//! nothing. Each thread has entries of its own, so that reading one takes no lock. They are found by a keyed hash of the
//! `Authorization` header and the address: no credential is kept.

use std::{cell::RefCell, collections::HashMap, hash::Hasher, mem, net::IpAddr, sync::Arc};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::Authentication;
use crate::{
    clock::Timestamp,
    domain::{User, octets},
    random::random_bytes,
    store::Version,
};

/// How many entries a thread has at most are twice as many: those of lately, and those of before.
const MAX_RECENT: usize = 2048;
/// How long an entry lasts at most, so that a password is verified again some time.
const LIFETIME_MILLIS: u64 = 60_000;

/// Finds entries of one authenticator.
pub(super) struct CallerCache {
    key: [u8; 16],
}

/// By what an entry is found.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// Somebody whose credential was good.
#[derive(Clone)]
pub(super) struct Entry {
    /// The mark of the owner's rows before they were read.
    pub(super) version: Version,
    /// The account.
    pub(super) user: Arc<User>,
    /// By what they came in.
    pub(super) authentication: Authentication,
    /// When the session or the key ends, if it does.
    pub(super) ends: Option<Timestamp>,
    /// When this was found out.
    pub(super) since: Timestamp,
}

#[derive(Default)]
struct Entries {
    recent: HashMap<Fingerprint, Entry>,
    previous: HashMap<Fingerprint, Entry>,
}

thread_local! {
    static ENTRIES: RefCell<Entries> = RefCell::default();
}

impl CallerCache {
    pub(super) fn new() -> Self {
        Self { key: random_bytes() }
    }

    /// By what an entry for this header from that address is found.
    pub(super) fn fingerprint(&self, authorization: &[u8], address: IpAddr) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&octets(address));
        hasher.write(authorization);
        Fingerprint(hasher.finish128().as_u128())
    }
}

impl Entry {
    /// Whether it is still good, `version` being the mark of its owner now.
    pub(super) fn is_good(&self, version: Version, now: Timestamp) -> bool {
        self.version == version
            && self.ends.is_none_or(|ends| now < ends)
            && now.as_millis() < self.since.as_millis().saturating_add(LIFETIME_MILLIS)
    }
}

/// The entry of that fingerprint, good or not.
pub(super) fn entry(fingerprint: Fingerprint) -> Option<Entry> {
    ENTRIES.with_borrow_mut(|entries| {
        if let Some(entry) = entries.recent.get(&fingerprint) {
            return Some(entry.clone());
        }
        let entry = entries.previous.remove(&fingerprint)?;
        entries.insert(fingerprint, entry.clone());
        Some(entry)
    })
}

/// Keeps an entry.
pub(super) fn keep(fingerprint: Fingerprint, entry: Entry) {
    ENTRIES.with_borrow_mut(|entries| entries.insert(fingerprint, entry));
}

impl Entries {
    fn insert(&mut self, fingerprint: Fingerprint, entry: Entry) {
        if self.recent.len() >= MAX_RECENT {
            self.previous = mem::take(&mut self.recent);
        }
        self.recent.insert(fingerprint, entry);
    }
}
