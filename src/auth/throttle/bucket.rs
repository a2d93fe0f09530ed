//! Failures of one account, one address or both, and how long the next try has to wait for them.

use std::time::Duration;

use crate::clock::Timestamp;

/// How many failures are free, and how long tries wait from then on.
#[derive(Clone, Copy, Debug)]
pub(super) struct BackoffPolicy {
    /// From this many failures on, the next try waits.
    pub(super) after: u32,
    /// How long it waits first; with each further failure twice as long.
    pub(super) first: Duration,
    /// How long it waits at most.
    pub(super) longest: Duration,
    /// One failure is forgiven for each time of this length without one.
    pub(super) forgives_every: Duration,
}

impl BackoffPolicy {
    /// How long the next try waits after that many failures.
    pub(super) fn wait(&self, failures: u32) -> Duration {
        let Some(doublings) = failures.checked_sub(self.after) else { return Duration::ZERO };
        self.first.saturating_mul(2_u32.saturating_pow(doublings)).min(self.longest)
    }

    /// More failures than this count no further: the wait is the longest already.
    fn most(&self) -> u32 {
        let times = self.longest.as_millis().div_ceil(self.first.as_millis());
        self.after.saturating_add(times.next_power_of_two().ilog2())
    }
}

/// Failures that are counted together. A try counts as failed from its begin until it turns out otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) failures: u32,
    /// When the last of them began.
    pub(super) tried_at: Timestamp,
}

impl Bucket {
    /// How many failures are not forgiven yet.
    pub(super) fn level(&self, policy: &BackoffPolicy, now: Timestamp) -> u32 {
        let quiet = now.as_millis().saturating_sub(self.tried_at.as_millis());
        let forgiven = u64::from(self.failures).min(quiet / millis(policy.forgives_every));
        self.failures - u32::try_from(forgiven).expect("no more than the failures")
    }

    /// From when on another try is admitted; always, if there are few failures, whatever the clock says.
    pub(super) fn waits_until(&self, policy: &BackoffPolicy) -> Timestamp {
        let wait = millis(policy.wait(self.failures));
        let since = if wait == 0 { 0 } else { self.tried_at.as_millis() };
        Timestamp::from_millis(since.saturating_add(wait))
    }

    /// The bucket with one more failure.
    pub(super) fn after_another(before: Option<&Self>, policy: &BackoffPolicy, now: Timestamp) -> Self {
        let level = before.map_or(0, |bucket| bucket.level(policy, now));
        Self { failures: (level + 1).min(policy.most()), tried_at: now }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: BackoffPolicy = BackoffPolicy {
        after: 5,
        first: Duration::from_secs(1),
        longest: Duration::from_mins(15),
        forgives_every: Duration::from_hours(1),
    };

    #[test]
    fn the_wait_doubles_from_a_second_to_a_quarter_of_an_hour() {
        let waits: Vec<_> = (0..20).map(|failures| BOUND.wait(failures).as_secs()).collect();
        assert_eq!(waits, [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900]);
        assert_eq!(BOUND.wait(u32::MAX).as_secs(), 900);
        assert_eq!(BOUND.most(), 15);
    }

    #[test]
    fn a_failure_is_forgiven_for_each_quiet_hour() {
        let bucket = Bucket { failures: 3, tried_at: Timestamp::from_secs(0) };
        let level = |secs| bucket.level(&BOUND, Timestamp::from_secs(secs));
        assert_eq!([0, 3599, 3600, 7200, 10_799, 10_800, 99_999].map(level), [3, 3, 2, 1, 1, 0, 0]);
    }
}
