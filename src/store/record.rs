//! The encoding of records: one byte with the version, then bincode.

use bincode::{
    config::{self, Configuration, Limit, LittleEndian, Varint},
    error::DecodeError,
    serde::{decode_from_slice, encode_to_vec},
};
use serde::{Serialize, de::DeserializeOwned};
use thiserror::Error;

/// More than the largest legal record; a length beyond it can only be damage.
const MAX_BYTES: usize = 1 << 20;

const ENCODING: Configuration<LittleEndian, Varint, Limit<MAX_BYTES>> = config::standard().with_limit::<MAX_BYTES>();

/// A row whose value cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RecordError {
    /// It was written by a newer server.
    #[error("a record in `{tree}` is from version {found}; this server reads up to {known}")]
    TooNew {
        /// Where it is.
        tree: &'static str,
        /// Its version.
        found: u8,
        /// The newest version known here.
        known: u8,
    },
    /// It ends too early.
    #[error("a record in `{tree}` is too short")]
    TooShort {
        /// Where it is.
        tree: &'static str,
    },
    /// It cannot be decoded.
    #[error("a record in `{tree}` is corrupt")]
    Corrupt {
        /// Where it is.
        tree: &'static str,
    },
}

/// A record whose encoding has versions: the current one is [`Versioned::VERSION`], the first is 1.
pub trait Versioned: Serialize + DeserializeOwned {
    /// The version of the current encoding.
    const VERSION: u8 = 1;

    /// Decodes an older version of the record.
    ///
    /// # Errors
    /// [`RecordError`] if there was no such version, which is the default.
    fn from_older(tree: &'static str, _version: u8, _bytes: &[u8]) -> Result<Self, RecordError> {
        Err(RecordError::Corrupt { tree })
    }
}

/// Encodes the record in its current version.
///
/// # Panics
/// Never: every record is made of values that bincode can write.
#[must_use]
pub fn encode<R: Versioned>(record: &R) -> Vec<u8> {
    let mut bytes = vec![R::VERSION];
    bytes.extend(encode_to_vec(record, ENCODING).expect("records are made of what bincode can write"));
    bytes
}

/// Decodes a record of any version up to the current one.
///
/// # Errors
/// [`RecordError`]; arbitrary bytes never make it panic or use more than 1 MiB of memory.
pub fn decode<R: Versioned>(tree: &'static str, bytes: &[u8]) -> Result<R, RecordError> {
    let (&version, body) = bytes.split_first().ok_or(RecordError::TooShort { tree })?;
    match version {
        0 => Err(RecordError::Corrupt { tree }),
        found if found > R::VERSION => Err(RecordError::TooNew { tree, found, known: R::VERSION }),
        older if older < R::VERSION => R::from_older(tree, older, body),
        _ => decode_shape(tree, body),
    }
}

/// Decodes one version of a record, which must fill the bytes.
///
/// # Errors
/// [`RecordError::TooShort`] or [`RecordError::Corrupt`].
pub fn decode_shape<S: DeserializeOwned>(tree: &'static str, body: &[u8]) -> Result<S, RecordError> {
    match decode_from_slice::<S, _>(body, ENCODING) {
        Ok((shape, read)) if read == body.len() => Ok(shape),
        Err(DecodeError::UnexpectedEnd { .. }) => Err(RecordError::TooShort { tree }),
        Ok(_) | Err(_) => Err(RecordError::Corrupt { tree }),
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Plain(u32, String);

    impl Versioned for Plain {}

    #[test]
    fn too_new_too_short_and_corrupt_records_are_distinguished() {
        let bytes = encode(&Plain(7, "seven".to_owned()));
        let newer = [&[2], &bytes[1..]].concat();
        let longer = [bytes.as_slice(), &[0]].concat();

        assert_eq!(decode::<Plain>("t", &bytes), Ok(Plain(7, "seven".to_owned())));
        assert_eq!(decode::<Plain>("t", &newer), Err(RecordError::TooNew { tree: "t", found: 2, known: 1 }));
        assert_eq!(decode::<Plain>("t", &[]), Err(RecordError::TooShort { tree: "t" }));
        assert_eq!(decode::<Plain>("t", &bytes[..bytes.len() - 1]), Err(RecordError::TooShort { tree: "t" }));
        assert_eq!(decode::<Plain>("t", &longer), Err(RecordError::Corrupt { tree: "t" }));
        assert_eq!(decode::<Plain>("t", &[0]), Err(RecordError::Corrupt { tree: "t" }));
    }
}
