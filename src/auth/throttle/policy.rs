//! The rules of the throttle: the numbers that decide which attempts wait, and for how long.
//!
//! | counted for | attempts wait from | for | one failure is forgiven each |
//! |---|---|---|---|
//! | an account from an address | `after` failures | 1 s, doubling to 15 min | hour without one |
//! | an address, over all accounts and unknown keys | 10 × `after` | 1 s, doubling to 15 min | 5 minutes without one |
//! | an account, over all addresses | 20 × `after` | 30 s | 5 minutes without one |

use std::time::Duration;

/// The maximum number of buckets of a kind; all of them take some 30 MB.
pub(super) const MAX_BUCKETS: usize = 65_536;
/// The maximum number of addresses that are known to an account, so that no account displaces those of others.
pub(super) const MAX_KNOWN_OF_ACCOUNT: usize = 32;
/// How long an address stays known to an account after a sign-in.
pub(super) const RECENTLY: Duration = Duration::from_hours(7 * 24);

const SECOND: Duration = Duration::from_secs(1);
const HALF_A_MINUTE: Duration = Duration::from_secs(30);
const QUARTER_OF_AN_HOUR: Duration = Duration::from_mins(15);
const FIVE_MINUTES: Duration = Duration::from_mins(5);
const HOUR: Duration = Duration::from_hours(1);

/// After how many failures attempts wait, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackoffPolicy {
    /// The number of failures from which on the next attempt waits.
    pub(super) after: u32,
    /// The first wait; each further failure doubles it.
    pub(super) first: Duration,
    /// The longest wait.
    pub(super) max: Duration,
    /// One failure is forgiven for each time of this length without one.
    pub(super) forgives_every: Duration,
}

impl BackoffPolicy {
    /// For an account from an address.
    pub(super) const fn of_pair(after: u32) -> Self {
        Self { after, first: SECOND, max: QUARTER_OF_AN_HOUR, forgives_every: HOUR }
    }

    /// For an address, over all accounts and unknown keys.
    pub(super) const fn of_address(after: u32) -> Self {
        let after = after.saturating_mul(10);
        Self { after, first: SECOND, max: QUARTER_OF_AN_HOUR, forgives_every: FIVE_MINUTES }
    }

    /// For an account, over all addresses.
    pub(super) const fn of_account(after: u32) -> Self {
        let after = after.saturating_mul(20);
        Self { after, first: HALF_A_MINUTE, max: HALF_A_MINUTE, forgives_every: FIVE_MINUTES }
    }

    /// How long the next attempt waits after that many failures.
    pub(super) fn wait(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.after) else { return Duration::ZERO };
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.max)
    }

    /// The number of failures at which the wait is the longest; further ones do not count.
    pub(super) fn max_failures(&self) -> u32 {
        let times = self.max.as_millis().div_ceil(self.first.as_millis());
        self.after.saturating_add(times.next_power_of_two().ilog2())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_doubles_from_a_second_to_a_quarter_of_an_hour() {
        let policy = BackoffPolicy::of_pair(5);
        let waits: Vec<_> = (0..20).map(|failures| policy.wait(failures).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]);
        assert_eq!(policy.wait(u32::MAX).as_secs(), 900);
        assert_eq!(policy.max_failures(), 15);
    }
}
