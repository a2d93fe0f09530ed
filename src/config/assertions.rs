//! Settings of the assertions that services check by themselves.

use std::fmt;

/// The name of a service that assertions may be for: at most 255 letters, digits and `-._~:/`, so that it means the same in a
/// query and in the configuration of a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audience(String);

impl Audience {
    /// The maximum number of characters.
    pub const MAX: usize = 255;

    /// Parses the name.
    ///
    /// # Errors
    /// A sentence if it is empty, too long or has other characters.
    pub fn parse(text: &str) -> Result<Self, String> {
        let is_part = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/".contains(&byte);
        if (1..=Self::MAX).contains(&text.len()) && text.bytes().all(is_part) {
            Ok(Self(text.to_owned()))
        } else {
            Err(format!("`{}` is not a name of letters, digits and `-._~:/`, as files", text.escape_default()))
        }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Audience {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How assertions are signed (RFC 7518, section 3.4; RFC 8037, section 3.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SigningAlgorithm {
    /// ECDSA with P-256 and SHA-256.
    #[default]
    Es256,
    /// Ed25519.
    EdDsa,
}

impl SigningAlgorithm {
    /// Its name in the header of a token, which is also the value of the setting.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let found = [Self::Es256, Self::EdDsa].into_iter().find(|algorithm| algorithm.name() == text);
        found.ok_or_else(|| format!("`{}` is neither ES256 nor EdDSA", text.escape_default()))
    }
}

/// Parses the issuer, which services compare with a text of their own.
pub(super) fn issuer(text: &str) -> Result<String, String> {
    if (1..=Audience::MAX).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text.to_owned())
    } else {
        Err(format!("`{}` is not a text of 1 to 255 visible characters of ASCII", text.escape_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_audience_has_nothing_that_a_query_or_a_configuration_could_read_otherwise() {
        for right in ["files", "https://files.example.org:8443/a", "urn:x-a:b", "~"] {
            assert_eq!(Audience::parse(right).map(|audience| audience.to_string()), Ok(right.to_owned()));
        }
        let long = "a".repeat(256);
        for wrong in ["", " ", "a b", "a,b", "a&b", "a=b", "a+b", "a%20", "a;b", "\"a\"", "{a}", "@", "é", "a\n", &long]
        {
            assert!(Audience::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Audience::parse(&long[1..]).is_ok());
    }

    #[test]
    fn an_algorithm_is_named_as_in_the_header_of_a_token() {
        for algorithm in [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa] {
            assert_eq!(SigningAlgorithm::parse(algorithm.name()), Ok(algorithm));
        }
        for wrong in ["", "es256", "HS256", "none", "RS256", "EdDSA "] {
            assert!(SigningAlgorithm::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_issuer_is_visible() {
        assert_eq!(
            issuer("https://accounts.example.org/?a=\"b\""),
            Ok("https://accounts.example.org/?a=\"b\"".to_owned())
        );
        for wrong in ["", "a b", "a\t", "é"] {
            assert!(issuer(wrong).is_err(), "{wrong}");
        }
    }
}
