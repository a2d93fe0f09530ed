//! What is counted for accounts, for addresses and for the ones from the others.

use std::time::Duration;

use super::{
    Account, Pair,
    bucket::Bound,
    table::{Charge, Parts, Table, Wait, Waiting},
};
use crate::{
    clock::Timestamp,
    domain::{Id, Network},
};

/// How many addresses are familiar to an account, so that no account pushes out those of others.
const MOST_FAMILIAR_OF_ACCOUNT: usize = 32;
/// How long a sign-in counts as one of lately.
const LATELY: Duration = Duration::from_hours(7 * 24);

/// Everything that is counted.
#[derive(Debug)]
pub(super) struct Counters {
    /// Accounts from addresses that have not signed in to them lately.
    pairs: Table<Pair>,
    /// Accounts from addresses that have.
    familiar: Table<Pair>,
    addresses: Table<Network>,
    accounts: Table<Account>,
}

/// What a try has counted before it is known how it ends.
#[derive(Debug)]
pub(super) enum Charges {
    /// Nothing: the throttle is off, or it is known.
    None,
    /// For a familiar pair, and for nothing else.
    Familiar(Charge<Pair>),
    /// For a stranger.
    Stranger(Charge<Pair>, Charge<Network>, Charge<Account>),
    /// For an address alone: a key names no account.
    Address(Charge<Network>),
}

impl Charges {
    /// The longest wait that they began.
    pub(super) fn wait_until(&self) -> Timestamp {
        match self {
            Self::None => Timestamp::from_millis(0),
            Self::Familiar(pair) => pair.waits_until,
            Self::Stranger(pair, address, account) => {
                pair.waits_until.max(address.waits_until).max(account.waits_until)
            }
            Self::Address(address) => address.waits_until,
        }
    }

    /// The buckets that they are in.
    pub(super) fn buckets(&self) -> impl Iterator<Item = Parts> {
        let buckets = match self {
            Self::None => [None, None, None],
            Self::Familiar(pair) => [Some(pair.parts()), None, None],
            Self::Stranger(pair, address, account) => {
                [Some(pair.parts()), Some(address.parts()), Some(account.parts())]
            }
            Self::Address(address) => [Some(address.parts()), None, None],
        };
        buckets.into_iter().flatten()
    }
}

impl Counters {
    /// Room for that many buckets of a kind, and for a quarter as many familiar pairs.
    pub(super) fn new(after: u32, most: usize) -> Self {
        let (second, quarter, minutes) = (Duration::from_secs(1), Duration::from_mins(15), Duration::from_mins(5));
        let pair = Bound { after, first: second, longest: quarter, forgives_every: Duration::from_hours(1) };
        let address = Bound { after: after.saturating_mul(10), forgives_every: minutes, ..pair };
        let half = Duration::from_secs(30);
        let account = Bound { after: after.saturating_mul(20), first: half, longest: half, forgives_every: minutes };
        Self {
            pairs: Table::new(pair, most),
            familiar: Table::new(pair, most / 4),
            addresses: Table::new(address, most),
            accounts: Table::new(account, most),
        }
    }

    /// Whether somebody signed in to that account from there lately, or has signed in and failed lately.
    pub(super) fn is_familiar(&self, pair: &Pair, now: Timestamp) -> bool {
        self.familiar.get(pair).is_some_and(|entry| {
            let since = now.as_millis().saturating_sub(entry.signed_in_at.as_millis());
            u128::from(since) < LATELY.as_millis() || entry.bucket.level(&self.familiar.bound, now) > 0
        })
    }

    /// What a try of a password has to wait for; what is certain comes first, then what lasts longest.
    pub(super) fn wait(&self, pair: &Pair, now: Timestamp) -> Option<Wait> {
        if self.is_familiar(pair, now) {
            return self.familiar.wait(pair, now);
        }
        let (account, network) = pair;
        let waits = [self.pairs.wait(pair, now), self.addresses.wait(network, now), self.accounts.wait(account, now)];
        waits.into_iter().flatten().max()
    }

    /// Counts a try of a password, unless it has to wait.
    pub(super) fn begin(&mut self, pair: Pair, user: Option<Id>, now: Timestamp) -> Result<Charges, Wait> {
        if let Some(wait) = self.wait(&pair, now) {
            return Err(wait);
        }
        if self.is_familiar(&pair, now) {
            return Ok(Charges::Familiar(self.familiar.charge(pair, user, now)));
        }
        let (account, network) = pair;
        self.pairs.make_room(&pair, now)?;
        self.addresses.make_room(&network, now)?;
        self.accounts.make_room(&account, now)?;
        Ok(Charges::Stranger(
            self.pairs.charge(pair, user, now),
            self.addresses.charge(network, None, now),
            self.accounts.charge(account, user, now),
        ))
    }

    /// Counts a key that nobody has, unless it has to wait. It costs no hash, so whoever has many addresses could fill the
    /// memory with such keys and keep everybody else from trying a password.
    pub(super) fn begin_unknown_key(&mut self, network: Network, now: Timestamp) -> Result<Charges, Wait> {
        if let Some(wait) = self.addresses.wait(&network, now) {
            return Err(wait);
        }
        self.addresses.make_room_in_half(&network, now)?;
        Ok(Charges::Address(self.addresses.charge(network, None, now)))
    }

    /// Takes back what turned out to be no failure.
    pub(super) fn undo(&mut self, charges: &Charges) {
        match charges {
            Charges::None => {}
            Charges::Familiar(pair) => self.familiar.undo(pair),
            Charges::Stranger(pair, address, account) => {
                self.pairs.undo(pair);
                self.addresses.undo(address);
                self.accounts.undo(account);
            }
            Charges::Address(address) => self.addresses.undo(address),
        }
    }

    /// Notes that somebody signed in.
    pub(super) fn sign_in(&mut self, pair: Pair, user: Option<Id>, charges: &Charges, now: Timestamp) {
        self.undo(charges);
        self.pairs.remove(&pair);
        if let Charges::Stranger(..) = charges {
            self.accounts.remove(&pair.0);
        }
        let is_of_account = |(account, _): &Pair| *account == pair.0;
        if self.familiar.get(&pair).is_none()
            && let Some(coldest) = self.familiar.coldest_of(MOST_FAMILIAR_OF_ACCOUNT, is_of_account)
        {
            self.familiar.remove(&coldest);
        }
        self.familiar.sign_in(pair, user, now);
    }

    /// Knows that it was a failure; tells what waits since then and was not told before.
    pub(super) fn confirm(&mut self, charges: &Charges) -> Vec<Waiting> {
        let waiting = match charges {
            Charges::None => [None, None, None],
            Charges::Familiar(pair) => [self.familiar.confirm(pair), None, None],
            Charges::Stranger(pair, address, account) => {
                [self.pairs.confirm(pair), self.addresses.confirm(address), self.accounts.confirm(account)]
            }
            Charges::Address(address) => [self.addresses.confirm(address), None, None],
        };
        waiting.into_iter().flatten().collect()
    }

    /// All that wait.
    pub(super) fn waiting(&self, now: Timestamp) -> Vec<Waiting> {
        let pairs = self.pairs.waiting(now).chain(self.familiar.waiting(now));
        pairs.chain(self.addresses.waiting(now)).chain(self.accounts.waiting(now)).collect()
    }

    /// Forgets the failures of an account, of an address, of the one from the other, or all.
    pub(super) fn clear(&mut self, account: Option<Account>, network: Option<Network>) {
        let is_of = |(of_account, of_network): &Pair| {
            account.is_none_or(|account| account == *of_account) && network.is_none_or(|network| network == *of_network)
        };
        self.pairs.forget(is_of);
        self.familiar.forgive(is_of);
        self.addresses.forget(|of| account.is_none() && network.is_none_or(|network| network == *of));
        self.accounts.forget(|of| network.is_none() && account.is_none_or(|account| account == *of));
    }
}
