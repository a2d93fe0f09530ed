//! Slows guessing down: how often passwords and keys may be tried.
//!
//! | what is counted | from when on tries wait | how long | one failure is forgiven for each |
//! |---|---|---|---|
//! | an account from an address | `after` failures | 1 s, doubling to 15 min | hour without one |
//! | an address, over all accounts and unknown keys | 10 × `after` | 1 s, doubling to 15 min | 5 minutes without one |
//! | an account, over all addresses | 20 × `after` | 30 s | 5 minutes without one |
//!
//! Where tries wait, none is admitted, with the right password neither, and no hash is computed. A try counts as failed from
//! its begin until it turns out otherwise, so that tries made at the same time cannot slip past a bound.
//!
//! Somebody who signed in to the account from the same address lately is *familiar*: their tries count for that account from
//! that address alone, and no flood from elsewhere, nor one from their own address on other accounts, makes them wait.
//!
//! A success clears what was counted for the account from that address, and where it came from a stranger's address what was
//! counted for the account over all addresses. What was counted for the address stays: whoever owns an account could clear
//! it by signing in between guesses at others.
//!
//! Accounts are keyed hashes of names under a key that lives as long as the process, so that what people type into the wrong
//! field is not kept. A name that nobody has is counted as any other. Memory is bounded; nothing survives a restart.

mod bucket;
mod counters;
mod held;
mod table;

#[cfg(test)]
mod model;
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
    held::{Held, WaitingRoom},
    table::Wait,
};
use super::{AuthError, HashRequester};
use crate::{
    clock::{Clock, Timestamp},
    domain::{Id, Network, Username},
    random::random_bytes,
};

/// How many buckets of a kind are kept; all of them take some 30 MB.
const MAX: usize = 65_536;

/// An account, known or not: a keyed hash of its folded name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountHash([u8; 16]);

type Pair = (AccountHash, Network);

/// Counts failures, and says who has to wait.
#[derive(Debug)]
pub struct Throttle {
    clock: Clock,
    is_off: bool,
    key: hmac::Key,
    counters: Mutex<Counters>,
    /// When the last wait that ever began ends, in milliseconds: from then on nobody waits.
    last_end: AtomicU64,
    held_back: WaitingRoom,
}

/// What becomes of a try that need not wait for certain.
enum Begun<'a> {
    Admitted(Box<Attempt>),
    WaitingRoom(Held<'a>),
}

impl Throttle {
    /// A throttle by which an account from an address waits after that many failures; 0 is a throttle that slows nobody.
    #[must_use]
    pub fn new(clock: Clock, after: u32) -> Arc<Self> {
        Self::with_room(clock, after, MAX)
    }

    fn with_room(clock: Clock, after: u32, most: usize) -> Arc<Self> {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &random_bytes::<32>());
        let is_off = after == 0;
        let counters = Mutex::new(Counters::new(if is_off { u32::MAX } else { after }, most));
        Arc::new(Self { clock, is_off, key, counters, last_end: AtomicU64::new(0), held_back: WaitingRoom::new() })
    }

    /// Whether a password for that account may be tried from that address now. Costs next to nothing while nobody waits.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if not.
    pub fn check(&self, username: &str, address: IpAddr) -> Result<(), AuthError> {
        let now = self.clock.now();
        if now.as_millis() >= self.last_end.load(Ordering::Relaxed) {
            return Ok(());
        }
        let pair = (self.account(username), Network::of(address));
        let wait = self.counters().wait(&pair, now).filter(|wait| wait.is_certain);
        wait.map_or(Ok(()), |wait| Err(throttled(wait, now)))
    }

    /// Begins a try of a password for that account, which is that user's if there is one. Where so many tries are running
    /// that the next would have to wait if they failed, it waits for them to end, not for the time that they would cost.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if none may be made now, or if there is no memory to count it; [`AuthError::Busy`] if too
    /// many wait for others to end.
    pub async fn begin(
        self: &Arc<Self>,
        username: &str,
        user: Option<Id>,
        address: IpAddr,
    ) -> Result<Attempt, AuthError> {
        let pair = (self.account(username), Network::of(address));
        loop {
            match self.try_begin(pair, user)? {
                Begun::Admitted(attempt) => return Ok(*attempt),
                Begun::WaitingRoom(held) => held.until_another_ends().await,
            }
        }
    }

    fn try_begin(self: &Arc<Self>, pair: Pair, user: Option<Id>) -> Result<Begun<'_>, AuthError> {
        let now = self.clock.now();
        let mut counters = self.counters();
        let is_known_address = counters.is_known_address(&pair, now);
        let begun = if self.is_off { Ok(Reservations::None) } else { counters.begin(pair, user, now) };
        let reservations = match begun {
            Ok(reservations) => reservations,
            Err(wait) if wait.is_certain => return Err(throttled(wait, now)),
            // While the counters are in hand, so that whatever ends from now on is noticed.
            Err(wait) => return self.held_back.hold(wait.bucket_key).map(Begun::WaitingRoom).ok_or(AuthError::Busy),
        };
        self.last_end.fetch_max(reservations.wait_until().as_millis(), Ordering::Relaxed);
        drop(counters);
        let attempt = Attempt { throttle: Arc::clone(self), pair, user, is_known_address, reservations };
        Ok(Begun::Admitted(Box::new(attempt)))
    }

    /// Counts a key that nobody has and nobody had.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if none may be tried from that address now.
    pub fn count_unknown_key(&self, address: IpAddr) -> Result<(), AuthError> {
        if self.is_off {
            return Ok(());
        }
        let (now, network) = (self.clock.now(), Network::of(address));
        let mut counters = self.counters();
        let reservations = counters.begin_unknown_key(network, now).map_err(|wait| throttled(wait, now))?;
        self.last_end.fetch_max(reservations.wait_until().as_millis(), Ordering::Relaxed);
        let waiting = counters.confirm(&reservations);
        drop(counters);
        waiting.iter().for_each(Lockout::tell);
        Ok(())
    }

    /// Notes that the user of that name signed in from there at that time, before this throttle was there.
    pub fn remember(&self, username: &str, user: Id, address: IpAddr, at: Timestamp) {
        let pair = (self.account(username), Network::of(address));
        self.counters().sign_in(pair, Some(user), &Reservations::None, at);
    }

    /// All that wait, those that wait shortest first.
    pub fn waiting(&self) -> Vec<Lockout> {
        let now = self.clock.now();
        let mut waiting = self.counters().waiting(now);
        waiting.sort_unstable();
        waiting
    }

    /// Forgets the failures of an account, of an address, of the one from the other, or all.
    pub fn clear(&self, username: Option<&str>, network: Option<Network>) {
        let account = username.map(|username| self.account(username));
        self.counters().clear(account, network);
    }

    /// Whether that is the account of that name.
    #[must_use]
    pub fn is_account_of(&self, account: AccountHash, username: &Username) -> bool {
        account == self.account(username.as_str())
    }

    fn account(&self, username: &str) -> AccountHash {
        let folded = Zeroizing::new(username.to_ascii_lowercase());
        let hash = hmac::sign(&self.key, folded.as_bytes());
        AccountHash(*hash.as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes"))
    }

    /// Once a try with these charges has ended.
    fn let_others_look_again(&self, reservations: &Reservations) {
        reservations.buckets().for_each(|bucket| self.held_back.wake(bucket));
    }

    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().expect("no holder of the lock panics")
    }
}

/// A try that is running. One that is dropped before its password was checked counts for nothing.
#[derive(Debug)]
pub struct Attempt {
    throttle: Arc<Throttle>,
    pair: Pair,
    user: Option<Id>,
    is_known_address: bool,
    reservations: Reservations,
}

impl Attempt {
    /// Whose turn among the hashes this is.
    #[must_use]
    pub fn requester(&self) -> HashRequester {
        HashRequester { network: self.pair.1, is_known_address: self.is_known_address }
    }

    /// Ends the try.
    pub fn finish(mut self, is_right: bool) {
        let reservations = std::mem::replace(&mut self.reservations, Reservations::None);
        let mut counters = self.throttle.counters();
        let waiting = if is_right {
            counters.sign_in(self.pair, self.user, &reservations, self.throttle.clock.now());
            Vec::new()
        } else {
            counters.confirm(&reservations)
        };
        drop(counters);
        self.throttle.let_others_look_again(&reservations);
        waiting.iter().for_each(Lockout::tell);
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        if !matches!(self.reservations, Reservations::None) {
            self.throttle.counters().undo(&self.reservations);
            self.throttle.let_others_look_again(&self.reservations);
        }
    }
}

fn throttled(wait: Wait, now: Timestamp) -> AuthError {
    let millis = wait.until.as_millis().saturating_sub(now.as_millis());
    AuthError::Throttled { retry_after_secs: millis.div_ceil(1000).max(1) }
}
