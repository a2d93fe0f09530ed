//! A signed-in user.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Id;
use crate::clock::Timestamp;

/// A session: its token is valid only as long as this record is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user who signed in.
    pub owner: Id,
    /// The token's `jti`.
    pub jti: Uuid,
    /// Counts the sessions of the installation, so that the oldest one of a user is known even if clocks are set back.
    pub number: u64,
    /// When it ends: it is over at the beginning of that second.
    pub expires_at: Timestamp,
}
