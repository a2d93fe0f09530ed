//! Callers whose credential was verified recently, so that their next request need not verify it again.
//!
//! An entry is good while nothing has changed that it rests on, which the store's version of its owner shows: a request that
//! begins after the answer to a sign-out, a deletion or any loss of rights finds a newer version and the entry worth
//! nothing. Entries are found by a keyed hash of the credential, however its header spells it, and for a password of the
//! address too; the credential itself is not kept. All threads share the entries. Their memory is bounded, and what is idle
//! is dropped.

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
    domain::{User, octets},
    random::random_bytes,
    store::Version,
};

/// How many bytes all entries take at most.
const MAX_BYTES: usize = 32 << 20;
/// Among how many locks the entries are spread, so that threads seldom wait for each other.
const SHARDS: usize = 32;
/// How many bytes the recent entries of a shard take at most; then they are the old ones, which take as many.
const MAX_RECENT_BYTES: usize = MAX_BYTES / SHARDS / 2;
/// How long an entry lasts at most, so that a password is verified again some time.
const LIFETIME_MILLIS: u64 = 60_000;
/// What an entry takes besides the scopes of its key: a place in a table, the account with the longest texts, the key.
const ENTRY_BYTES: usize = 2048;
/// What a scope takes besides its text.
const SCOPE_BYTES: usize = 96;

/// The entries of one authenticator, found by hashes under a key of its own.
pub(super) struct CallerCache {
    key: [u8; 16],
    shards: [Mutex<Shard>; SHARDS],
}

/// A keyed hash of a credential.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Fingerprint(u128);

/// A caller whose credential was good.
#[derive(Clone)]
pub(super) struct Entry {
    /// The version of the owner's rows before they were read.
    pub(super) version: Version,
    /// The account.
    pub(super) user: Arc<User>,
    /// The kind of the credential.
    pub(super) authentication: Authentication,
    /// When the session or the key ends, if it does.
    pub(super) ends: Option<Timestamp>,
    /// When the credential was verified.
    pub(super) since: Timestamp,
}

/// The entries of one lock: those that were used since the last time that they became too many, and those before.
#[derive(Default)]
struct Shard {
    recent: Entries,
    recent_bytes: usize,
    old: Entries,
}

type Entries = HashMap<Fingerprint, Entry, BuildHasherDefault<FingerprintHasher>>;

/// A fingerprint is a hash already.
#[derive(Default)]
struct FingerprintHasher(u64);

impl CallerCache {
    pub(super) fn new() -> Self {
        Self { key: random_bytes(), shards: array::from_fn(|_| Mutex::default()) }
    }

    /// The fingerprint of what is presented from that address.
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

    /// The entry of that fingerprint, valid or not.
    pub(super) fn get(&self, fingerprint: Fingerprint) -> Option<Entry> {
        let mut shard = self.shard(fingerprint);
        if let Some(entry) = shard.recent.get(&fingerprint) {
            return Some(entry.clone());
        }
        let entry = shard.old.remove(&fingerprint)?;
        shard.insert(fingerprint, entry.clone());
        Some(entry)
    }

    /// Keeps an entry.
    pub(super) fn insert(&self, fingerprint: Fingerprint, entry: Entry) {
        self.shard(fingerprint).insert(fingerprint, entry);
    }

    /// Drops the entries that have lasted as long as they may, and gives their memory back.
    pub(super) fn drop_idle(&self, now: Timestamp) {
        for shard in &self.shards {
            lock(shard).drop_idle(now);
        }
    }

    fn shard(&self, fingerprint: Fingerprint) -> MutexGuard<'_, Shard> {
        // The other half than the one by which the table of the shard places it.
        let number = (fingerprint.0 >> 64) % SHARDS as u128;
        lock(&self.shards[usize::try_from(number).expect("it is below the number of shards")])
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().expect("no holder of the lock panics")
}

impl Entry {
    /// Whether it is still valid, `version` being that of its owner now.
    pub(super) fn is_valid(&self, version: Version, now: Timestamp) -> bool {
        self.version == version && self.ends.is_none_or(|ends| now < ends) && self.is_current(now)
    }

    /// Whether it has not lasted too long; a clock that shows less than at its making has been set back.
    fn is_current(&self, now: Timestamp) -> bool {
        now.as_millis().wrapping_sub(self.since.as_millis()) < LIFETIME_MILLIS
    }

    /// About how many bytes it takes.
    fn bytes(&self) -> usize {
        let of_scopes = match &self.authentication {
            Authentication::Password | Authentication::Session(_) => 0,
            Authentication::ApiKey(key) => {
                key.scopes.iter().map(|scope| SCOPE_BYTES + scope.controller().len() + scope.action().len()).sum()
            }
        };
        ENTRY_BYTES + of_scopes
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
