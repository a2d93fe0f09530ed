//! Passwords verified lately, so that Basic does not cost a hash on every request.
//!
//! What is remembered is a keyed hash of the password, bound to the stored password hash (a changed password ends it at
//! once) and to the client's address (it is no oracle for guesses from elsewhere). Only successes are remembered. Equal
//! tries that are made at the same time are one try, whoever they are for: where an account made a difference, a few
//! requests at once would tell whether there is one.

use std::{
    collections::HashMap,
    future::Future,
    net::IpAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};
use moka::sync::Cache;
use ring::hmac;
use zeroize::Zeroizing;

use super::AuthError;
use crate::{
    domain::{PresentedPassword, User, octets},
    secret::{Purpose, RootSecret},
};

/// How long a success is remembered.
const LIFETIME: Duration = Duration::from_mins(5);
/// How many are remembered.
const MAX: u64 = 10_000;

/// What a try is known by.
pub(super) type CacheKey = [u8; 32];

type Outcome = Result<(), AuthError>;
type Verifying = Pin<Box<dyn Future<Output = Outcome> + Send>>;

pub(super) struct PasswordCache {
    key: hmac::Key,
    seen: Cache<CacheKey, ()>,
    running: Arc<Running>,
}

/// The tries that are running. One goes on as long as anybody waits for it.
#[derive(Default)]
struct Running(Mutex<HashMap<CacheKey, WeakShared<Verifying>>>);

/// Forgets a running try when it is dropped.
struct Entry(Arc<Running>, CacheKey);

impl PasswordCache {
    pub(super) fn new(secret: &RootSecret) -> Self {
        Self {
            key: hmac::Key::new(hmac::HMAC_SHA256, secret.derive(Purpose::PasswordCache).expose()),
            seen: Cache::builder().max_capacity(MAX).time_to_live(LIFETIME).build(),
            running: Arc::default(),
        }
    }

    /// Passes if the same was verified lately; else verifies it, once for all who ask at the same time.
    pub(super) async fn check(
        &self,
        cache_key: CacheKey,
        verify: impl Future<Output = Outcome> + Send + 'static,
    ) -> Outcome {
        if self.seen.get(&cache_key).is_some() {
            return Ok(());
        }
        Running::join(&self.running, cache_key, verify).await?;
        self.seen.insert(cache_key, ());
        Ok(())
    }

    /// What a try of that password is known by, for the user of that name or, if there is none, for the name.
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
        // Each part is of a fixed length or says it, so that no two different lists of parts read the same.
        context.update(&octets(address));
        context.update(&bound_to.len().to_be_bytes());
        context.update(bound_to.as_bytes());
        context.update(password.as_bytes());
        context.sign().as_ref().try_into().expect("HMAC-SHA-256 has 32 bytes")
    }
}

impl Running {
    /// The running try that is known by that, or this one.
    fn join(
        running: &Arc<Self>,
        cache_key: CacheKey,
        verify: impl Future<Output = Outcome> + Send + 'static,
    ) -> Shared<Verifying> {
        let mut tries = running.lock();
        if let Some(joined) = tries.get(&cache_key).and_then(WeakShared::upgrade) {
            return joined;
        }
        let entry = Entry(Arc::clone(running), cache_key);
        let verifying = async move {
            let _entry = entry;
            verify.await
        };
        let shared = verifying.boxed().shared();
        tries.extend(shared.downgrade().map(|weak| (cache_key, weak)));
        shared
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, WeakShared<Verifying>>> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
