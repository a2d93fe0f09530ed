//! The throttle: limits how often passwords and keys may be tried. The numbers are in [`policy`].
//!
//! During a lockout no attempt is admitted, not even one with the right password, and no hash is computed. An attempt
//! counts as failed from its start, so that simultaneous attempts cannot exceed a bound: where so many are running that
//! the next would be locked out if they failed, it is refused as too many at once.
//!
//! An address from which the user signed in recently is *known* to the account. Attempts from there are counted for
//! that pair of account and address only, and neither a flood from other addresses nor one from that address on other
//! accounts locks them out.
//!
//! A success clears the failures of the account from that address and, where the address was new to the account, those
//! of the account over all addresses. The failures of the address stay: otherwise the owner of one account could clear
//! them by signing in between guesses at others.
//!
//! All times are on the monotonic clock, so that setting the wall clock neither ends nor extends a wait. Accounts are
//! identified by hashes of their names under a key of the process, because people type passwords into the name field.
//! Unknown names are counted like any other. Memory is bounded; nothing survives a restart.

mod bucket;
mod counters;
mod policy;
mod table;

#[cfg(test)]
mod model;
#[cfg(test)]
mod test_app;
#[cfg(test)]
mod tests;

use std::{
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use ring::hmac;
use zeroize::Zeroizing;

pub use self::table::Lockout;
use self::{
    counters::{Counters, Reservations},
    policy::MAX_BUCKETS,
    table::Wait,
};
use super::{AuthError, HashRequester};
use crate::{
    clock::{Clock, MonotonicTime, Timestamp},
    domain::{Id, Network, Username},
    random::random_bytes,
};

/// An account, known or not: a keyed hash of its folded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountHash([u8; 16]);

impl AccountHash {
    /// The server itself, which has no account.
    pub(super) const SERVER: Self = Self([0; 16]);

    #[cfg(test)]
    pub(super) fn of_number(number: u16) -> Self {
        Self(u128::from(number).to_be_bytes())
    }
}

type Pair = (AccountHash, Network);

/// Counts failures, and decides which attempts have to wait.
#[derive(Debug)]
pub struct Throttle {
    clock: Clock,
    is_off: bool,
    key: hmac::Key,
    counters: Mutex<Counters>,
    /// When the last wait ends, in milliseconds: from then on no attempt has to wait.
    last_end: AtomicU64,
}

impl Throttle {
    /// A throttle in which an account from an address waits after that many failures; with 0 no attempt ever waits.
    #[must_use]
    pub fn new(clock: Clock, after: u32) -> Arc<Self> {
        Self::with_room(clock, after, MAX_BUCKETS)
    }

    fn with_room(clock: Clock, after: u32, max: usize) -> Arc<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        let is_off = after == 0;
        let counters = Mutex::new(Counters::new(if is_off { u32::MAX } else { after }, max));
        Arc::new(Self { clock, is_off, key, counters, last_end: AtomicU64::new(0) })
    }

    /// Checks that a password for that account may be tried from that address now. Takes almost no time while there is
    /// no lockout.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] during a lockout.
    pub fn check(&self, username: &str, address: IpAddr, now: MonotonicTime) -> Result<(), AuthError> {
        if now.as_millis() >= self.last_end.load(Ordering::Relaxed) {
            return Ok(());
        }
        let pair = (self.account(username), Network::of(address));
        let wait = self.counters().wait(&pair, now).filter(|wait| wait.is_certain);
        wait.map_or(Ok(()), |wait| Err(refusal(wait, now)))
    }

    /// Begins an attempt at the password of the account with that name; `user` is its user, if there is one.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] during a lockout, or if there is no memory to count the attempt; [`AuthError::Busy`] if
    /// it would be locked out if the running attempts failed.
    pub fn begin(self: &Arc<Self>, username: &str, user: Option<Id>, address: IpAddr) -> Result<Attempt, AuthError> {
        let (pair, now) = ((self.account(username), Network::of(address)), self.clock.monotonic());
        let mut counters = self.counters();
        let is_known_address = counters.is_known_address(&pair, now);
        let begun = if self.is_off { Ok(Reservations::None) } else { counters.begin(pair, user, now) };
        let reservations = begun.map_err(|wait| refusal(wait, now))?;
        self.last_end.fetch_max(reservations.wait_until().as_millis(), Ordering::Relaxed);
        drop(counters);
        Ok(Attempt { throttle: Arc::clone(self), pair, user, is_known_address, reservations })
    }

    /// Counts an unknown API key, one that was never issued.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if none may be tried from that address now.
    pub fn count_unknown_key(&self, address: IpAddr) -> Result<(), AuthError> {
        if self.is_off {
            return Ok(());
        }
        let (now, network) = (self.clock.reading(), Network::of(address));
        let mut counters = self.counters();
        let begun = counters.begin_unknown_key(network, now.monotonic);
        let reservations = begun.map_err(|wait| refusal(wait, now.monotonic))?;
        self.last_end.fetch_max(reservations.wait_until().as_millis(), Ordering::Relaxed);
        let lockouts = counters.confirm(&reservations, now);
        drop(counters);
        lockouts.iter().for_each(Lockout::log);
        Ok(())
    }

    /// Records that the user of that name signed in from that address at that time, before this throttle was made.
    pub fn remember(&self, username: &str, user: Id, address: IpAddr, at: Timestamp) {
        let pair = (self.account(username), Network::of(address));
        let at = self.clock.reading().monotonic_time_of(at);
        self.counters().sign_in(pair, Some(user), &Reservations::None, at);
    }

    /// All lockouts, those that end soonest first.
    pub fn lockouts(&self) -> Vec<Lockout> {
        let now = self.clock.reading();
        let mut lockouts = self.counters().lockouts(now);
        lockouts.sort_unstable();
        lockouts
    }

    /// Clears the failures of an account, of an address, of an account from an address, or all.
    pub fn clear(&self, username: Option<&str>, network: Option<Network>) {
        let account = username.map(|username| self.account(username));
        self.counters().clear(account, network);
    }

    /// Whether the hash is that of the name.
    #[must_use]
    pub fn is_account_of(&self, account: AccountHash, username: &Username) -> bool {
        account == self.account(username.as_str())
    }

    /// The requester of a hash for a signed-in user.
    #[must_use]
    pub fn signed_in_requester(&self, username: &Username, address: IpAddr) -> HashRequester {
        let account = self.account(username.as_str());
        HashRequester { account, network: Network::of(address), is_known_address: true }
    }

    fn account(&self, username: &str) -> AccountHash {
        let folded = Zeroizing::new(username.to_ascii_lowercase());
        let hash = hmac::sign(&self.key, folded.as_bytes());
        AccountHash(*hash.as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes"))
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().expect("no holder of the lock panics")
    }
}

/// A running attempt. One that is dropped before its password was checked is not counted.
#[derive(Debug)]
pub struct Attempt {
    throttle: Arc<Throttle>,
    pair: Pair,
    user: Option<Id>,
    is_known_address: bool,
    reservations: Reservations,
}

impl Attempt {
    /// The requester of the attempt's hash.
    #[must_use]
    pub fn requester(&self) -> HashRequester {
        let (account, network) = self.pair;
        HashRequester { account, network, is_known_address: self.is_known_address }
    }

    /// Ends the attempt.
    pub fn finish(mut self, is_right: bool) {
        let reservations = std::mem::replace(&mut self.reservations, Reservations::None);
        let (now, mut counters) = (self.throttle.clock.reading(), self.throttle.counters());
        let lockouts = if is_right {
            counters.sign_in(self.pair, self.user, &reservations, now.monotonic);
            Vec::new()
        } else {
            counters.confirm(&reservations, now)
        };
        drop(counters);
        lockouts.iter().for_each(Lockout::log);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !matches!(self.reservations, Reservations::None) {
            self.throttle.counters().undo(&self.reservations);
        }
    }
}

/// A wait that depends on running attempts is no lockout: they may all succeed.
fn refusal(wait: Wait, now: MonotonicTime) -> AuthError {
    if !wait.is_certain {
        return AuthError::Busy;
    }
    let millis = wait.until.as_millis().saturating_sub(now.as_millis());
    AuthError::Throttled { retry_after_secs: millis.div_ceil(1000).max(1) }
}
