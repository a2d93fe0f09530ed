//! Which key signs, and which ones are published beside it.

use std::{sync::Arc, time::Duration};

use super::{AssertionPolicy, CACHED_FOR};
use crate::{
    auth::{KeySeal, SigningKey},
    clock::{MonotonicTime, Reading},
    store::assertion_keys::{AssertionKeys, SealedKey},
};

/// How long a key is published before it signs: three times as long as services may keep a copy without it.
const AHEAD: Duration = Duration::from_secs(3 * CACHED_FOR.as_secs());
/// How long a key is published after it has signed: longer than an assertion lasts.
const RETAINED: Duration = AHEAD;

/// The keys of one moment, all of which are published. Nothing else signs.
#[derive(Clone, Default)]
pub struct KeySet {
    signing: Option<Published>,
    next: Option<Published>,
    former: Option<Published>,
}

/// A change of the keys that is due.
pub struct Step {
    /// The keys after it.
    pub keys: KeySet,
    /// How many stored keys cannot be opened and are replaced.
    pub lost: usize,
}

#[derive(Clone)]
struct Published {
    key: Arc<SigningKey>,
    stored: SealedKey,
    /// Since when this process has published it in its place.
    since: MonotonicTime,
}

impl KeySet {
    /// The stored keys as they can be opened, and how many cannot; `before` are those that were published until now.
    pub(super) fn open(stored: AssertionKeys, before: &Self, seal: &KeySeal, now: MonotonicTime) -> (Self, usize) {
        let AssertionKeys { signing, next, former } = stored;
        let mut lost = 0;
        let mut open = |stored: Option<SealedKey>, before: &Option<Published>| {
            let stored = stored?;
            if let Some(same) = before.as_ref().filter(|before| before.stored == stored) {
                return Some(same.clone());
            }
            let key = SigningKey::open(&stored.sealed, seal);
            lost += usize::from(key.is_none());
            Some(Published { key: Arc::new(key?), stored, since: now })
        };
        let keys = Self {
            signing: open(signing, &before.signing),
            next: open(next, &before.next),
            former: open(former, &before.former),
        };
        (keys, lost)
    }

    /// What is due: the first key, the end of the former one, the next one or its turn to sign.
    pub(super) fn next_step(&self, policy: &AssertionPolicy, seal: &KeySeal, now: Reading) -> Option<Step> {
        let keys = self.clone();
        let made = || Some(Published::make(policy, seal, now));
        let has_been = |published: &Published, duration| now.monotonic.since(published.since) >= duration;
        let after = match (&self.signing, &self.next, &self.former) {
            (None, ..) => Self { signing: made(), ..keys },
            (_, _, Some(former)) if has_been(former, RETAINED) => Self { former: None, ..keys },
            (Some(signing), Some(next), None) if has_been(next, AHEAD) => {
                Self { signing: Some(next.clone().since(now)), next: None, former: Some(signing.clone().since(now)) }
            }
            (Some(signing), None, _) if signing.is_due(policy, now) => Self { next: made(), ..keys },
            (Some(_), ..) => return None,
        };
        Some(Step { keys: after, lost: 0 })
    }

    /// The keys as they are stored.
    #[must_use]
    pub fn to_stored(&self) -> AssertionKeys {
        let stored = |place: &Option<Published>| place.as_ref().map(|published| published.stored.clone());
        AssertionKeys { signing: stored(&self.signing), next: stored(&self.next), former: stored(&self.former) }
    }

    /// The key that signs; `None` until one is stored.
    #[must_use]
    pub fn signing(&self) -> Option<&Arc<SigningKey>> {
        self.signing.as_ref().map(|published| &published.key)
    }

    /// The keys with the names of their places, the one that signs first.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &SigningKey)> {
        let places = [("signing", &self.signing), ("next", &self.next), ("former", &self.former)];
        places.into_iter().filter_map(|(name, place)| place.as_ref().map(|published| (name, &*published.key)))
    }
}

impl Published {
    fn make(policy: &AssertionPolicy, seal: &KeySeal, now: Reading) -> Self {
        let (key, sealed) = SigningKey::generate(policy.algorithm, seal);
        Self { key: Arc::new(key), stored: SealedKey { sealed, since: now.wall }, since: now.monotonic }
    }

    /// The same in another place from now on.
    fn since(self, now: Reading) -> Self {
        Self { stored: SealedKey { since: now.wall, ..self.stored }, since: now.monotonic, ..self }
    }

    /// Whether another key is to follow: it is old enough or of another kind, or the clock was set back to before its time,
    /// which says nothing of its age.
    fn is_due(&self, policy: &AssertionPolicy, now: Reading) -> bool {
        let age = now.wall.as_millis().wrapping_sub(self.stored.since.as_millis());
        Duration::from_millis(age) >= policy.key_lifetime || self.key.algorithm() != policy.algorithm
    }
}
