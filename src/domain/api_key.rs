//! API keys.

use std::{net::IpAddr, time::Duration};

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{AllowedNetworks, Change, Id, Parsed, Problem, Scopes, at_most_characters};
use crate::clock::Timestamp;

/// A key that acts for its owner, within its scopes. The key itself is not here: it is derived from `identifier`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiKey {
    /// Its id.
    pub id: Id,
    /// The user it acts for.
    pub owner: Id,
    /// What the key is derived from, together with the server's secret.
    pub identifier: Uuid,
    /// SHA-256 of the key, the index under which it is found.
    pub digest: KeyDigest,
    /// The key's last four characters, which its owner recognises it by.
    pub last_four: [u8; 4],
    /// Its name.
    pub name: Option<ApiKeyName>,
    /// What it may do.
    pub scopes: Scopes,
    /// The API key that created it, if one did.
    pub made_by: Option<Id>,
    /// When it ends, if it does.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from, if not from everywhere.
    pub allowed_networks: Option<AllowedNetworks>,
    /// When it was made; unknown for a key of 0.3.0.
    pub created_at: Option<Timestamp>,
    /// The value before the last rotation, if it was to stay valid for a while.
    pub former_value: Option<FormerValue>,
}

/// The value that an API key had before a rotation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerValue {
    /// SHA-256 of it, the other index under which the key is found.
    pub digest: KeyDigest,
    /// Its last four characters.
    pub last_four: [u8; 4],
    /// When it ends.
    pub ends: Timestamp,
}

/// The attributes of a new API key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its name.
    pub name: Option<ApiKeyName>,
    /// What it may do.
    pub scopes: Scopes,
    /// When it ends; `None` for no later than the key by which it is made.
    pub expires_at: Option<Timestamp>,
    /// Where it may be used from; `None` for wherever the key may by which it is made.
    pub allowed_networks: Option<AllowedNetworks>,
}

/// A change of an API key.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// The name, `None` to clear it.
    pub name: Change<Option<ApiKeyName>>,
    /// What it may do.
    pub scopes: Change<Scopes>,
    /// When it ends, `None` for never.
    pub expires_at: Change<Option<Timestamp>>,
    /// Where it may be used from, `None` for everywhere.
    pub allowed_networks: Change<Option<AllowedNetworks>>,
}

/// A rotation of an API key: it gets a new value.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rotation {
    /// How long the value that it has had stays valid.
    pub overlap: Duration,
}

impl ApiKey {
    /// The key as its value of that digest proves it: by the former value until that ends, by no other at all.
    #[must_use]
    pub fn proved_by(self, digest: KeyDigest) -> Option<Self> {
        if self.digest == digest {
            return Some(self);
        }
        let FormerValue { digest, last_four, ends } = self.former_value.filter(|former| former.digest == digest)?;
        let expires_at = Some(self.expires_at.map_or(ends, |end| end.min(ends)));
        Some(Self { digest, last_four, expires_at, former_value: None, ..self })
    }

    /// Whether it has ended by that moment.
    #[must_use]
    pub fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    /// Whether it may be used from that address.
    #[must_use]
    pub fn allows(&self, address: IpAddr) -> bool {
        self.allowed_networks.as_ref().is_none_or(|networks| networks.contain(address))
    }

    /// Whether it ends later than the other one.
    #[must_use]
    pub fn outlives(&self, other: &Self) -> bool {
        other.expires_at.is_some_and(|end| self.expires_at.is_none_or(|own| end < own))
    }

    /// Whether it may be used only where the other one may.
    #[must_use]
    pub fn is_within_networks_of(&self, other: &Self) -> bool {
        let Some(allowed) = &other.allowed_networks else { return true };
        self.allowed_networks.as_ref().is_some_and(|own| allowed.cover(own))
    }

    /// Whether it does not permit everything everywhere without an end.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        !self.scopes.are_full_access() || self.expires_at.is_some() || self.allowed_networks.is_some()
    }

    /// Whether it permits nothing that the other one does not permit at the same time and place.
    #[must_use]
    pub fn is_within(&self, other: &Self) -> bool {
        other.scopes.cover(&self.scopes) && !self.outlives(other) && self.is_within_networks_of(other)
    }
}

impl ApiKeyChange {
    /// The new key with these attributes; none is required.
    #[must_use]
    pub fn into_new_api_key(self) -> NewApiKey {
        NewApiKey {
            name: self.name.or(None),
            scopes: self.scopes.or(Scopes::default()),
            expires_at: self.expires_at.or(None),
            allowed_networks: self.allowed_networks.or(None),
        }
    }

    /// The key with this change applied.
    #[must_use]
    pub fn applied_to(self, current: &ApiKey) -> ApiKey {
        let mut changed = current.clone();
        changed.name = self.name.or(changed.name);
        changed.scopes = self.scopes.or(changed.scopes);
        changed.expires_at = self.expires_at.or(changed.expires_at);
        changed.allowed_networks = self.allowed_networks.or(changed.allowed_networks);
        changed
    }
}

/// SHA-256 of a whole API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct KeyDigest(pub [u8; 32]);

/// The name of a key: at most 255 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ApiKeyName(String);

impl ApiKeyName {
    /// The maximum number of characters.
    pub const MAX: usize = 255;

    /// Parses the name of a key.
    ///
    /// # Errors
    /// `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        at_most_characters(text, Self::MAX)?;
        if text.contains(char::is_control) { Err(Problem::Invalid) } else { Ok(Self(text.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
