//! The integer ids of the API.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The id of a record: 1 to 2^31 - 1, because clients keep it in a signed 32-bit integer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(u32);

impl Id {
    /// The first id of every collection.
    pub const FIRST: Self = Self(1);
    /// The last id that any collection can have.
    pub const LAST: Self = Self((1 << 31) - 1);

    /// The id of that number; `None` out of bounds.
    #[must_use]
    pub fn new(number: u32) -> Option<Self> {
        (Self::FIRST.0..=Self::LAST.0).contains(&number).then_some(Self(number))
    }

    /// Parses an id as the API writes it: decimal digits without sign or leading zero.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let canonical = text.starts_with(|first: char| matches!(first, '1'..='9'));
        let digits = text.bytes().all(|byte| byte.is_ascii_digit());
        if canonical && digits { text.parse().ok().and_then(Self::new) } else { None }
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_canonical_spelling_is_an_id() {
        for wrong in ["", "0", "-1", "+1", "00", "01", "1.0", "1e1", "0x1", " 1", "2147483648", "99999999999999999999"]
        {
            assert_eq!(Id::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Id::parse("1"), Some(Id::FIRST));
        assert_eq!(Id::parse("2147483647"), Some(Id::LAST));
    }
}
