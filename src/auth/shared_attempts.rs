//! Equal attempts at a password that arrive together share one verification: one hash, counted once.
//!
//! They do so whoever the attempts are for: if it made a difference whether an account exists, a few simultaneous requests
//! would reveal that.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use futures_util::{
    FutureExt,
    future::{Shared, WeakShared},
};

use super::AuthError;

/// What equal attempts have in common: a keyed hash.
pub(super) type CacheKey = [u8; 32];

type Outcome<T> = Result<T, AuthError>;
type Running<T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

/// The attempts that are running. One goes on as long as a client waits for it.
pub(super) struct SharedAttempts<T: Clone>(Mutex<HashMap<CacheKey, WeakShared<Running<T>>>>);

/// Removes a running attempt when it is dropped.
struct Entry<T: Clone>(Arc<SharedAttempts<T>>, CacheKey);

impl<T: Clone + Send + Sync + 'static> SharedAttempts<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::default()))
    }

    /// The outcome of the equal attempt that is running, or of this one.
    pub(super) async fn join(
        self: &Arc<Self>,
        cache_key: CacheKey,
        verify: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Outcome<T> {
        self.running_or(cache_key, verify).await
    }

    fn running_or(
        self: &Arc<Self>,
        cache_key: CacheKey,
        verify: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Shared<Running<T>> {
        let mut all = self.lock();
        if let Some(running) = all.get(&cache_key).and_then(WeakShared::upgrade) {
            return running;
        }
        let entry = Entry(Arc::clone(self), cache_key);
        let running: Running<T> = Box::pin(async move {
            let _entry = entry;
            verify.await
        });
        let shared = running.shared();
        all.extend(shared.downgrade().map(|weak| (cache_key, weak)));
        shared
    }
}

impl<T: Clone> SharedAttempts<T> {
    fn lock(&self) -> MutexGuard<'_, HashMap<CacheKey, WeakShared<Running<T>>>> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl<T: Clone> Drop for Entry<T> {
    fn drop(&mut self) {
        self.0.lock().remove(&self.1);
    }
}
