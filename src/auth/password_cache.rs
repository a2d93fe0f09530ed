//! Passwords that were verified recently, so that HTTP Basic does not need a hash for every request.
//!
//! An entry is a keyed hash of the password, bound to the stored password hash, so that a change of the password ends
//! it at once, and to the client's address, so that guesses from elsewhere learn nothing from it. Only successes are
//! cached.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use moka::sync::Cache;
use ring::hmac;
use zeroize::Zeroizing;

use super::{
    AuthError,
    shared_attempts::{CacheKey, SharedAttempts},
};
use crate::{
    domain::{PresentedPassword, User, octets},
    secret::{Purpose, RootSecret},
};

/// How long a success is cached.
const LIFETIME: Duration = Duration::from_mins(5);
/// The maximum number of entries.
const MAX: u64 = 10_000;

pub(super) struct PasswordCache {
    key: hmac::Key,
    verified: Cache<CacheKey, ()>,
    running: Arc<SharedAttempts<()>>,
}

impl PasswordCache {
    pub(super) fn new(secret: &RootSecret) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::PasswordCache).expose()),
            verified: Cache::builder().max_capacity(MAX).time_to_live(LIFETIME).build(),
            running: SharedAttempts::new(),
        }
    }

    /// Returns at once on a cache hit; otherwise shares one verification among equal attempts.
    pub(super) async fn check(
        &self,
        cache_key: CacheKey,
        verify: impl Future<Output = Result<(), AuthError>> + Send + 'static,
    ) -> Result<(), AuthError> {
        if self.verified.get(&cache_key).is_some() {
            return Ok(());
        }
        self.running.join(cache_key, verify).await?;
        self.verified.insert(cache_key, ());
        Ok(())
    }

    /// The key that equal attempts share: a hash of the user or, if there is none, the name, with the password and the
    /// address.
    pub(super) fn cache_key(
        &self,
        username: &str,
        user: Option<&User>,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> CacheKey {
        let folded = Zeroizing::new(username.to_ascii_lowercase());
        // No user has the id 0.
        let (id, bound_to) = user.map_or((0, folded.as_str()), |user| (user.id.get(), user.password.as_str()));
        let mut context = hmac::Context::with_key(&self.key);
        context.update(&id.to_be_bytes());
        // Each part has a fixed length or is preceded by its length, so that different parts never give the same
        // message.
        context.update(&octets(address));
        context.update(&bound_to.len().to_be_bytes());
        context.update(bound_to.as_bytes());
        context.update(password.as_bytes());
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}
