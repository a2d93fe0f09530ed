//! A throttle under test.

use std::sync::atomic::AtomicU64;

use super::*;

/// A throttle with clocks that are set by hand.
pub(super) struct TestApp {
    pub(super) throttle: Arc<Throttle>,
    monotonic: Arc<AtomicU64>,
    wall: Arc<AtomicU64>,
}

/// The outcome of an attempt: the number of seconds to wait if it is not admitted.
pub(super) type Outcome = Result<(), u64>;

impl TestApp {
    pub(super) fn new(after: u32) -> Self {
        Self::with_room(after, MAX_BUCKETS)
    }

    pub(super) fn with_room(after: u32, most: usize) -> Self {
        let monotonic = Arc::new(AtomicU64::new(1_000_000_000_000));
        let wall = Arc::new(AtomicU64::new(1_800_000_000_000));
        let (of_monotonic, of_wall) = (Arc::clone(&monotonic), Arc::clone(&wall));
        let clock = Clock::with_monotonic(
            move || Timestamp::from_millis(of_wall.load(Ordering::SeqCst)),
            move || MonotonicTime::from_millis(of_monotonic.load(Ordering::SeqCst)),
        );
        Self { throttle: Throttle::with_room(clock, after, most), monotonic, wall }
    }

    /// Lets time pass.
    pub(super) fn forward_millis(&self, millis: u64) {
        self.monotonic.fetch_add(millis, Ordering::SeqCst);
        self.wall.fetch_add(millis, Ordering::SeqCst);
    }

    /// Sets only the wall clock.
    pub(super) fn set_wall_clock(&self, wall: Timestamp) {
        self.wall.store(wall.as_millis(), Ordering::SeqCst);
    }

    pub(super) fn forward(&self, secs: u64) {
        self.forward_millis(secs * 1000);
    }

    /// Begins an attempt; `None` if too many others are running.
    pub(super) fn begin(&self, username: &str, address: &str) -> Option<Result<Attempt, u64>> {
        match self.throttle.begin(username, None, address.parse().unwrap()) {
            Err(AuthError::Busy) => None,
            begun => Some(begun.map_err(|error| retry_after(&error))),
        }
    }

    /// An attempt with a wrong password.
    pub(super) fn fail(&self, username: &str, address: &str) -> Outcome {
        self.begin(username, address).expect("nothing else is running").map(|attempt| attempt.finish(false))
    }

    /// An attempt with the right password.
    pub(super) fn sign_in(&self, username: &str, address: &str) -> Outcome {
        self.begin(username, address).expect("nothing else is running").map(|attempt| attempt.finish(true))
    }

    /// Fails that many times, and waits in between as long as necessary.
    pub(super) fn fail_times(&self, times: usize, username: &str, address: &str) {
        for _ in 0..times {
            if let Err(secs) = self.fail(username, address) {
                self.forward(secs);
                assert_eq!(self.fail(username, address), Ok(()));
            }
        }
    }

    /// Fails for the account from so many addresses that it is locked out.
    pub(super) fn flood_account(&self, username: &str) {
        for number in 0..120 {
            let _ = self.fail(username, &format!("198.51.100.{number}"));
        }
    }

    /// Fails from the address for so many accounts that it is locked out.
    pub(super) fn flood_address(&self, address: &str) {
        for number in 0..60 {
            let _ = self.fail(&format!("nobody{number}"), address);
        }
    }

    /// Whether the address is known to the account.
    pub(super) fn is_known_address(&self, username: &str, address: &str) -> bool {
        self.begin(username, address).unwrap().unwrap().requester().is_known_address
    }

    /// Checks whether a password could be tried, without an attempt.
    pub(super) fn check(&self, username: &str, address: &str) -> Outcome {
        self.throttle
            .check(username, address.parse().unwrap(), self.throttle.clock.monotonic())
            .map_err(|error| retry_after(&error))
    }
}

pub(super) fn retry_after(error: &AuthError) -> u64 {
    match error {
        AuthError::Throttled { retry_after_secs } => *retry_after_secs,
        other => panic!("{other:?}"),
    }
}
