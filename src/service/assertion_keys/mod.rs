//! The keys that sign assertions, and the rules for them.
//!
//! Services keep a copy of the public keys for a while, so each key is published before it signs and after it has signed. Those
//! durations are measured on the monotonic clock while this process publishes the key: no setting of the clock shortens them.

mod key_set;

use std::{
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

pub use self::key_set::{KeySet, Step};
use crate::{
    auth::KeySeal,
    clock::Reading,
    config::{Audience, Settings, SigningAlgorithm},
    logging::RateLimitedLog,
    secret::RootSecret,
    store::assertion_keys::AssertionKeys,
};

/// How long services may keep a copy of the public keys.
pub const CACHED_FOR: Duration = Duration::from_mins(5);

/// For whom assertions are signed, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssertionPolicy {
    /// The services that they may be for; without any none is signed.
    pub audiences: Vec<Audience>,
    /// The issuer that they name.
    pub issuer: String,
    /// How they are signed.
    pub algorithm: SigningAlgorithm,
    /// How long a key signs.
    pub key_lifetime: Duration,
}

/// The keys of one installation.
pub struct Keyring {
    /// Limits the warnings about assertions that proxies ask for and do not get.
    pub warning: RateLimitedLog,
    seal: KeySeal,
    published: RwLock<Arc<KeySet>>,
}

impl AssertionPolicy {
    /// Whether assertions are signed at all.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.audiences.is_empty()
    }

    /// The audience of that name, if assertions may be for it.
    #[must_use]
    pub fn audience(&self, name: &str) -> Option<&Audience> {
        self.audiences.iter().find(|audience| audience.as_str() == name)
    }
}

impl From<&Settings> for AssertionPolicy {
    fn from(settings: &Settings) -> Self {
        Self {
            audiences: settings.assertion_audience.clone(),
            issuer: settings.assertion_issuer.clone(),
            algorithm: settings.assertion_algorithm,
            key_lifetime: settings.assertion_key_lifetime,
        }
    }
}

impl Keyring {
    /// A ring without keys.
    #[must_use]
    pub fn new(secret: &RootSecret) -> Self {
        Self { warning: RateLimitedLog::default(), seal: KeySeal::new(secret), published: RwLock::default() }
    }

    /// The keys that are published now.
    #[must_use]
    pub fn published(&self) -> Arc<KeySet> {
        Arc::clone(&self.published.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Publishes these keys in place of others.
    pub fn publish(&self, keys: KeySet) {
        *self.published.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
    }

    /// The stored keys, and the step that is due for them, if one is.
    #[must_use]
    pub fn open(&self, stored: AssertionKeys, policy: &AssertionPolicy, now: Reading) -> (KeySet, Option<Step>) {
        let (keys, lost) = KeySet::open(stored, &self.published(), &self.seal, now.monotonic);
        let step = keys.next_step(policy, &self.seal, now);
        let cleaned = (lost > 0).then(|| Step { keys: keys.clone(), lost: 0 });
        let step = step.or(cleaned).map(|step| Step { lost, ..step });
        (keys, step)
    }
}

#[cfg(test)]
mod tests;
