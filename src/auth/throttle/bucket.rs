//! Counts the failures of one account, one address or both.

use super::policy::BackoffPolicy;
use crate::clock::MonotonicTime;

/// Failures that are counted together. An attempt counts as failed from its start, until it succeeds or is given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bucket {
    pub(super) failures: u32,
    /// When the last of them began.
    pub(super) attempted_at: MonotonicTime,
}

impl Bucket {
    /// The number of failures that have not been forgiven yet.
    pub(super) fn level(&self, policy: &BackoffPolicy, now: MonotonicTime) -> u32 {
        let forgiven = now.since(self.attempted_at).as_millis() / policy.forgives_every.as_millis();
        self.failures.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX))
    }

    /// When the next attempt is admitted; zero, and thus at once, while there are few failures.
    pub(super) fn waits_until(&self, policy: &BackoffPolicy) -> MonotonicTime {
        let wait = policy.wait(self.failures);
        if wait.is_zero() { MonotonicTime::from_millis(0) } else { self.attempted_at.after(wait) }
    }

    /// The bucket with one more failure.
    pub(super) fn after_another(old: Option<&Self>, policy: &BackoffPolicy, now: MonotonicTime) -> Self {
        let level = old.map_or(0, |bucket| bucket.level(policy, now));
        Self { failures: (level + 1).min(policy.max_failures()), attempted_at: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_forgiven_for_each_quiet_hour() {
        let bucket = Bucket { failures: 3, attempted_at: MonotonicTime::from_millis(0) };
        let policy = BackoffPolicy::of_pair(5);
        let level = |secs: u64| bucket.level(&policy, MonotonicTime::from_millis(secs * 1000));
        assert_eq!([0, 3599, 3600, 7200, 10_799, 10_800, 99_999].map(level), [3, 3, 2, 1, 1, 0, 0]);
    }
}
