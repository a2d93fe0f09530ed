//! A signed-in user.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Id;
use crate::clock::Timestamp;

/// A session: its token is worth something only while this is stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The user who signed in.
    pub owner: Id,
    /// The token's `jti`.
    pub jti: Uuid,
    /// Counts the sessions of the installation, so that the oldest one of a user is known whatever clocks do.
    pub number: u64,
    /// When it ends: it is over on that very second.
    pub expires_at: Timestamp,
}
