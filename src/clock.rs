//! Time as a value that is passed in, so that every rule about time can be tested.

mod rfc3339;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

/// A moment in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The moment that many milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The moment that many whole seconds after 1970.
    #[must_use]
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// Milliseconds since 1970.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// Whole seconds since 1970, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// The moment that long after it.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)))
    }

    /// RFC 3339 in UTC with milliseconds: `2026-11-23T17:22:00.000Z`.
    #[must_use]
    pub(crate) fn text(self) -> TimestampText {
        const DAY: u64 = 86_400_000;
        // RFC 3339 ends with the year 9999.
        let millis = self.min(Self::MAX).0;
        let (day, of_day) = (millis / DAY, millis % DAY);
        let (year, month, date) = date(day);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put(&mut text[..4], year);
        put(&mut text[5..7], month);
        put(&mut text[8..10], date);
        put(&mut text[11..13], of_day / 3_600_000);
        put(&mut text[14..16], of_day / 60_000 % 60);
        put(&mut text[17..19], of_day / 1000 % 60);
        put(&mut text[20..23], of_day % 1000);
        TimestampText(text)
    }

    /// The moment as a part of a file's name, which sorts as the moments do: `2026-11-23T17-22-00-000Z`.
    #[must_use]
    pub fn in_file_name(self) -> String {
        self.to_string().replace([':', '.'], "-")
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text().as_str())
    }
}

/// A moment in words and figures.
#[derive(Clone, Copy)]
pub(crate) struct TimestampText([u8; 24]);

impl TimestampText {
    /// The text.
    #[must_use]
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).expect("digits and separators are ASCII")
    }
}

/// Year, month and day of the month, that many days after 1970-01-01: `civil_from_days` of Howard Hinnant's
/// "chrono-Compatible Low-Level Date Algorithms", whose years begin with March.
///
/// Written here because every response has two times and every log line one: humantime takes some 740 instructions for each.
fn date(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day_of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let date = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, date)
}

/// Writes the number's last digits over these.
fn put(digits: &mut [u8], mut number: u64) {
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
}

/// A moment on the monotonic clock, in milliseconds since an arbitrary origin: what is measured between two of them does not
/// change when the wall clock is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MonotonicTime(u64);

impl MonotonicTime {
    /// The moment that many milliseconds after the origin.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// Milliseconds since the origin.
    #[must_use]
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time since an earlier moment; zero if that one is later.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// The moment that long after this one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// The moment that long before this one, or the origin.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }
}

/// One moment on both clocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// On the wall clock.
    pub wall: Timestamp,
    /// On the monotonic clock.
    pub monotonic: MonotonicTime,
}

impl Reading {
    /// When the wall clock will show that moment, if nobody sets it until then; a moment that is over reads as now.
    #[must_use]
    pub fn wall_time_of(self, moment: MonotonicTime) -> Timestamp {
        Timestamp(self.wall.0.saturating_add(millis(moment.since(self.monotonic))))
    }

    /// The monotonic moment of a time on the wall clock; one that lies ahead is now.
    #[must_use]
    pub fn monotonic_time_of(self, at: Timestamp) -> MonotonicTime {
        self.monotonic.before(Duration::from_millis(self.wall.0.saturating_sub(at.0)))
    }
}

/// Reads the wall clock and the monotonic clock; a clone reads the same ones.
#[derive(Clone)]
pub struct Clock {
    wall: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    monotonic: Arc<dyn Fn() -> MonotonicTime + Send + Sync>,
}

impl Clock {
    /// The clock of this machine, which goes forward alone: set back while the process runs, it goes on from where it was,
    /// so that nothing that is over begins again. A moment before 1970 reads as 1970.
    #[must_use]
    pub fn system() -> Self {
        let began = Instant::now();
        Self::forward(wall_millis, move || millis(began.elapsed()))
    }

    /// A clock that follows `wall` forwards and `elapsed`, the time since its making, when the wall is set back; its
    /// monotonic reading follows `elapsed` alone.
    fn forward(
        wall: impl Fn() -> u64 + Send + Sync + 'static,
        elapsed: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        /// What happened before the clock was made has a monotonic time too: a sign-in that the audit log remembers.
        const ORIGIN_MILLIS: u64 = 3650 * 24 * 3_600_000;
        let (furthest, elapsed) = (AtomicU64::new(0), Arc::new(elapsed));
        let monotonic = Arc::clone(&elapsed);
        let monotonic = move || MonotonicTime(ORIGIN_MILLIS.saturating_add(monotonic()));
        let wall = move || {
            let elapsed = elapsed();
            let ahead = wall().saturating_sub(elapsed);
            // Written only when it moves: all threads read it.
            let known = furthest.load(Ordering::Relaxed);
            let ahead = if ahead > known { furthest.fetch_max(ahead, Ordering::Relaxed).max(ahead) } else { known };
            Timestamp::from_millis(ahead.saturating_add(elapsed))
        };
        Self::with_monotonic(wall, monotonic)
    }

    /// A clock whose wall reading is the function's, and whose monotonic reading moves with it: for tests.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        let wall: Arc<dyn Fn() -> Timestamp + Send + Sync> = Arc::new(now);
        let same = Arc::clone(&wall);
        Self { wall, monotonic: Arc::new(move || MonotonicTime(same().as_millis())) }
    }

    /// A clock with a function for each reading.
    pub fn with_monotonic(
        wall: impl Fn() -> Timestamp + Send + Sync + 'static,
        monotonic: impl Fn() -> MonotonicTime + Send + Sync + 'static,
    ) -> Self {
        Self { wall: Arc::new(wall), monotonic: Arc::new(monotonic) }
    }

    /// The present moment on the wall clock.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.wall)()
    }

    /// The present moment on the monotonic clock.
    #[must_use]
    pub fn monotonic(&self) -> MonotonicTime {
        (self.monotonic)()
    }

    /// The present moment on both.
    #[must_use]
    pub fn reading(&self) -> Reading {
        Reading { wall: self.now(), monotonic: self.monotonic() }
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
    fn a_moment_reads_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_763_918_520_007).to_string(), "2025-11-23T17:22:00.007Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn a_clock_before_1970_is_complained_about_and_no_other() {
        let before = SystemTime::UNIX_EPOCH - Duration::from_hours(24);

        let complaint = complaint_about(before).unwrap();

        assert!(complaint.starts_with("the clock of this machine is 86400 s before 1970"), "{complaint}");
        assert_eq!(complaint_about(SystemTime::UNIX_EPOCH), None);
        assert_eq!(complaint_about(SystemTime::UNIX_EPOCH + Duration::from_millis(1)), None);
    }

    #[test]
    fn every_day_until_the_year_9999_reads_as_the_calendar_has_it() {
        for day in 0..=2_932_896 {
            // Another time of day each day.
            let millis = day * 86_400_000 + day * 7_654_321 % 86_400_000;
            let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let expected = humantime::format_rfc3339_millis(expected).to_string();
            assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
        }
    }

    #[test]
    fn a_clock_that_is_set_back_goes_on_from_where_it_was() {
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
        assert_eq!(at(3_500, 510), 90_510, "it goes on all the same");
        assert_eq!(at(200_000, 600), 200_000, "set forward, it is followed");
    }

    #[test]
    fn the_monotonic_reading_does_not_move_with_a_wall_clock_that_is_set() {
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
    fn a_reading_translates_between_its_clocks() {
        let reading = Reading { wall: Timestamp(90_000), monotonic: MonotonicTime(500) };

        let ahead = reading.wall_time_of(MonotonicTime(1_500));
        let past = [89_900, 90_000, 95_000].map(|at| reading.monotonic_time_of(Timestamp(at)).as_millis());

        assert_eq!(ahead, Timestamp(91_000));
        assert_eq!(past, [400, 500, 500], "what lies ahead is now");
    }
}
