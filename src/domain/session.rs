//! Sessions of signed-in users.

use std::{net::IpAddr, time::Duration};

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
    /// Its number among all sessions of the installation, by which a user's oldest one is found even if the clock is
    /// set back.
    pub number: u64,
    /// When it ends: at the beginning of that second.
    pub expires_at: Timestamp,
    /// When the user signed in; `None` for a session of 0.3.0.
    pub created_at: Option<Timestamp>,
    /// From where the user signed in; `None` for a session of 0.3.0.
    pub address: Option<IpAddr>,
}

impl Session {
    /// Whether it is valid: it has not ended, and ends within one lifetime from now. One that would last longer was
    /// opened while the clock was ahead, or under a longer lifetime.
    #[must_use]
    pub fn is_good(&self, now: Timestamp, lifetime: Duration) -> bool {
        let (now, ends) = (now.as_secs(), self.expires_at.as_secs());
        now < ends && ends <= now.saturating_add(lifetime.as_secs())
    }
}
