//! Passwords in clear, which live no longer than a request.

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::{Parsed, Problem, Username, common_passwords::is_common_password};
use crate::secret::Secret;

/// The maximum length of a password, in bytes of UTF-8.
const MAX_BYTES: usize = 1024;

/// A password that a client presents as its credential, normalised to NFC (RFC 8265).
#[derive(Clone, Debug)]
pub struct PresentedPassword(Secret<String>);

impl PresentedPassword {
    /// The password; `None` for one that no account can have: empty, with control characters or of more than 1,024
    /// bytes.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let normalized = normalized(text);
        let possible = !normalized.is_empty()
            && text.len() <= MAX_BYTES
            && normalized.len() <= MAX_BYTES
            && !normalized.contains(char::is_control);
        possible.then(|| Self(Secret::new(normalized.to_string())))
    }

    /// The bytes that are hashed.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.expose().as_bytes()
    }
}

/// A password that an account may be given (NIST SP 800-63B, section 5.1.1.2).
#[derive(Clone, Debug)]
pub struct NewPassword(PresentedPassword);

impl NewPassword {
    /// Parses a new password of at least `min_bytes` bytes.
    ///
    /// # Errors
    /// `blank`, `too_short` and `too_long` in bytes, or `invalid` for one with control characters or in common use.
    pub fn parse(text: &str, min_bytes: usize) -> Parsed<Self> {
        if text.is_empty() {
            return Err(Problem::Blank);
        }
        let normalized = normalized(text);
        if text.len().max(normalized.len()) > MAX_BYTES {
            return Err(Problem::TooLong(MAX_BYTES));
        }
        if normalized.len() < min_bytes {
            return Err(Problem::TooShort(min_bytes));
        }
        let folded = Zeroizing::new(normalized.to_lowercase());
        if is_common_password(normalized.as_str()) || is_common_password(folded.as_str()) {
            return Err(Problem::Invalid);
        }
        PresentedPassword::parse(text).map(Self).ok_or(Problem::Invalid)
    }

    /// Whether it equals the user name in any case.
    #[must_use]
    pub fn is_username(&self, username: &Username) -> bool {
        self.0.0.expose().to_lowercase() == username.folded()
    }

    /// The bytes that are hashed.
    #[must_use]
    pub fn as_presented(&self) -> &PresentedPassword {
        &self.0
    }
}

fn normalized(text: &str) -> Zeroizing<String> {
    Zeroizing::new(text.nfc().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(text: &str) -> Option<Problem> {
        NewPassword::parse(text, 8).err()
    }

    #[test]
    fn a_new_password_is_neither_short_nor_long_nor_common() {
        assert_eq!(problem(""), Some(Problem::Blank));
        assert_eq!(problem("sh0rt.!"), Some(Problem::TooShort(8)));
        assert_eq!(problem(&"x7 ".repeat(342)), Some(Problem::TooLong(1024)));
        assert_eq!(problem("password"), Some(Problem::Invalid));
        assert_eq!(problem("PassWord1"), Some(Problem::Invalid));
        assert_eq!(problem("a\tb\tc\td\te"), Some(Problem::Invalid));
        assert_eq!(problem(" \u{1f600} leading and trailing "), None);
        assert_eq!(problem(&"Z".repeat(1024)), None);
    }

    #[test]
    fn two_keyboards_write_the_same_password() {
        let composed = PresentedPassword::parse("caf\u{e9} au lait").unwrap();
        let decomposed = PresentedPassword::parse("cafe\u{301} au lait").unwrap();
        assert_eq!(composed.as_bytes(), decomposed.as_bytes());
    }

    #[test]
    fn a_password_that_no_account_can_have_is_not_parsed() {
        for impossible in ["", "a\0b", "a\r\nb", &"x".repeat(1025)] {
            assert!(PresentedPassword::parse(impossible).is_none());
        }
    }
}
