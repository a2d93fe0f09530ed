//! The lines of a backup.

use std::io;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    domain::{ApiKey, Configuration, Id, User},
    secret::Secret,
    store::{
        StoreError,
        used_identifiers::{IdentifierHash, IdentifierKey},
    },
};

pub(super) const FORMAT: &str = "lodge backup";
pub(super) const VERSION: u32 = 2;

/// One line of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// The kind and the origin of the file.
    Header(Header),
    /// The counters of the store.
    State(State),
    /// The server's secret, in hexadecimal digits.
    Secret(#[serde(with = "exposed")] Secret<String>),
    /// The key of the hashes of used identifiers.
    IdentifierKey(IdentifierKey),
    /// The hash of an identifier that an account has or had.
    UsedIdentifier(IdentifierHash),
    /// An account.
    User(User),
    /// A setting.
    Configuration(Configuration),
    /// An API key, without the secret from which it is derived.
    ApiKey(ApiKey),
    /// The end.
    Footer(Footer),
}

/// The kind and the origin of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    /// When the backup was made.
    pub created_at: String,
    /// The id of the store.
    pub store: Uuid,
    /// The number of the store's last commit.
    pub commit: u64,
}

/// The counters of the store, which continue after the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last id of a user.
    pub users: u64,
    /// The last id of a configuration.
    pub configurations: u64,
    /// The last id of an API key.
    pub api_keys: u64,
    /// The administrator who still has the random password of the first start.
    pub initial_administrator: Option<Id>,
}

/// The end of a backup. The hash does not cover this line, so no other member is allowed in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    pub(super) records: u64,
    pub(super) sha256: String,
}

/// A summary of a complete backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The number of the store's last commit.
    pub commit: u64,
    /// When it was made.
    pub created_at: String,
    /// How many records it has.
    pub records: u64,
}

/// Why a backup cannot be written or read.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The file is not a backup.
    #[error("it is not a backup of lodge")]
    Foreign,
    /// Another file has the backup's name.
    #[error("another file has that name")]
    InTheWay,
    /// A newer server wrote it.
    #[error("it is a backup of version {0}; this lodge reads up to {VERSION}")]
    TooNew(u32),
    /// A line is invalid.
    #[error("line {line} {what}")]
    Malformed {
        /// The line's number, from 1 up.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It ends too early or has been changed.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read or written.
    #[error("it cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Serializes a secret in clear.
mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

impl Header {
    pub(super) fn nothing() -> Self {
        Self { format: String::new(), version: 0, created_at: String::new(), store: Uuid::nil(), commit: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_in_clear_in_the_file_only() {
        let line: Line = serde_json::from_str(r#"{"secret":"00ff"}"#).unwrap();

        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"secret":"00ff"}"#);
        assert_eq!(format!("{line:?}"), "Secret(***)");
    }
}
