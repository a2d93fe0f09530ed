//! The hashes of identifiers, and their key, as the store and its backups have them.

use std::fmt;

use data_encoding::HEXLOWER;
use ring::hmac;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use crate::domain::AccountIdentifier;

/// The key of the hashes of one store.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentifierKey(pub(super) [u8; 32]);

/// The keyed hash of an identifier: the first 16 bytes of HMAC-SHA-256.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierHash(pub(super) [u8; 16]);

pub(super) fn hash_of(identifier: &AccountIdentifier, key: &IdentifierKey) -> IdentifierHash {
    let mut context = hmac::Context::with_key(&hmac::Key::new(hmac::HMAC_SHA256, &key.0));
    match identifier {
        AccountIdentifier::Username(folded) => {
            context.update(b"username:");
            context.update(folded.as_bytes());
        }
        AccountIdentifier::SystemUser(id) => {
            context.update(b"user_id:");
            context.update(&id.get().to_be_bytes());
        }
    }
    let tag = context.sign();
    IdentifierHash(*tag.as_ref().first_chunk().expect("HMAC-SHA-256 has 32 bytes"))
}

impl fmt::Debug for IdentifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for IdentifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for IdentifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hexadecimal(deserializer).map(Self)
    }
}

impl Serialize for IdentifierHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&HEXLOWER.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for IdentifierHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        hexadecimal(deserializer).map(Self)
    }
}

fn hexadecimal<'de, const N: usize, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; N], D::Error> {
    let digits = String::deserialize(deserializer)?;
    let bytes = HEXLOWER.decode(digits.as_bytes()).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| D::Error::custom("not as many hexadecimal digits as it takes"))
}
