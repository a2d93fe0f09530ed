//! The counters for accounts, for addresses, and for pairs of the two.

use super::{
    AccountHash, Pair,
    policy::{BackoffPolicy, MAX_KNOWN_OF_ACCOUNT, RECENTLY},
    table::{Lockout, Reservation, Table, Wait},
};
use crate::{
    clock::{MonotonicTime, Reading},
    domain::{Id, Network},
};

/// All counters of the throttle.
#[derive(Debug)]
pub(super) struct Counters {
    /// Accounts from addresses that have not signed in to them recently.
    pairs: Table<Pair>,
    /// Accounts from addresses that have.
    known: Table<Pair>,
    addresses: Table<Network>,
    accounts: Table<AccountHash>,
}

/// The failures that an attempt has counted before its outcome is known.
#[derive(Debug)]
pub(super) enum Reservations {
    /// Nothing: the throttle is off, or the outcome is known.
    None,
    /// For an account from an address that is known to it.
    Known(Reservation<Pair>),
    /// For an account from a new address.
    New(Reservation<Pair>, Reservation<Network>, Reservation<AccountHash>),
    /// For an address: an unknown API key names no account.
    Address(Reservation<Network>),
}

impl Reservations {
    /// When the longest wait of these failures ends.
    pub(super) fn wait_until(&self) -> MonotonicTime {
        match self {
            Self::None => MonotonicTime::from_millis(0),
            Self::Known(pair) => pair.waits_until,
            Self::New(pair, address, account) => pair.waits_until.max(address.waits_until).max(account.waits_until),
            Self::Address(address) => address.waits_until,
        }
    }
}

impl Counters {
    /// Room for `max` buckets of a kind, and for a quarter as many accounts from known addresses.
    pub(super) fn new(after: u32, max: usize) -> Self {
        Self {
            pairs: Table::new(BackoffPolicy::of_pair(after), max),
            known: Table::new(BackoffPolicy::of_pair(after), max / 4),
            addresses: Table::new(BackoffPolicy::of_address(after), max),
            accounts: Table::new(BackoffPolicy::of_account(after), max),
        }
    }

    /// Whether the address is known to the account: the user signed in from it recently, or earlier and has failures
    /// from there that are not forgiven yet.
    pub(super) fn is_known_address(&self, pair: &Pair, now: MonotonicTime) -> bool {
        self.known.get(pair).is_some_and(|entry| {
            now.since(entry.signed_in_at) < RECENTLY || entry.bucket.level(&self.known.policy, now) > 0
        })
    }

    /// The wait of an attempt at a password: of several, a certain one first, then the longest.
    pub(super) fn wait(&self, pair: &Pair, now: MonotonicTime) -> Option<Wait> {
        if self.is_known_address(pair, now) {
            return self.known.wait(pair, now);
        }
        let (account, network) = pair;
        let waits = [self.pairs.wait(pair, now), self.addresses.wait(network, now), self.accounts.wait(account, now)];
        waits.into_iter().flatten().max()
    }

    /// Counts an attempt at a password, unless it has to wait.
    pub(super) fn begin(&mut self, pair: Pair, user: Option<Id>, now: MonotonicTime) -> Result<Reservations, Wait> {
        if let Some(wait) = self.wait(&pair, now) {
            return Err(wait);
        }
        if self.is_known_address(&pair, now) {
            return Ok(Reservations::Known(self.known.reserve(pair, user, now)));
        }
        let (account, network) = pair;
        self.pairs.make_room(&pair, now)?;
        self.addresses.make_room(&network, now)?;
        self.accounts.make_room(&account, now)?;
        Ok(Reservations::New(
            self.pairs.reserve(pair, user, now),
            self.addresses.reserve(network, None, now),
            self.accounts.reserve(account, user, now),
        ))
    }

    /// Counts an unknown API key, unless it has to wait. Such keys cost no hash, so they may use half of the memory
    /// only: otherwise a client with many addresses could fill it with them and lock all others out.
    pub(super) fn begin_unknown_key(&mut self, network: Network, now: MonotonicTime) -> Result<Reservations, Wait> {
        if let Some(wait) = self.addresses.wait(&network, now) {
            return Err(wait);
        }
        self.addresses.make_room_in_half(&network, now)?;
        Ok(Reservations::Address(self.addresses.reserve(network, None, now)))
    }

    /// Takes back the failures of an attempt that was none.
    pub(super) fn undo(&mut self, reservations: &Reservations) {
        match reservations {
            Reservations::None => {}
            Reservations::Known(pair) => self.known.undo(pair),
            Reservations::New(pair, address, account) => {
                self.pairs.undo(pair);
                self.addresses.undo(address);
                self.accounts.undo(account);
            }
            Reservations::Address(address) => self.addresses.undo(address),
        }
    }

    /// Records that the user signed in from that address.
    pub(super) fn sign_in(&mut self, pair: Pair, user: Option<Id>, reservations: &Reservations, now: MonotonicTime) {
        self.undo(reservations);
        self.pairs.remove(&pair);
        if let Reservations::New(..) = reservations {
            self.accounts.remove(&pair.0);
        }
        let is_of_account = |(account, _): &Pair| *account == pair.0;
        if self.known.get(&pair).is_none()
            && let Some(least_recent) = self.known.least_recent_of(MAX_KNOWN_OF_ACCOUNT, is_of_account)
        {
            self.known.remove(&least_recent);
        }
        self.known.sign_in(pair, user, now);
    }

    /// Records that the attempt failed; returns the lockouts that this began and that are not logged yet.
    pub(super) fn confirm(&mut self, reservations: &Reservations, now: Reading) -> Vec<Lockout> {
        let lockouts = match reservations {
            Reservations::None => [None, None, None],
            Reservations::Known(pair) => [self.known.confirm(pair, now), None, None],
            Reservations::New(pair, address, account) => {
                let of_account = self.accounts.confirm(account, now);
                [self.pairs.confirm(pair, now), self.addresses.confirm(address, now), of_account]
            }
            Reservations::Address(address) => [self.addresses.confirm(address, now), None, None],
        };
        lockouts.into_iter().flatten().collect()
    }

    /// All lockouts.
    pub(super) fn lockouts(&self, now: Reading) -> Vec<Lockout> {
        let pairs = self.pairs.lockouts(now).chain(self.known.lockouts(now));
        pairs.chain(self.addresses.lockouts(now)).chain(self.accounts.lockouts(now)).collect()
    }

    /// Clears the failures of an account, of an address, of an account from an address, or all.
    pub(super) fn clear(&mut self, account: Option<AccountHash>, network: Option<Network>) {
        let is_of = |(of_account, of_network): &Pair| {
            account.is_none_or(|account| account == *of_account) && network.is_none_or(|network| network == *of_network)
        };
        self.pairs.forget(is_of);
        self.known.forgive(is_of);
        self.addresses.forget(|of| account.is_none() && network.is_none_or(|network| network == *of));
        self.accounts.forget(|of| network.is_none() && account.is_none_or(|account| account == *of));
    }
}
