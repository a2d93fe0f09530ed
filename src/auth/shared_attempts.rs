//! Equal attempts at a password that arrive together share one verification: one hash, counted once.
//!
//! Attempts at unknown accounts share one too: otherwise a few simultaneous requests would reveal whether an account
//! exists.

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

/// The key that equal attempts share: a keyed hash.
pub(super) type CacheKey = [u8; 32];

type Outcome<T> = Result<T, AuthError>;
type Running<T> = Pin<Box<dyn Future<Output = Outcome<T>> + Send>>;

/// The running attempts. One runs as long as a client waits for it.
pub(super) struct SharedAttempts<T: Clone>(Mutex<Attempts<T>>);

/// The running attempts, each with a number, so that one that ends does not remove its successor.
struct Attempts<T: Clone> {
    running: HashMap<CacheKey, (u64, WeakShared<Running<T>>)>,
    last_number: u64,
}

/// Removes a running attempt when it is dropped.
struct Entry<T: Clone>(Arc<SharedAttempts<T>>, CacheKey, u64);

impl<T: Clone + Send + Sync + 'static> SharedAttempts<T> {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new(Attempts { running: HashMap::new(), last_number: 0 })))
    }

    /// The outcome of the equal attempt that is running, or else of `verify`.
    pub(super) fn join(
        self: &Arc<Self>,
        cache_key: CacheKey,
        verify: impl Future<Output = Outcome<T>> + Send + 'static,
    ) -> Shared<Running<T>> {
        let mut all = self.lock();
        if let Some(running) = all.running.get(&cache_key).and_then(|(_, running)| running.upgrade()) {
            return running;
        }
        all.last_number += 1;
        let number = all.last_number;
        let entry = Entry(Arc::clone(self), cache_key, number);
        let running: Running<T> = Box::pin(async move {
            let _entry = entry;
            verify.await
        });
        let shared = running.shared();
        all.running.extend(shared.downgrade().map(|weak| (cache_key, (number, weak))));
        shared
    }
}

impl<T: Clone> SharedAttempts<T> {
    fn lock(&self) -> MutexGuard<'_, Attempts<T>> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

impl<T: Clone> Drop for Entry<T> {
    fn drop(&mut self) {
        let mut all = self.0.lock();
        if all.running.get(&self.1).is_some_and(|(number, _)| *number == self.2) {
            all.running.remove(&self.1);
        }
    }
}
