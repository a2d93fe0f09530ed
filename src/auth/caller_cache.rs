//! Callers whose credential was verified recently, so that their next request need not verify it again.
//!
//! An entry is valid while the store's version of its owner is unchanged: a request that begins after the answer to a
//! sign-out, a deletion or any loss of rights finds a newer version, and the entry is not used. Entries are found by a
//! keyed hash of the credential, in any spelling of its header, and for a password also of the address; the credential
//! itself is not stored. All threads share the entries, and each copies a few that it uses repeatedly. Their memory is bounded, and
//! idle entries are dropped.

mod copies;

use std::{
    array,
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
    mem,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use siphasher::sip128::{Hasher128, SipHasher24};

use super::{
    Authentication,
    credential::{Presented, parts},
};
use crate::{
    clock::Timestamp,
    domain::{AllowedNetworks, Scope, User, octets},
    random::random_bytes,
    store::Version,
};

/// The maximum memory of all entries, in bytes.
const MAX_BYTES: usize = 32 << 20;
/// The number of locks that the entries are divided among, so that threads seldom wait for each other.
const SHARDS: usize = 32;
/// The maximum memory of a shard's recent entries; beyond it they become the old ones, whose memory is as large.
const MAX_RECENT_BYTES: usize = MAX_BYTES / SHARDS / 2;
/// The maximum age of an entry, so that a password is verified again from time to time.
const LIFETIME_MILLIS: u64 = 60_000;
/// The memory of an entry without the scopes and networks of its key: a slot in a table, an account with the longest texts,
/// the key.
const ENTRY_BYTES: usize = 2048;
/// The memory of a scope without its text.
const SCOPE_BYTES: usize = 96;

/// The cache of one authenticator, whose hashes have a key of their own.
pub(super) struct CallerCache {
    key: [u8; 16],
    shards: [Mutex<Shard>; SHARDS],
}

/// A keyed hash of a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// A caller whose credential was valid.
#[derive(Clone)]
pub(super) struct Entry {
    /// The version of the owner's rows before they were read.
    pub(super) version: Version,
    /// The account.
    pub(super) user: Arc<User>,
    /// The kind of the credential.
    pub(super) authentication: Authentication,
    /// When the session or the key ends; `None` if it does not.
    pub(super) ends: Option<Timestamp>,
    /// When the credential was verified.
    pub(super) since: Timestamp,
}

/// The entries of one lock, in two generations: an entry that is used moves to the recent one.
#[derive(Default)]
struct Shard {
    recent: Entries,
    recent_bytes: usize,
    old: Entries,
}

type Entries = HashMap<Fingerprint, Entry, BuildHasherDefault<FingerprintHasher>>;

/// Uses the fingerprint itself as the hash.
#[derive(Default)]
struct FingerprintHasher(u64);

impl CallerCache {
    pub(super) fn new() -> Self {
        Self { key: random_bytes(), shards: array::from_fn(|_| Mutex::default()) }
    }

    /// The fingerprint of a credential that is presented from that address.
    pub(super) fn fingerprint(&self, presented: Presented<'_>, address: IpAddr) -> Fingerprint {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        match presented {
            Presented::Basic(credential) => {
                hasher.write(&[0]);
                hasher.write(&octets(address));
                parts(credential).for_each(|part| hasher.write(part));
            }
            Presented::Token(credential) => {
                hasher.write(&[1]);
                hasher.write(credential);
            }
        }
        Fingerprint(hasher.finish128().as_u128())
    }

    /// The entry of that fingerprint, if it is valid.
    pub(super) fn get(&self, fingerprint: Fingerprint, is_valid: impl Fn(&Entry) -> bool) -> Option<Entry> {
        if let Some(copy) = copies::get(fingerprint, &is_valid) {
            return Some(copy);
        }
        let entry = self.shared(fingerprint).filter(is_valid)?;
        copies::offer(fingerprint, &entry);
        Some(entry)
    }

    fn shared(&self, fingerprint: Fingerprint) -> Option<Entry> {
        let mut shard = self.shard(fingerprint);
        if let Some(entry) = shard.recent.get(&fingerprint) {
            return Some(entry.clone());
        }
        let entry = shard.old.remove(&fingerprint)?;
        shard.insert(fingerprint, entry.clone());
        Some(entry)
    }

    /// Inserts an entry.
    pub(super) fn insert(&self, fingerprint: Fingerprint, entry: Entry) {
        self.shard(fingerprint).insert(fingerprint, entry);
    }

    /// Removes expired entries and frees their memory.
    pub(super) fn drop_idle(&self, now: Timestamp) {
        for shard in &self.shards {
            lock(shard).drop_idle(now);
        }
    }

    fn shard(&self, fingerprint: Fingerprint) -> MutexGuard<'_, Shard> {
        lock(&self.shards[fingerprint.below(SHARDS)])
    }
}

impl Fingerprint {
    /// A number below that bound, from the half that a shard's table does not use.
    fn below(self, bound: usize) -> usize {
        usize::try_from((self.0 >> 64) % bound as u128).expect("it is below a number of that type")
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("no holder of the lock panics")
}

impl Entry {
    /// Whether the entry is valid, where `version` is the owner's current one.
    pub(super) fn is_valid(&self, version: Version, now: Timestamp) -> bool {
        self.version == version && self.ends.is_none_or(|ends| now < ends) && self.is_current(now)
    }

    /// Whether the entry has not expired. If the clock was set back to before its creation, it has.
    fn is_current(&self, now: Timestamp) -> bool {
        now.as_millis().wrapping_sub(self.since.as_millis()) < LIFETIME_MILLIS
    }

    /// The approximate memory of the entry, in bytes.
    fn bytes(&self) -> usize {
        let of_key = match &self.authentication {
            Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_) => 0,
            Authentication::ApiKey(key) => {
                let networks = key.allowed_networks.iter().flat_map(AllowedNetworks::iter);
                let scope = |scope: &Scope| SCOPE_BYTES + scope.controller().len() + scope.action().len();
                key.scopes.iter().map(scope).sum::<usize>() + networks.map(size_of_val).sum::<usize>()
            }
        };
        ENTRY_BYTES + of_key
    }
}

impl Shard {
    fn insert(&mut self, fingerprint: Fingerprint, entry: Entry) {
        let bytes = entry.bytes();
        if self.recent_bytes + bytes > MAX_RECENT_BYTES {
            self.old = mem::take(&mut self.recent);
            self.recent_bytes = 0;
        }
        let replaced = self.recent.insert(fingerprint, entry);
        self.recent_bytes += bytes;
        self.recent_bytes -= replaced.map_or(0, |replaced| replaced.bytes());
    }

    fn drop_idle(&mut self, now: Timestamp) {
        for entries in [&mut self.recent, &mut self.old] {
            entries.retain(|_, entry| entry.is_current(now));
            entries.shrink_to_fit();
        }
        self.recent_bytes = self.recent.values().map(Entry::bytes).sum();
    }
}

impl Hasher for FingerprintHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, _: &[u8]) {
        unreachable!("a fingerprint is one number");
    }

    fn write_u128(&mut self, number: u128) {
        self.0 = u64::try_from(number & u128::from(u64::MAX)).expect("it is masked");
    }
}

#[cfg(test)]
mod tests;
