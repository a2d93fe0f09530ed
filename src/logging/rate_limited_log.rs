//! Limits a log message to one an hour.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// Allows one message an hour.
#[derive(Debug, Default)]
pub struct RateLimitedLog {
    next_millis: AtomicU64,
}

impl RateLimitedLog {
    /// Whether the message may be logged now; of several threads that ask at once, one may.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        const HOUR_MILLIS: u64 = Duration::from_hours(1).as_secs() * 1000;
        let (now, due) = (now.as_millis(), self.next_millis.load(Ordering::Relaxed));
        let is_first =
            || self.next_millis.compare_exchange(due, now + HOUR_MILLIS, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        due <= now && is_first()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_warning_is_due_once_an_hour() {
        let rate_limited_log = RateLimitedLog::default();
        let warns =
            [10_000, 10_001, 13_599, 13_600, 13_601].map(|now| rate_limited_log.is_due(Timestamp::from_secs(now)));
        assert_eq!(warns, [true, false, false, true, false]);
    }
}
