//! Activity: when an account or a credential was last used. No right depends on it.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Id;
use crate::clock::Timestamp;

const MINUTE_MILLIS: u64 = 60_000;

/// The subject of an activity, with its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActivitySubject<'a> {
    /// An account that someone signed in to.
    SignIn(Id),
    /// A session of that owner.
    Session(Id, Uuid),
    /// An API key of that owner, by its id.
    ApiKey(Id, Id),
    /// A scope that an API key of that owner has used: controller and action.
    ApiKeyScope(Id, Id, &'a str, &'a str),
}

/// The last activity of one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Activity {
    /// The beginning of the minute.
    pub at: Timestamp,
    /// The client's address, if it is recorded.
    pub address: Option<IpAddr>,
}

impl Activity {
    /// An activity in the minute of that moment.
    #[must_use]
    pub fn at(moment: Timestamp, address: Option<IpAddr>) -> Self {
        let millis = moment.as_millis();
        Self { at: Timestamp::from_millis(millis - millis % MINUTE_MILLIS), address }
    }

    /// The number of its minute since 1970.
    #[must_use]
    pub fn minute(&self) -> u64 {
        self.at.as_millis() / MINUTE_MILLIS
    }
}
