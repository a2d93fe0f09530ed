//! E-mail addresses.

use serde::{Deserialize, Serialize};

use super::{Parsed, Problem, at_most_characters};

/// An e-mail address: at most 254 characters, one `@` with something on both sides, no white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// The maximum number of characters.
    pub const MAX: usize = 254;

    /// Parses an e-mail address.
    ///
    /// # Errors
    /// `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        at_most_characters(text, Self::MAX)?;
        let sides_are_there = text
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let forbidden = |character: char| character.is_whitespace() || character.is_control();
        if sides_are_there && !text.contains(forbidden) { Ok(Self(text.to_owned())) } else { Err(Problem::Invalid) }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_email_address_has_something_on_both_sides_of_one_at() {
        assert!(Email::parse("a@b").is_ok());
        for wrong in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\r\n", "a@\u{0}"] {
            assert_eq!(Email::parse(wrong), Err(Problem::Invalid), "{wrong:?}");
        }
        assert_eq!(Email::parse(&format!("{}@b", "a".repeat(253))), Err(Problem::TooLong(254)));
    }
}
