//! Limits how many tokens that are not good an account may ask about.
//!
//! Good tokens are always answered: clients who send a service any number of wrong ones must not keep others from it. Memory is
//! bounded; nothing survives a restart.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use crate::{clock::MonotonicTime, domain::Id, logging::RateLimitedLog};

/// How many such tokens an account may ask about within [`WINDOW`].
const MAX_ASKED: u32 = 1000;
const WINDOW: Duration = Duration::from_mins(1);
/// The maximum number of accounts that are counted, in some 32 KiB.
const MAX_ACCOUNTS: usize = 1024;

/// The tokens that were asked about, by account.
#[derive(Debug, Default)]
pub(super) struct AskedTokens {
    accounts: Mutex<HashMap<Id, Asked>>,
    /// Limits the warnings about refusals.
    pub(super) warning: RateLimitedLog,
}

/// What one account has asked about.
#[derive(Clone, Copy, Debug)]
struct Asked {
    since: MonotonicTime,
    count: u32,
}

/// The refusal of one token more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany {
    /// The number of seconds until tokens are counted anew, rounded up.
    pub(super) retry_after_secs: u64,
}

impl AskedTokens {
    /// Counts a token that the account asks about.
    ///
    /// # Errors
    /// [`TooMany`] beyond the limit, and while too many accounts ask.
    pub(super) fn count(&self, account: Id, now: MonotonicTime) -> Result<(), TooMany> {
        let mut accounts = self.accounts();
        if accounts.len() >= MAX_ACCOUNTS && !accounts.contains_key(&account) {
            accounts.retain(|_, asked| asked.is_current(now));
            if accounts.len() >= MAX_ACCOUNTS {
                return Err(TooMany { retry_after_secs: WINDOW.as_secs() });
            }
        }
        let asked = accounts.entry(account).or_insert(Asked { since: now, count: 0 });
        if !asked.is_current(now) {
            *asked = Asked { since: now, count: 0 };
        }
        asked.count = asked.count.saturating_add(1);
        asked.within_limit(now)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Id, Asked>> {
        self.accounts.lock().expect("no holder of the lock panics")
    }
}

impl Asked {
    fn is_current(&self, now: MonotonicTime) -> bool {
        now.since(self.since) < WINDOW
    }

    fn within_limit(&self, now: MonotonicTime) -> Result<(), TooMany> {
        if self.count <= MAX_ASKED {
            return Ok(());
        }
        let left = WINDOW.saturating_sub(now.since(self.since));
        Err(TooMany { retry_after_secs: left.as_millis().div_ceil(1000).try_into().unwrap_or(1) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ASKER: Id = Id::FIRST;

    fn at(secs: u64) -> MonotonicTime {
        MonotonicTime::from_millis(secs * 1000)
    }

    fn with_limit_reached() -> AskedTokens {
        let asked = AskedTokens::default();
        (0..MAX_ASKED).for_each(|_| assert_eq!(asked.count(ASKER, at(7)), Ok(())));
        asked
    }

    #[test]
    fn one_token_more_is_refused_until_the_minute_is_over() {
        let asked = with_limit_reached();
        assert_eq!(asked.count(ASKER, at(8)), Err(TooMany { retry_after_secs: 59 }));
        assert_eq!(asked.count(ASKER, at(66)), Err(TooMany { retry_after_secs: 1 }));
        assert_eq!(asked.count(ASKER, at(67)), Ok(()));
    }

    #[test]
    fn each_account_is_counted_by_itself() {
        let asked = with_limit_reached();
        assert_eq!(asked.count(Id::LAST, at(8)), Ok(()));
    }

    #[test]
    fn the_accounts_that_are_counted_are_bounded_and_old_ones_make_room() {
        let asked = AskedTokens::default();
        let id = |number: usize| Id::parse(&number.to_string()).unwrap();
        (1..=MAX_ACCOUNTS).for_each(|number| assert_eq!(asked.count(id(number), at(7)), Ok(())));
        let refused = asked.count(id(MAX_ACCOUNTS + 1), at(8));
        assert_eq!(refused, Err(TooMany { retry_after_secs: 60 }));
        assert_eq!(asked.count(id(1), at(8)), Ok(()));
        assert_eq!(asked.count(id(MAX_ACCOUNTS + 1), at(67)), Ok(()));
        assert_eq!(asked.accounts().len(), 1);
    }
}
