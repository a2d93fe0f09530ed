//! Time as a value that is passed in, so that every rule about time can be tested.

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
        let millis = self.0.min(253_402_300_799_999);
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

/// Tells the time; a clone tells the same time.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> Timestamp + Send + Sync>);

impl Clock {
    /// The clock of this machine, which goes forward alone: set back while the process runs, it goes on from where it was,
    /// so that nothing that is over begins again. A moment before 1970 reads as 1970.
    #[must_use]
    pub fn system() -> Self {
        let began = Instant::now();
        Self::forward(wall_millis, move || millis(began.elapsed()))
    }

    /// A clock that follows `wall` forwards and `elapsed`, the time since its making, when the wall is set back.
    fn forward(
        wall: impl Fn() -> u64 + Send + Sync + 'static,
        elapsed: impl Fn() -> u64 + Send + Sync + 'static,
    ) -> Self {
        let furthest = AtomicU64::new(0);
        Self::new(move || {
            let elapsed = elapsed();
            let ahead = wall().saturating_sub(elapsed);
            // Written only when it moves: all threads read it.
            let known = furthest.load(Ordering::Relaxed);
            let ahead = if ahead > known { furthest.fetch_max(ahead, Ordering::Relaxed).max(ahead) } else { known };
            Timestamp::from_millis(ahead.saturating_add(elapsed))
        })
    }

    /// A clock that tells whatever the function says.
    pub fn new(now: impl Fn() -> Timestamp + Send + Sync + 'static) -> Self {
        Self(Arc::new(now))
    }

    /// The present moment.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        (self.0)()
    }
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
}
