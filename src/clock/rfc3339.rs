//! Parses times in RFC 3339.

use super::Timestamp;

const DAY: i64 = 86_400;

impl Timestamp {
    /// The last time that RFC 3339 can express: the end of the year 9999.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// Parses a date-time of RFC 3339 with any offset, truncated to milliseconds. `None` if it is malformed or not from
    /// 1970 to 9999 in UTC.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (date, time) = (text.get(..10)?, text.get(11..19)?);
        if !matches!(text.as_bytes()[10], b'T' | b't') {
            return None;
        }
        let (millis, offset) = fraction(text.get(19..)?)?;
        let secs = days(date)? * DAY + seconds(time)? - offset_seconds(offset)?;
        let moment = Self(u64::try_from(secs * 1000 + millis).ok()?);
        (moment <= Self::MAX).then_some(moment)
    }
}

/// The days from 1970-01-01 to that date: `days_from_civil` of Howard Hinnant's "chrono-Compatible Low-Level Date
/// Algorithms", whose years begin with March.
fn days(date: &str) -> Option<i64> {
    let [year, month, day] = numbers(date, b'-', [4, 2, 2])?;
    if !(1..=12).contains(&month) || !(1..=days_of_month(year, month)).contains(&day) {
        return None;
    }
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

fn days_of_month(year: i64, month: i64) -> i64 {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// The seconds of a time of day; a leap second, which only an hour's last minute has, counts as the second after it.
fn seconds(time: &str) -> Option<i64> {
    let [hour, minute, second] = numbers(time, b':', [2, 2, 2])?;
    let last = if minute == 59 { 60 } else { 59 };
    (hour <= 23 && minute <= 59 && second <= last).then_some(hour * 3600 + minute * 60 + second)
}

/// The milliseconds of a fraction, 0 if there is none, and the rest of the text.
fn fraction(text: &str) -> Option<(i64, &str)> {
    let Some(rest) = text.strip_prefix('.') else { return Some((0, text)) };
    let length = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, offset) = rest.split_at(length);
    let of_millis = digits.bytes().chain(*b"00").take(3).fold(0, |millis, digit| millis * 10 + i64::from(digit - b'0'));
    (length > 0).then_some((of_millis, offset))
}

/// The seconds by which a local time is ahead of UTC.
fn offset_seconds(offset: &str) -> Option<i64> {
    if matches!(offset, "Z" | "z") {
        return Some(0);
    }
    let sign = match offset.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let [hour, minute] = numbers(&offset[1..], b':', [2, 2])?;
    (hour <= 23 && minute <= 59).then_some(sign * (hour * 3600 + minute * 60))
}

/// Numbers of these lengths with a separator between them, and nothing else.
fn numbers<const N: usize>(text: &str, separator: u8, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut rest = text.as_bytes();
    let mut numbers = [0; N];
    for (place, length) in lengths.into_iter().enumerate() {
        if place > 0 {
            rest = rest.strip_prefix(&[separator])?;
        }
        let (digits, after) = rest.split_at_checked(length)?;
        let digits = str::from_utf8(digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_digit()))?;
        (numbers[place], rest) = (digits.parse().ok()?, after);
    }
    rest.is_empty().then_some(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_day_until_the_year_9999_is_read_as_it_is_written() {
        for day in 0..=2_932_896 {
            let moment = Timestamp(day * 86_400_000 + day * 7_654_321 % 86_400_000);
            assert_eq!(Timestamp::parse(&moment.to_string()), Some(moment));
        }
    }

    #[test]
    fn equal_times_in_different_spellings_are_equal() {
        for text in [
            "2026-11-23T17:22:00Z",
            "2026-11-23t17:22:00z",
            "2026-11-23T17:22:00.000Z",
            "2026-11-23T17:22:00.0009999999Z",
            "2026-11-23T19:22:00+02:00",
            "2026-11-24T05:07:00.0+11:45",
            "2026-11-22T23:22:00-18:00",
            "2026-11-23T17:22:00-00:00",
            "2026-11-23T17:21:00.000-00:01",
        ] {
            let moment = Timestamp::parse(text).map(|moment| moment.to_string());
            assert_eq!(moment.as_deref(), Some("2026-11-23T17:22:00.000Z"), "{text}");
        }
        assert_eq!(Timestamp::parse("1970-01-01T00:00:00.5Z"), Some(Timestamp(500)));
        assert_eq!(Timestamp::parse("2016-12-31T23:59:60Z"), Timestamp::parse("2017-01-01T00:00:00Z"));
        assert_eq!(Timestamp::parse("9999-12-31T23:59:59.999Z"), Some(Timestamp::MAX));
    }

    #[test]
    fn a_malformed_time_is_refused() {
        for text in [
            "",
            "now",
            "2026",
            "2026-11-23",
            "17:22:00Z",
            "1795454520",
            "2026-11-23T17:22:00",
            "2026-11-23 17:22:00Z",
            "2026-11-23T17:22Z",
            "2026-11-23T17:22:00.Z",
            "2026-11-23T17:22:00.1",
            "2026-11-23T17:22:00,1Z",
            "2026-11-23T17:22:00ZZ",
            "2026-11-23T17:22:00Z ",
            " 2026-11-23T17:22:00Z",
            "2026-11-23T17:22:00+0200",
            "2026-11-23T17:22:00+24:00",
            "2026-11-23T17:22:00+02:60",
            "2026-11-23T17:22:00+2:00",
            "2026-13-23T17:22:00Z",
            "2026-00-23T17:22:00Z",
            "2026-02-29T17:22:00Z",
            "2100-02-29T17:22:00Z",
            "2026-04-31T17:22:00Z",
            "2026-11-00T17:22:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T17:60:00Z",
            "2026-11-23T17:22:60Z",
            "2026-11-23T17:22:61Z",
            "+026-11-23T17:22:00Z",
            "2026-+1-23T17:22:00Z",
            "02026-11-23T17:22:00Z",
            "1969-12-31T23:59:59.999Z",
            "1970-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "0000-00-00T00:00:00Z",
            "2026-11-23T17:22:0\u{e9}Z",
            "\u{e9}\u{e9}26-11-23T17:22:00Z",
            "2026-11-23T17:22:00\u{2212}02:00",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text:?}");
        }
    }
}
