//! Tables of buckets, bounded in memory.

use std::{collections::HashMap, hash::Hash};

use super::{AccountHash, Pair, bucket::Bucket, policy::BackoffPolicy};
use crate::{
    clock::{MonotonicTime, Reading, Timestamp},
    domain::{Id, Network},
};

/// A bucket with the data of its account or address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) bucket: Bucket,
    /// How many of its failures are attempts that are still running.
    pending: u32,
    /// The account's user, if there was one at the last attempt.
    pub(super) user: Option<Id>,
    /// When the user last signed in.
    pub(super) signed_in_at: MonotonicTime,
    /// Whether the current lockout has been logged.
    is_logged: bool,
}

/// Buckets of one kind. When the table is full, the least recent ones are dropped, but never one that is locked out.
#[derive(Debug)]
pub(super) struct Table<K> {
    pub(super) policy: BackoffPolicy,
    max: usize,
    entries: HashMap<K, Entry>,
    /// Until when all are locked out, if that has been found.
    full_until: Option<MonotonicTime>,
}

/// A failure that is counted before the outcome of its attempt is known.
#[derive(Debug)]
pub(super) struct Reservation<K> {
    key: K,
    old: Option<Entry>,
    new: Bucket,
    /// When the next attempt is admitted.
    pub(super) waits_until: MonotonicTime,
}

/// The account and the address that a bucket is for; each of an attempt's buckets has another.
type BucketKey = (Option<AccountHash>, Option<Network>);

/// Why and until when an attempt may not begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wait {
    /// Whether there are enough failures without the running attempts.
    pub(super) is_certain: bool,
    /// When it may begin.
    pub(super) until: MonotonicTime,
}

/// An account, an address or both, for which attempts are refused for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lockout {
    /// When the next attempt is admitted.
    pub until: Timestamp,
    /// The address, unless the lockout is of an account over all addresses.
    pub network: Option<Network>,
    /// The account, unless the lockout is of an address over all accounts.
    pub account: Option<AccountHash>,
    /// The user who had the account's name at the last attempt.
    pub user: Option<Id>,
    /// The number of failures that count.
    pub failures: u32,
}

/// What a bucket is for.
pub(super) trait Key: Copy + Eq + Hash {
    /// Its account and its address.
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
    /// Logs the lockout, without the name: it may be a password that was typed into the wrong field.
    pub(super) fn log(&self) {
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
    fn touched_at(&self) -> MonotonicTime {
        self.bucket.attempted_at.max(self.signed_in_at)
    }

    /// Whether there are enough failures for a wait without the running attempts.
    fn is_certain(&self, policy: &BackoffPolicy) -> bool {
        self.bucket.failures.saturating_sub(self.pending) >= policy.after
    }

    fn lockout(&self, key: &impl Key, policy: &BackoffPolicy, now: Reading) -> Lockout {
        let (account, network) = key.bucket_key();
        let (until, failures) = (now.wall_time_of(self.bucket.waits_until(policy)), self.bucket.failures);
        Lockout { until, network, account, user: self.user, failures }
    }
}

impl<K: Key> Table<K> {
    pub(super) fn new(policy: BackoffPolicy, max: usize) -> Self {
        Self { policy, max, entries: HashMap::new(), full_until: None }
    }

    pub(super) fn get(&self, key: &K) -> Option<&Entry> {
        self.entries.get(key)
    }

    /// The wait of an attempt, if it has to wait.
    pub(super) fn wait(&self, key: &K, now: MonotonicTime) -> Option<Wait> {
        let entry = self.get(key)?;
        let (is_certain, until) = (entry.is_certain(&self.policy), entry.bucket.waits_until(&self.policy));
        (now < until).then_some(Wait { is_certain, until })
    }

    /// Makes room for the key. If all buckets are locked out there is none, and the attempt waits for the first to end.
    pub(super) fn make_room(&mut self, key: &K, now: MonotonicTime) -> Result<(), Wait> {
        self.make_room_within(self.max, key, now)
    }

    /// As [`Table::make_room`], in half of the memory: for attempts that cost the client no time.
    pub(super) fn make_room_in_half(&mut self, key: &K, now: MonotonicTime) -> Result<(), Wait> {
        self.make_room_within(self.max / 2, key, now)
    }

    fn make_room_within(&mut self, max: usize, key: &K, now: MonotonicTime) -> Result<(), Wait> {
        if self.entries.len() < max || self.entries.contains_key(key) {
            return Ok(());
        }
        // A refusal must cost less than a search of the whole table.
        if let Some(until) = self.full_until.filter(|until| now < *until) {
            return Err(Wait { is_certain: true, until });
        }
        // Drops several at once, so that not every new key has to search the whole table.
        let goes = (self.max / 16).max(1);
        let waits_until = |entry: &Entry| entry.bucket.waits_until(&self.policy);
        let idle = self.entries.iter().filter(|(_, entry)| waits_until(entry) <= now);
        let mut idle: Vec<_> = idle.map(|(key, entry)| (entry.touched_at(), *key)).collect();
        if idle.is_empty() {
            let until = self.entries.values().map(waits_until).min().unwrap_or(now);
            self.full_until = Some(until);
            return Err(Wait { is_certain: true, until });
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
    pub(super) fn reserve(&mut self, key: K, user: Option<Id>, now: MonotonicTime) -> Reservation<K> {
        let old = self.entries.get(&key).copied();
        let bucket = Bucket::after_another(old.as_ref().map(|entry| &entry.bucket), &self.policy, now);
        let is_logged = old.is_some_and(|entry| entry.is_logged) && bucket.failures >= self.policy.after;
        let signed_in_at = old.map_or(MonotonicTime::from_millis(0), |entry| entry.signed_in_at);
        let pending = old.map_or(0, |entry| entry.pending) + 1;
        self.entries.insert(key, Entry { bucket, pending, user, signed_in_at, is_logged });
        Reservation { key, old, new: bucket, waits_until: bucket.waits_until(&self.policy) }
    }

    /// Takes back a failure that was none; failures of other attempts since then stay.
    pub(super) fn undo(&mut self, reservation: &Reservation<K>) {
        self.full_until = None;
        let Some(entry) = self.entries.get_mut(&reservation.key) else { return };
        entry.pending = entry.pending.saturating_sub(1);
        match reservation.old {
            Some(old) if entry.bucket == reservation.new => entry.bucket = old.bucket,
            None if entry.bucket == reservation.new => drop(self.entries.remove(&reservation.key)),
            Some(_) | None => entry.bucket.failures = entry.bucket.failures.saturating_sub(1),
        }
    }

    /// Records that the attempt failed; returns the lockout that this began, unless it has been logged.
    pub(super) fn confirm(&mut self, reservation: &Reservation<K>, now: Reading) -> Option<Lockout> {
        let entry = self.entries.get_mut(&reservation.key)?;
        entry.pending = entry.pending.saturating_sub(1);
        if entry.is_logged || !entry.is_certain(&self.policy) {
            return None;
        }
        entry.is_logged = true;
        Some(entry.lockout(&reservation.key, &self.policy, now))
    }

    /// Records that the user has signed in, and clears the failures.
    pub(super) fn sign_in(&mut self, key: K, user: Option<Id>, now: MonotonicTime) {
        if self.make_room(&key, now).is_ok() {
            let bucket = Bucket { failures: 0, attempted_at: now };
            self.entries.insert(key, Entry { bucket, pending: 0, user, signed_in_at: now, is_logged: false });
        }
    }

    pub(super) fn remove(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// Removes the buckets of the matching keys.
    pub(super) fn forget(&mut self, mut matches: impl FnMut(&K) -> bool) {
        self.entries.retain(|key, _| !matches(key));
    }

    /// Clears the failures of the matching keys.
    pub(super) fn forgive(&mut self, matches: impl Fn(&K) -> bool) {
        self.full_until = None;
        for (_, entry) in self.entries.iter_mut().filter(|(key, _)| matches(key)) {
            entry.bucket.failures = 0;
            entry.is_logged = false;
        }
    }

    /// The least recent of the matching keys, if there are at least that many.
    pub(super) fn least_recent_of(&self, many: usize, matches: impl Fn(&K) -> bool) -> Option<K> {
        let found: Vec<_> = self.entries.iter().filter(|(key, _)| matches(key)).collect();
        let least_recent = found.iter().min_by_key(|(_, entry)| entry.touched_at()).map(|(key, _)| **key);
        least_recent.filter(|_| found.len() >= many)
    }

    /// All lockouts.
    pub(super) fn lockouts(&self, now: Reading) -> impl Iterator<Item = Lockout> {
        let certain = self.entries.iter().filter(|(_, entry)| entry.is_certain(&self.policy));
        let waiting = certain.filter(move |(_, entry)| now.monotonic < entry.bucket.waits_until(&self.policy));
        waiting.map(move |(key, entry)| entry.lockout(key, &self.policy, now))
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn a_table_whose_buckets_are_all_locked_out_is_not_searched_again_until_the_first_lockout_ends() {
        let mut table = Table::new(BackoffPolicy::of_pair(1), 2);
        let network = |number: u8| Network::of(IpAddr::from([192, 0, 2, number]));
        let (now, end) = (MonotonicTime::from_millis(5_000), MonotonicTime::from_millis(6_000));
        let reservation = table.reserve(network(1), None, now);
        table.reserve(network(2), None, now);
        let refused = Err(Wait { is_certain: true, until: end });

        assert_eq!((table.make_room(&network(3), now), table.full_until), (refused, Some(end)));
        assert_eq!(table.make_room(&network(3), now), refused);
        table.undo(&reservation);
        assert_eq!(table.make_room(&network(3), now), Ok(()));

        table.reserve(network(3), None, now);
        assert_eq!(table.make_room(&network(4), now), refused);
        assert_eq!(table.make_room(&network(4), end), Ok(()));
    }
}
