//! API keys.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Change, Id, Parsed, Problem, Scopes, at_most_characters};
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
    /// When it ends, if it does: no later than the key that created it.
    pub expires_at: Option<Timestamp>,
}

/// The attributes of a new API key.
#[derive(Clone, Debug)]
pub struct NewApiKey {
    /// Its name.
    pub name: Option<ApiKeyName>,
    /// What it may do.
    pub scopes: Scopes,
}

/// A change of an API key.
#[derive(Clone, Debug, Default)]
pub struct ApiKeyChange {
    /// The name, `None` to clear it.
    pub name: Change<Option<ApiKeyName>>,
    /// What it may do.
    pub scopes: Change<Scopes>,
}

impl ApiKeyChange {
    /// The new key with these attributes; none is required.
    #[must_use]
    pub fn into_new_api_key(self) -> NewApiKey {
        NewApiKey { name: self.name.or(None), scopes: self.scopes.or(Scopes::default()) }
    }

    /// The key with this change applied.
    #[must_use]
    pub fn applied_to(self, current: &ApiKey) -> ApiKey {
        let mut changed = current.clone();
        changed.name = self.name.or(changed.name);
        changed.scopes = self.scopes.or(changed.scopes);
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
