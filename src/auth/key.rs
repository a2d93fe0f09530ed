//! API keys: how one is issued, parsed and verified.
//!
//! A key is `lodge_` and 70 URL-safe characters: base64url of a 16-byte identifier, a 32-byte secret part and the
//! CRC-32 of both, by which a mistyped key is refused without a look-up. The secret part is HMAC-SHA-256 of the
//! identifier under a key derived from the server's secret, so the store holds nothing that the key can be computed
//! from.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{digest, hmac};
use uuid::Uuid;

use crate::{
    domain::{ApiKey, KeyDigest},
    random::random_uuid,
    secret::{Purpose, RootSecret, Secret},
};

/// The prefix of every key, by which secret scanners find leaked ones.
pub(super) const PREFIX: &str = "lodge_";

const IDENTIFIED: usize = 16 + 32;

/// A key in clear, as its owner uses it.
#[derive(Clone, Debug)]
pub struct KeyText(Secret<String>);

impl KeyText {
    /// The key itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The digest under which the key is stored.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        digest_of(self.expose())
    }

    /// Its last four characters.
    ///
    /// # Panics
    /// Never: a key has 76 characters.
    #[must_use]
    pub fn last_four(&self) -> [u8; 4] {
        *self.expose().as_bytes().last_chunk().expect("a key has more than four characters")
    }
}

/// A key that a client presents; its checksum is right.
#[derive(Clone, Copy, Debug)]
pub struct PresentedKey {
    identifier: Uuid,
    digest: KeyDigest,
}

impl PresentedKey {
    /// Parses a key; `None` if its form or checksum is wrong.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let (both, checksum) = bytes.split_at_checked(IDENTIFIED)?;
        let is_well_typed = checksum == crc32fast::hash(both).to_be_bytes();
        let identifier = Uuid::from_bytes(*both.first_chunk()?);
        is_well_typed.then(|| Self { identifier, digest: digest_of(text) })
    }

    /// The digest under which the key is looked up.
    #[must_use]
    pub fn digest(&self) -> KeyDigest {
        self.digest
    }
}

/// Issues keys, and derives them again from what is stored.
pub struct ApiKeyIssuer(hmac::Key);

impl ApiKeyIssuer {
    pub(super) fn new(secret: &RootSecret) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::ApiKeys).expose()))
    }

    /// A key that has never been issued, with the random identifier that it is derived from.
    #[must_use]
    pub fn issue(&self) -> (Uuid, KeyText) {
        let identifier = random_uuid();
        (identifier, self.key(identifier))
    }

    /// The stored key as it is shown: in clear if `may_see_whole`, and masked if not or if it was issued under another
    /// secret.
    #[must_use]
    pub fn shown_key(&self, api_key: &ApiKey, may_see_whole: bool) -> String {
        let whole = if may_see_whole { self.reveal(api_key) } else { None };
        whole.map_or_else(|| masked(api_key), |key| key.expose().to_owned())
    }

    /// The key of that identifier.
    fn key(&self, identifier: Uuid) -> KeyText {
        let secret_part = hmac::sign(&self.0, identifier.as_bytes());
        let mut bytes = [identifier.as_bytes().as_slice(), secret_part.as_ref()].concat();
        bytes.extend(crc32fast::hash(&bytes).to_be_bytes());
        KeyText(Secret::new(format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))))
    }

    /// The key of that text with its identifier, if this server issued it.
    #[must_use]
    pub fn issued(&self, text: &str) -> Option<(Uuid, KeyText)> {
        let presented = PresentedKey::parse(text).filter(|key| self.was_issued(key))?;
        Some((presented.identifier, self.key(presented.identifier)))
    }

    /// Whether this server issued the key, even if it has been removed since.
    pub(super) fn was_issued(&self, key: &PresentedKey) -> bool {
        self.key(key.identifier).digest() == key.digest
    }

    /// The stored key in clear, unless it was issued under another secret.
    fn reveal(&self, api_key: &ApiKey) -> Option<KeyText> {
        Some(self.key(api_key.identifier)).filter(|key| key.digest() == api_key.digest)
    }
}

/// The masked key: the prefix, eight `*` and the last four characters.
fn masked(api_key: &ApiKey) -> String {
    format!("{PREFIX}********{}", String::from_utf8_lossy(&api_key.last_four))
}

fn digest_of(text: &str) -> KeyDigest {
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    KeyDigest(digest.as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key_of(secret: [u8; 32]) -> KeyText {
        ApiKeyIssuer::new(&RootSecret::from_bytes(secret)).key(Uuid::from_bytes([9; 16]))
    }

    #[test]
    fn a_key_is_derived_again_from_its_identifier_and_the_secret_alone() {
        let key = key_of([1; 32]);
        assert_eq!(key.expose(), key_of([1; 32]).expose());
        assert_ne!(key.expose(), key_of([2; 32]).expose());
        assert_eq!(key.expose().len(), 76);
        assert_eq!(PresentedKey::parse(key.expose()).map(|key| key.digest()), Some(key.digest()));
    }

    #[test]
    fn every_single_mistyped_character_is_detected() {
        let key = key_of([1; 32]).expose().to_owned();
        for position in 0..key.len() {
            for replacement in ['a', 'B', '7', '-', '_'] {
                let mut mistyped = key.clone();
                mistyped.replace_range(position..=position, &replacement.to_string());
                assert!(mistyped == key || PresentedKey::parse(&mistyped).is_none(), "{position} {replacement}");
            }
        }
        assert!(PresentedKey::parse(&key.to_uppercase()).is_none());
        assert!(PresentedKey::parse(&format!("{key}A")).is_none());
    }
}
