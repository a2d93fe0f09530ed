//! Buckets in bounded memory.

use std::{collections::HashMap, hash::Hash};

use super::{
    AccountHash, Pair,
    bucket::{BackoffPolicy, Bucket},
};
use crate::{
    clock::Timestamp,
    domain::{Id, Network},
};

/// A bucket and what else is known of its account or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bucket: Bucket,
    /// How many of its failures are tries that may yet turn out to be none.
    pending: u32,
    /// The account's user, if there was one when it was last tried.
    pub(super) user: Option<Id>,
    /// When somebody last signed in.
    pub(super) signed_in_at: Timestamp,
    /// Whether the log was told that it waits.
    is_told: bool,
}

/// Buckets of one kind. When there is no room for another one the coldest go first, and never one that waits.
#[derive(Debug)]
pub(super) struct Table<K> {
    pub(super) policy: BackoffPolicy,
    most: usize,
    entries: HashMap<K, Entry>,
}

/// A failure that was counted before it was known to be one.
#[derive(Debug)]
pub(super) struct Reservation<K> {
    key: K,
    before: Option<Entry>,
    after: Bucket,
    /// From when on another try is admitted.
    pub(super) waits_until: Timestamp,
}

/// The account and the address that a bucket is for; no two buckets of a try have the same.
pub(super) type BucketKey = (Option<AccountHash>, Option<Network>);

/// Why a try may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    /// Whether there are enough failures without the tries that are running.
    pub(super) is_certain: bool,
    /// From when on it may.
    pub(super) until: Timestamp,
    /// Which bucket it has to wait for.
    pub(super) bucket_key: BucketKey,
}

/// An account, an address or both, on which tries wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lockout {
    /// From when on another try is admitted.
    pub until: Timestamp,
    /// The address, unless it is the account over all addresses that waits.
    pub network: Option<Network>,
    /// The account, unless it is the address over all accounts that waits.
    pub account: Option<AccountHash>,
    /// Who had the account's name when it was last tried.
    pub user: Option<Id>,
    /// How many failures count.
    pub failures: u32,
}

/// What buckets are kept for.
pub(super) trait Key: Copy + Eq + Hash {
    /// The account and the address that it names.
    fn bucket_key(&self) -> BucketKey;
}

impl Key for Pair {
    fn bucket_key(&self) -> BucketKey {
        (Some(self.0), Some(self.1))
    }
}

impl Key for Network {
    fn bucket_key(&self) -> BucketKey {
        (None, Some(*self))
    }
}

impl Key for AccountHash {
    fn bucket_key(&self) -> BucketKey {
        (Some(*self), None)
    }
}

impl Lockout {
    /// Tells the log, without the name: it may be none.
    pub(super) fn tell(&self) {
        let user = self.user.map_or_else(|| "-".to_owned(), |id| id.to_string());
        let (failures, until) = (self.failures, self.until);
        match (self.account, self.network) {
            (Some(_), Some(network)) => log::warn!(
                "sign-ins to an account from one address wait: user_id={user} address={network} failures={failures} until={until}"
            ),
            (Some(_), None) => log::warn!(
                "sign-ins to an account from new addresses wait: user_id={user} failures={failures} until={until}"
            ),
            (None, network) => log::warn!(
                "sign-ins from an address to accounts that are new to it wait: address={} failures={failures} until={until}",
                network.map(|network| network.to_string()).unwrap_or_default()
            ),
        }
    }
}

impl Entry {
    fn touched_at(&self) -> Timestamp {
        self.bucket.tried_at.max(self.signed_in_at)
    }

    /// Whether there are enough failures to wait for, without the tries that are running.
    fn is_certain(&self, policy: &BackoffPolicy) -> bool {
        self.bucket.failures.saturating_sub(self.pending) >= policy.after
    }

    fn waiting(&self, key: &impl Key, policy: &BackoffPolicy) -> Lockout {
        let (account, network) = key.bucket_key();
        let (until, failures) = (self.bucket.waits_until(policy), self.bucket.failures);
        Lockout { until, network, account, user: self.user, failures }
    }
}

impl<K: Key> Reservation<K> {
    /// The bucket that it is in.
    pub(super) fn bucket_key(&self) -> BucketKey {
        self.key.bucket_key()
    }
}

impl<K: Key> Table<K> {
    pub(super) fn new(policy: BackoffPolicy, most: usize) -> Self {
        Self { policy, most, entries: HashMap::new() }
    }

    pub(super) fn get(&self, key: &K) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// What a try has to wait for.
    pub(super) fn wait(&self, key: &K, now: Timestamp) -> Option<Wait> {
        let entry = self.get(key)?;
        let (is_certain, until) = (entry.is_certain(&self.policy), entry.bucket.waits_until(&self.policy));
        (now < until).then(|| Wait { is_certain, until, bucket_key: key.bucket_key() })
    }

    /// Sees to it that there is room for the key; if there is none, all of them wait, the first until the given moment.
    pub(super) fn make_room(&mut self, key: &K, now: Timestamp) -> Result<(), Wait> {
        self.make_room_within(self.most, key, now)
    }

    /// As [`Table::make_room`], in half of the memory: for what costs nothing to try.
    pub(super) fn make_room_in_half(&mut self, key: &K, now: Timestamp) -> Result<(), Wait> {
        self.make_room_within(self.most / 2, key, now)
    }

    fn make_room_within(&mut self, most: usize, key: &K, now: Timestamp) -> Result<(), Wait> {
        if self.entries.len() < most || self.entries.contains_key(key) {
            return Ok(());
        }
        // Some at once, so that not every newcomer has to look through all of them.
        let goes = (self.most / 16).max(1);
        let waits_until = |entry: &Entry| entry.bucket.waits_until(&self.policy);
        let idle = self.entries.iter().filter(|(_, entry)| waits_until(entry) <= now);
        let mut idle: Vec<_> = idle.map(|(key, entry)| (entry.touched_at(), *key)).collect();
        if idle.is_empty() {
            let until = self.entries.values().map(waits_until).min().unwrap_or(now);
            return Err(Wait { is_certain: true, until, bucket_key: key.bucket_key() });
        }
        if idle.len() > goes {
            idle.select_nth_unstable_by_key(goes, |(touched_at, _)| *touched_at);
            idle.truncate(goes);
        }
        for (_, key) in idle {
            self.entries.remove(&key);
        }
        Ok(())
    }

    /// Counts a failure; [`Table::undo`] takes it back.
    pub(super) fn reserve(&mut self, key: K, user: Option<Id>, now: Timestamp) -> Reservation<K> {
        let before = self.entries.get(&key).copied();
        let bucket = Bucket::after_another(before.as_ref().map(|entry| &entry.bucket), &self.policy, now);
        let is_told = before.is_some_and(|entry| entry.is_told) && bucket.failures >= self.policy.after;
        let signed_in_at = before.map_or(Timestamp::from_millis(0), |entry| entry.signed_in_at);
        let pending = before.map_or(0, |entry| entry.pending) + 1;
        self.entries.insert(key, Entry { bucket, pending, user, signed_in_at, is_told });
        Reservation { key, before, after: bucket, waits_until: bucket.waits_until(&self.policy) }
    }

    /// Takes a failure back that was none; what others have failed meanwhile stays.
    pub(super) fn undo(&mut self, reserve: &Reservation<K>) {
        let Some(entry) = self.entries.get_mut(&reserve.key) else { return };
        entry.pending = entry.pending.saturating_sub(1);
        match reserve.before {
            Some(before) if entry.bucket == reserve.after => entry.bucket = before.bucket,
            None if entry.bucket == reserve.after => drop(self.entries.remove(&reserve.key)),
            Some(_) | None => entry.bucket.failures = entry.bucket.failures.saturating_sub(1),
        }
    }

    /// Knows that it was a failure; tells what waits since then, unless that was told before.
    pub(super) fn confirm(&mut self, reserve: &Reservation<K>) -> Option<Lockout> {
        let entry = self.entries.get_mut(&reserve.key)?;
        entry.pending = entry.pending.saturating_sub(1);
        if entry.is_told || !entry.is_certain(&self.policy) {
            return None;
        }
        entry.is_told = true;
        Some(entry.waiting(&reserve.key, &self.policy))
    }

    /// Notes that somebody has signed in: nothing is held against them.
    pub(super) fn sign_in(&mut self, key: K, user: Option<Id>, now: Timestamp) {
        if self.make_room(&key, now).is_ok() {
            let bucket = Bucket { failures: 0, tried_at: now };
            self.entries.insert(key, Entry { bucket, pending: 0, user, signed_in_at: now, is_told: false });
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Forgets those for which this is so.
    pub(super) fn forget(&mut self, mut is_so: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| !is_so(key));
    }

    /// Forgets the failures of those for which this is so.
    pub(super) fn forgive(&mut self, is_so: impl Fn(&K) -> bool) {
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| is_so(key)) {
            entry.bucket.failures = 0;
            entry.is_told = false;
        }
    }

    /// The key for which this is so that was touched least lately, if there are that many of them.
    pub(super) fn least_recent_of(&self, many: usize, is_so: impl Fn(&K) -> bool) -> Option<K> {
        let found: Vec<_> = self.entries.iter().filter(|(key, _)| is_so(key)).collect();
        let least_recent = found.iter().min_by_key(|(_, entry)| entry.touched_at()).map(|(key, _)| **key);
        least_recent.filter(|_| found.len() >= many)
    }

    /// Those that wait.
    pub(super) fn waiting(&self, now: Timestamp) -> impl Iterator<Item = Lockout> {
        let certain = self.entries.iter().filter(|(_, entry)| entry.is_certain(&self.policy));
        let waiting = certain.map(|(key, entry)| entry.waiting(key, &self.policy));
        waiting.filter(move |waiting| now < waiting.until)
    }
}
