//! Recently authenticated callers, so that the next request with the same credential is not authenticated from scratch.
//!
//! An entry is valid while the store's version of its owner is the same. A request that begins after the answer to a sign-out,
//! a deletion or any loss of rights finds another version, and the entry invalid. Each thread has entries of its own, so that reading one takes no lock. They are found by a keyed hash of the
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

/// The maximum number of entries in each of a thread's two generations, the recent one and the previous one.
const MAX_RECENT: usize = 2048;
/// The maximum age of an entry, so that a password is verified again from time to time.
const LIFETIME_MILLIS: u64 = 60_000;

/// The entries of one authenticator, found by hashes under a key of its own.
pub(super) struct CallerCache {
    key: [u8; 16],
}

/// The key of an entry.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// An authenticated user.
#[derive(Clone)]
pub(super) struct Entry {
    /// The version of the owner's rows, taken before they were read.
    pub(super) version: Version,
    /// The account.
    pub(super) user: Arc<User>,
    /// The credential.
    pub(super) authentication: Authentication,
    /// When the session or the key ends, if it does.
    pub(super) ends: Option<Timestamp>,
    /// When the credential was verified.
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

    /// The fingerprint of this header from that address.
    pub(super) fn fingerprint(&self, authorization: &[u8], address: IpAddr) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(&octets(address));
        hasher.write(authorization);
        Fingerprint(hasher.finish128().as_u128())
    }
}

impl Entry {
    /// Whether it is still valid, given the current version of its owner.
    pub(super) fn is_valid(&self, version: Version, now: Timestamp) -> bool {
        self.version == version
            && self.ends.is_none_or(|ends| now < ends)
            && now.as_millis() < self.since.as_millis().saturating_add(LIFETIME_MILLIS)
    }
}

/// The entry of that fingerprint, valid or not.
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

/// Inserts an entry.
pub(super) fn insert(fingerprint: Fingerprint, entry: Entry) {
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
