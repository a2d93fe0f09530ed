//! Clocks, which are passed in so that every rule about time can be tested.

mod monotonic_time;
mod rfc3339;
mod timestamp;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

pub use self::{monotonic_time::MonotonicTime, timestamp::Timestamp};

/// The current time on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// On the wall clock.
    pub wall: Timestamp,
    /// On the monotonic clock.
    pub monotonic: MonotonicTime,
}

impl Reading {
    /// The wall time at which that monotonic time is reached if the wall clock is not set; the current time if it is
    /// past.
    #[must_use]
    pub fn wall_time_of(self, moment: MonotonicTime) -> Timestamp {
        self.wall.after(moment.since(self.monotonic))
    }

    /// The monotonic time of a wall time; the current time if that is in the future.
    #[must_use]
    pub fn monotonic_time_of(self, at: Timestamp) -> MonotonicTime {
        self.monotonic.before(Duration::from_millis(self.wall.as_millis().saturating_sub(at.as_millis())))
    }
}

/// Reads the wall clock and the monotonic clock; a clone reads the same ones.
#[derive(Clone)]
pub struct Clock {
    both: Arc<dyn Fn() -> Reading + Send + Sync>,
    monotonic: Arc<dyn Fn() -> MonotonicTime + Send + Sync>,
}

impl Clock {
    /// The clock of this machine, which never goes back: if it is set back while the process runs, it continues from
    /// where it was, so that nothing expired becomes valid again. A time before 1970 reads as 1970.
    #[must_use]
    pub fn system() -> Self {
        let began = Instant::now();
        Self::forward(wall_millis, move || millis(began.elapsed()))
    }

    /// A clock that follows `wall` while it goes forward, and `elapsed`, the time since the clock's creation, when it
    /// is set back. Its monotonic reading follows `elapsed` only.
    fn forward(
        wall: impl Fn() -> u64 + Send + Sync + 'static,
        elapsed: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        /// The monotonic time of the clock's creation, so that earlier events, such as sign-ins in the audit log, have
        /// one too.
        const ORIGIN_MILLIS: u64 = 3650 * 24 * 3_600_000;
        let (furthest, elapsed) = (AtomicU64::new(0), Arc::new(elapsed));
        let since_creation = Arc::clone(&elapsed);
        let after_origin = |elapsed| MonotonicTime::from_millis(ORIGIN_MILLIS.saturating_add(elapsed));
        let both = move || {
            let elapsed = elapsed();
            let ahead = wall().saturating_sub(elapsed);
            // Written only when it changes, because all threads read it.
            let known = furthest.load(Ordering::Relaxed);
            let ahead = if ahead > known { furthest.fetch_max(ahead, Ordering::Relaxed).max(ahead) } else { known };
            let wall = Timestamp::from_millis(ahead.saturating_add(elapsed));
            Reading { wall, monotonic: after_origin(elapsed) }
        };
        Self { both: Arc::new(both), monotonic: Arc::new(move || after_origin(since_creation())) }
    }

    /// A clock for tests, whose readings both follow the function.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let now = Arc::new(now);
        let same = Arc::clone(&now);
        Self::with_monotonic(move || now(), move || MonotonicTime::from_millis(same().as_millis()))
    }

    /// A clock with a function for each reading.
    pub fn with_monotonic(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        monotonic: impl Fn() -> MonotonicTime + Send + Sync + 'static,
    ) -> Self {
        let monotonic = Arc::new(monotonic);
        let same = Arc::clone(&monotonic);
        Self { both: Arc::new(move || Reading { wall: wall(), monotonic: same() }), monotonic }
    }

    /// The current time on the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.reading().wall
    }

    /// The current time on the monotonic clock.
    #[must_use]
    pub fn monotonic(&self) -> MonotonicTime {
        (self.monotonic)()
    }

    /// The current time on both.
    #[must_use]
    pub fn reading(&self) -> Reading {
        (self.both)()
    }
}

/// A sentence about a machine whose clock shows a moment before 1970, which [`Clock::system`] reads as 1970.
#[must_use]
pub fn complaint() -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "what the clock shows before it is read as 1970")]
    complaint_about(SystemTime::now())
}

fn complaint_about(now: SystemTime) -> Option<String> {
    let before = SystemTime::UNIX_EPOCH.duration_since(now).ok().filter(|before| !before.is_zero())?;
    Some(format!(
        "the clock of this machine is {} s before 1970 and counts as 1970: times are wrong until it is set, and sessions \
         that were opened by then end",
        before.as_secs().max(1)
    ))
}

fn wall_millis() -> u64 {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    millis(since.unwrap_or_default())
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Clock")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clock_before_1970_causes_a_warning() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_hours(24);

        let complaint = complaint_about(before).unwrap();

        assert!(complaint.starts_with("the clock of this machine is 86400 s before 1970"), "{complaint}");
        assert_eq!(complaint_about(SystemTime::UNIX_EPOCH), None);
        assert_eq!(complaint_about(SystemTime::UNIX_EPOCH + Duration::from_millis(1)), None);
    }

    #[test]
    fn a_clock_that_is_set_back_continues_from_where_it_was() {
        let (wall, elapsed) = (Arc::new(AtomicU64::new(90_000)), Arc::new(AtomicU64::new(0)));
        let (theirs, also_theirs) = (Arc::clone(&wall), Arc::clone(&elapsed));
        let clock = Clock::forward(move || theirs.load(Ordering::SeqCst), move || also_theirs.load(Ordering::SeqCst));
        let at = |now: u64, since: u64| {
            wall.store(now, Ordering::SeqCst);
            elapsed.store(since, Ordering::SeqCst);
            clock.now().as_millis()
        };

        assert_eq!(at(90_000, 0), 90_000);
        assert_eq!(at(3_000, 10), 90_010, "set back by 87 s");
        assert_eq!(at(3_500, 510), 90_510, "it continues all the same");
        assert_eq!(at(200_000, 600), 200_000, "set forward, it is followed");
    }

    #[test]
    fn the_monotonic_reading_does_not_follow_a_wall_clock_that_is_set() {
        let (wall, elapsed) = (Arc::new(AtomicU64::new(90_000)), Arc::new(AtomicU64::new(0)));
        let (theirs, also_theirs) = (Arc::clone(&wall), Arc::clone(&elapsed));
        let clock = Clock::forward(move || theirs.load(Ordering::SeqCst), move || also_theirs.load(Ordering::SeqCst));
        let began = clock.monotonic();
        let mut passed = Vec::new();

        for (now, since) in [(90_000, 0), (200_000, 10), (3_000, 20)] {
            wall.store(now, Ordering::SeqCst);
            elapsed.store(since, Ordering::SeqCst);
            passed.push(clock.monotonic().since(began).as_millis());
        }

        assert_eq!(passed, [0, 10, 20]);
    }

    #[test]
    fn a_reading_converts_between_its_clocks() {
        let reading = Reading { wall: Timestamp::from_millis(90_000), monotonic: MonotonicTime::from_millis(500) };

        let ahead = reading.wall_time_of(MonotonicTime::from_millis(1_500));
        let past = [89_900, 90_000, 95_000].map(|at| reading.monotonic_time_of(Timestamp::from_millis(at)).as_millis());

        assert_eq!(ahead, Timestamp::from_millis(91_000));
        assert_eq!(past, [400, 500, 500], "a future time is now");
    }
}
