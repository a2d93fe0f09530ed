//! User names.

use serde::{Deserialize, Serialize};

use super::{Parsed, Problem, at_most_characters};

/// A user name: 1 to 64 of `A-Z a-z 0-9 . _ - + @`, first a letter, digit or `_`, not digits only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// The maximum number of characters.
    pub const MAX: usize = 64;

    /// Parses a user name.
    ///
    /// # Errors
    /// `blank`, `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        if text.is_empty() {
            return Err(Problem::Blank);
        }
        at_most_characters(text, Self::MAX)?;
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        let permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte);
        let looks_like_an_id = text.bytes().all(|byte| byte.is_ascii_digit());
        if starts_well && text.bytes().all(permitted) && !looks_like_an_id {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::Invalid)
        }
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case; names with the same folded form are the same name.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_has_its_form() {
        let longest = "a".repeat(64);
        for right in ["a", "_x", "7a", "Ann.B-c+d@e", &longest] {
            assert!(Username::parse(right).is_ok(), "{right}");
        }
        let wrong = ["12", "-a", ".a", "a b", "a:b", "a/b", "a\0", "a\n", "\u{202e}a", "a\u{200b}", "аdmin", "ａ"];
        for wrong in wrong {
            assert_eq!(Username::parse(wrong), Err(Problem::Invalid), "{wrong:?}");
        }
        assert_eq!(Username::parse(""), Err(Problem::Blank));
        assert_eq!(Username::parse(&"a".repeat(65)), Err(Problem::TooLong(64)));
    }
}
