//! The credential in an `Authorization` header.

use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use zeroize::Zeroizing;

use super::{AuthError, Challenge, PresentedKey, key};
use crate::{domain::PresentedPassword, secret::Secret};

/// Accepts base64 with and without padding, because clients send both.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The maximum length of a token; those that this server issues have some 300 characters.
const MAX_TOKEN: usize = 4096;

/// A credential as a client presents it, not verified yet.
#[derive(Debug)]
pub enum Credential {
    /// A user name, as it was given, and a password.
    Basic(String, PresentedPassword),
    /// An API key whose checksum is right.
    ApiKey(PresentedKey),
    /// A token with two dots, as a JWT has them.
    SessionToken(Secret<String>),
}

/// The bytes of a credential, without the parts of its header that have several spellings: the scheme, its case,
/// blanks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Presented<'a> {
    /// A user name and a password in base64.
    Basic(&'a [u8]),
    /// An API key or a session token.
    Token(&'a [u8]),
}

impl Credential {
    /// Whether the header is one of HTTP Basic.
    #[must_use]
    pub fn is_basic(header: &[u8]) -> bool {
        is_basic(split_scheme(header).0)
    }

    /// Parses all `Authorization` headers of a request.
    ///
    /// # Errors
    /// [`AuthError::Refused`] if there is none, more than one, or one that cannot be right.
    pub fn parse<'a>(mut headers: impl Iterator<Item = &'a [u8]>) -> Result<Self, AuthError> {
        let Some(header) = headers.next() else { return Err(AuthError::Refused(Challenge::Any)) };
        let credential = Presented::of(header).and_then(|presented| match presented {
            Presented::Basic(encoded) => basic(encoded),
            Presented::Token(token) => parse_token(token),
        });
        let challenge = if Self::is_basic(header) { Challenge::Basic } else { Challenge::Bearer };
        credential.filter(|_| headers.next().is_none()).ok_or(AuthError::Refused(challenge))
    }
}

impl<'a> Presented<'a> {
    /// The credential of that header; `None` if it has none that could be right.
    pub(super) fn of(header: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = split_scheme(header);
        if is_basic(scheme) {
            return Some(Self::Basic(rest));
        }
        let is_scheme = scheme.eq_ignore_ascii_case(b"bearer") || scheme.eq_ignore_ascii_case(b"token");
        let bare = rest.is_empty().then_some(scheme);
        let token = if is_scheme { rest } else { bare? };
        (token.len() <= MAX_TOKEN).then_some(Self::Token(token))
    }
}

fn is_basic(scheme: &[u8]) -> bool {
    scheme.eq_ignore_ascii_case(b"basic")
}

fn split_scheme(header: &[u8]) -> (&[u8], &[u8]) {
    match header.iter().position(|byte| *byte == b' ') {
        Some(blank) => (&header[..blank], header[blank..].trim_ascii()),
        None => (header, &[]),
    }
}

fn basic(encoded: &[u8]) -> Option<Credential> {
    // A published client folds a long line and sends a blank where it did.
    let encoded: Zeroizing<Vec<u8>> = Zeroizing::new(parts(encoded).flatten().copied().collect());
    let bytes = Zeroizing::new(BASE64.decode(&*encoded).ok()?);
    let colon = bytes.iter().position(|byte| *byte == b':')?;
    let username = text(&bytes[..colon]);
    let password = text(&bytes[colon + 1..]);
    if username.is_empty() || username.contains(char::is_control) {
        return None;
    }
    PresentedPassword::parse(&password).map(|password| Credential::Basic(username.to_string(), password))
}

/// The parts of a base64 text between its white space, which is ignored.
pub(super) fn parts(encoded: &[u8]) -> impl Iterator<Item = &[u8]> {
    encoded.split(u8::is_ascii_whitespace)
}

/// The text of bytes that are UTF-8, or Latin-1 where they are not: real clients send either.
fn text(bytes: &[u8]) -> Zeroizing<String> {
    let text = str::from_utf8(bytes).map(str::to_owned);
    Zeroizing::new(text.unwrap_or_else(|_| bytes.iter().copied().map(char::from).collect()))
}

/// The API key or the session token of these bytes, which have no scheme; `None` if they cannot be either.
pub(super) fn parse_token(token: &[u8]) -> Option<Credential> {
    let token = Some(token).filter(|token| token.len() <= MAX_TOKEN)?;
    let token = str::from_utf8(token).ok().filter(|token| !token.contains(char::is_whitespace))?;
    if token.starts_with(key::PREFIX) {
        return PresentedKey::parse(token).map(Credential::ApiKey);
    }
    let has_two_dots = token.bytes().filter(|byte| *byte == b'.').count() == 2;
    has_two_dots.then(|| Credential::SessionToken(Secret::new(token.to_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(headers: &[&[u8]]) -> Option<Challenge> {
        match Credential::parse(headers.iter().copied()) {
            Err(AuthError::Refused(challenge)) => Some(challenge),
            _ => None,
        }
    }

    fn basic_of(header: &[u8]) -> (String, Vec<u8>) {
        match Credential::parse([header].into_iter()) {
            Ok(Credential::Basic(username, password)) => (username, password.as_bytes().to_vec()),
            other => panic!("{other:?} is not a user name and password"),
        }
    }

    #[test]
    fn the_challenge_asks_for_the_kind_of_credential_that_was_refused() {
        assert_eq!(refusal(&[]), Some(Challenge::Any));
        for broken in ["Basic", "basic ", "Basic !", "Basic YQ==", "BASIC Og==", "Basic OnB3", "Basic YTo="] {
            assert_eq!(refusal(&[broken.as_bytes()]), Some(Challenge::Basic), "{broken}");
        }
        for broken in ["", "Bearer", "Bearer x", "Digest a.b.c", "a.b", "Bearer a.b.c.d", "Bearer a.b.c d", "lodge_x"] {
            assert_eq!(refusal(&[broken.as_bytes()]), Some(Challenge::Bearer), "{broken}");
        }
    }

    #[test]
    fn a_password_is_split_at_the_first_colon_and_may_be_latin_1() {
        assert_eq!(basic_of(b"Basic YTpiOmM="), ("a".to_owned(), b"b:c".to_vec()));
        assert_eq!(basic_of(b"basic   YTpiOmM"), ("a".to_owned(), b"b:c".to_vec()));
        let latin_1 = format!("Basic {}", BASE64.encode(b"a:caf\xe9"));
        assert_eq!(basic_of(latin_1.as_bytes()), ("a".to_owned(), "caf\u{e9}".as_bytes().to_vec()));
    }

    #[test]
    fn white_space_inside_the_base64_means_nothing() {
        let whole = basic_of(b"Basic YW5uOm9wZW4gc2VzYW1l");
        for folded in ["YW5uOm9w ZW4gc2VzYW1l", "Y W5uOm9w\tZW4gc2VzYW1 l ", "YW5uOm9wZW4gc2VzYW1  l"] {
            assert_eq!(basic_of(format!("Basic {folded}").as_bytes()), whole, "{folded}");
        }
    }

    #[test]
    fn two_headers_are_refused_even_if_both_are_right() {
        assert_eq!(refusal(&[b"Basic YTpi", b"Basic YTpi"]), Some(Challenge::Basic));
    }

    #[test]
    fn a_session_token_comes_with_or_without_a_scheme() {
        for header in ["Bearer a.b.c", "bearer  a.b.c", "TOKEN a.b.c", "a.b.c"] {
            assert!(
                matches!(Credential::parse([header.as_bytes()].into_iter()), Ok(Credential::SessionToken(_))),
                "{header}"
            );
        }
    }
}
