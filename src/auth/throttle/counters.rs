//! What is counted for accounts, for addresses and for the ones from the others.

use std::time::Duration;

use super::{
    AccountHash, Pair,
    bucket::BackoffPolicy,
    table::{BucketKey, Lockout, Reservation, Table, Wait},
};
use crate::{
    clock::Timestamp,
    domain::{Id, Network},
};

/// How many addresses are familiar to an account, so that no account pushes out those of others.
const MAX_KNOWN_OF_ACCOUNT: usize = 32;
/// How long a sign-in counts as one of lately.
const RECENTLY: Duration = Duration::from_hours(7 * 24);

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Counters {
    /// Accounts from addresses that have not signed in to them lately.
    pairs: Table<Pair>,
    /// Accounts from addresses that have.
    known: Table<Pair>,
    addresses: Table<Network>,
    accounts: Table<AccountHash>,
}

/// What a try has counted before it is known how it ends.
#[derive(Debug)]
pub(super) enum Reservations {
    /// Nothing: the throttle is off, or it is known.
    None,
    /// For a familiar pair, and for nothing else.
    Known(Reservation<Pair>),
    /// For a stranger.
    New(Reservation<Pair>, Reservation<Network>, Reservation<AccountHash>),
    /// For an address alone: a key names no account.
    Address(Reservation<Network>),
}

impl Reservations {
    /// The longest wait that they began.
    pub(super) fn wait_until(&self) -> Timestamp {
        match self {
            Self::None => Timestamp::from_millis(0),
            Self::Known(pair) => pair.waits_until,
            Self::New(pair, address, account) => pair.waits_until.max(address.waits_until).max(account.waits_until),
            Self::Address(address) => address.waits_until,
        }
    }

    /// The buckets that they are in.
    pub(super) fn buckets(&self) -> impl Iterator<Item = BucketKey> {
        let buckets = match self {
            Self::None => [None, None, None],
            Self::Known(pair) => [Some(pair.bucket_key()), None, None],
            Self::New(pair, address, account) => {
                [Some(pair.bucket_key()), Some(address.bucket_key()), Some(account.bucket_key())]
            }
            Self::Address(address) => [Some(address.bucket_key()), None, None],
        };
        buckets.into_iter().flatten()
    }
}

impl Counters {
    /// Room for that many buckets of a kind, and for a quarter as many familiar pairs.
    pub(super) fn new(after: u32, most: usize) -> Self {
        let (second, quarter, minutes) = (Duration::from_secs(1), Duration::from_mins(15), Duration::from_mins(5));
        let pair = BackoffPolicy { after, first: second, longest: quarter, forgives_every: Duration::from_hours(1) };
        let address = BackoffPolicy { after: after.saturating_mul(10), forgives_every: minutes, ..pair };
        let half = Duration::from_secs(30);
        let account =
            BackoffPolicy { after: after.saturating_mul(20), first: half, longest: half, forgives_every: minutes };
        Self {
            pairs: Table::new(pair, most),
            known: Table::new(pair, most / 4),
            addresses: Table::new(address, most),
            accounts: Table::new(account, most),
        }
    }

    /// Whether somebody signed in to that account from there lately, or has signed in and failed lately.
    pub(super) fn is_known_address(&self, pair: &Pair, now: Timestamp) -> bool {
        self.known.get(pair).is_some_and(|entry| {
            let since = now.as_millis().saturating_sub(entry.signed_in_at.as_millis());
            u128::from(since) < RECENTLY.as_millis() || entry.bucket.level(&self.known.policy, now) > 0
        })
    }

    /// What a try of a password has to wait for; what is certain comes first, then what lasts longest.
    pub(super) fn wait(&self, pair: &Pair, now: Timestamp) -> Option<Wait> {
        if self.is_known_address(pair, now) {
            return self.known.wait(pair, now);
        }
        let (account, network) = pair;
        let waits = [self.pairs.wait(pair, now), self.addresses.wait(network, now), self.accounts.wait(account, now)];
        waits.into_iter().flatten().max()
    }

    /// Counts a try of a password, unless it has to wait.
    pub(super) fn begin(&mut self, pair: Pair, user: Option<Id>, now: Timestamp) -> Result<Reservations, Wait> {
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

    /// Counts a key that nobody has, unless it has to wait. It costs no hash, so whoever has many addresses could fill the
    /// memory with such keys and keep everybody else from trying a password.
    pub(super) fn begin_unknown_key(&mut self, network: Network, now: Timestamp) -> Result<Reservations, Wait> {
        if let Some(wait) = self.addresses.wait(&network, now) {
            return Err(wait);
        }
        self.addresses.make_room_in_half(&network, now)?;
        Ok(Reservations::Address(self.addresses.reserve(network, None, now)))
    }

    /// Takes back what turned out to be no failure.
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

    /// Notes that somebody signed in.
    pub(super) fn sign_in(&mut self, pair: Pair, user: Option<Id>, reservations: &Reservations, now: Timestamp) {
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

    /// Knows that it was a failure; tells what waits since then and was not told before.
    pub(super) fn confirm(&mut self, reservations: &Reservations) -> Vec<Lockout> {
        let waiting = match reservations {
            Reservations::None => [None, None, None],
            Reservations::Known(pair) => [self.known.confirm(pair), None, None],
            Reservations::New(pair, address, account) => {
                [self.pairs.confirm(pair), self.addresses.confirm(address), self.accounts.confirm(account)]
            }
            Reservations::Address(address) => [self.addresses.confirm(address), None, None],
        };
        waiting.into_iter().flatten().collect()
    }

    /// All that wait.
    pub(super) fn waiting(&self, now: Timestamp) -> Vec<Lockout> {
        let pairs = self.pairs.waiting(now).chain(self.known.waiting(now));
        pairs.chain(self.addresses.waiting(now)).chain(self.accounts.waiting(now)).collect()
    }

    /// Forgets the failures of an account, of an address, of the one from the other, or all.
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
