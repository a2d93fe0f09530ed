//! Times on the wall clock, and their text in RFC 3339.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};

use super::millis;

/// A time in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub(super) u64);

impl Timestamp {
    /// The time that many milliseconds after 1970.
    #[must_use]
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The time that many whole seconds after 1970.
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

    /// The time that long after this one.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
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

    /// The time as a part of a file's name, which sorts by time: `2026-11-23T17-22-00-000Z`.
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

/// A time as text, without an allocation.
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
/// Implemented here because every response has two times and every log line one, and humantime takes some 740
/// instructions.
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

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;

    #[test]
    fn a_time_is_displayed_as_rfc_3339_with_milliseconds() {
        assert_eq!(Timestamp::from_millis(1_763_918_520_007).to_string(), "2025-11-23T17:22:00.007Z");
        assert_eq!(Timestamp::from_millis(u64::MAX).to_string(), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn every_day_until_the_year_9999_has_the_date_of_the_calendar() {
        for day in 0..=2_932_896 {
            // Another time of day each day.
            let millis = day * 86_400_000 + day * 7_654_321 % 86_400_000;
            let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
            let expected = humantime::format_rfc3339_millis(expected).to_string();
            assert_eq!(Timestamp::from_millis(millis).to_string(), expected);
        }
    }
}
