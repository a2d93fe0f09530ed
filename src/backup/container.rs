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
    /// What this file is.
    Header(Header),
    /// What continues after the records.
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
    /// An API key, without what it could be computed from.
    ApiKey(ApiKey),
    /// The end.
    Footer(Footer),
}

/// What a backup is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    pub(super) format: String,
    pub(super) version: u32,
    /// When it was made.
    pub created_at: String,
    /// Of which store.
    pub store: Uuid,
    /// As of which commit.
    pub commit: u64,
}

/// What continues after the records of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last id of a user.
    pub users: u64,
    /// The last id of a configuration.
    pub configurations: u64,
    /// The last id of an API key.
    pub api_keys: u64,
    /// The administrator who still has the password of the first start.
    pub initial_administrator: Option<Id>,
}

/// The end of a backup. Its own hash does not cover it, so that nothing else may be in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    pub(super) records: u64,
    pub(super) sha256: String,
}

/// What a whole backup has in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As of which commit.
    pub commit: u64,
    /// When it was made.
    pub created_at: String,
    /// How many records it has.
    pub records: u64,
}

/// A file that is not a sound backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is not a backup of lodge")]
    Foreign,
    /// It has the name that a backup was to have.
    #[error("another file has that name")]
    InTheWay,
    /// A newer server made it.
    #[error("it is a backup of version {0}; this lodge reads up to {VERSION}")]
    TooNew(u32),
    /// Its lines make no sense.
    #[error("line {line} {what}")]
    Malformed {
        /// The line's number, from 1 up.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It ends too early, or is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read or written.
    #[error("it cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How a secret is written and read where it is asked for.
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
    fn the_line_of_a_secret_has_it_in_the_file_and_nowhere_else() {
        let line: Line = serde_json::from_str(r#"{"secret":"00ff"}"#).unwrap();

        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"secret":"00ff"}"#);
        assert_eq!(format!("{line:?}"), "Secret(***)");
    }
}
