//! Tries that are held back until others have ended.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicUsize, Ordering},
};

use tokio::sync::{Notify, futures::Notified};

use super::table::BucketKey;

/// Among how many places those that are held back are spread, so that few are woken in vain.
const PLACES: usize = 256;
/// How many are held back in a place; one more is refused, which is better than to wait for long.
const MAX_IN_SLOT: usize = 64;

/// Where tries are held back, each for the bucket that holds it back.
#[derive(Debug)]
pub(super) struct WaitingRoom {
    places: Box<[Place]>,
    hasher: RandomState,
}

#[derive(Debug, Default)]
struct Place {
    ended: Notify,
    held: AtomicUsize,
}

/// A try that is held back.
pub(super) struct Held<'a> {
    ended: Notified<'a>,
    _room: Room<'a>,
}

/// Room in a place, given back when it is dropped.
struct Room<'a>(&'a AtomicUsize);

impl WaitingRoom {
    pub(super) fn new() -> Self {
        Self { places: (0..PLACES).map(|_| Place::default()).collect(), hasher: RandomState::new() }
    }

    /// Holds a try back that the bucket of those parts holds back; `None` if too many are held back there already. From now
    /// on no end goes unnoticed.
    pub(super) fn hold(&self, bucket_key: BucketKey) -> Option<Held<'_>> {
        let place = self.place(bucket_key);
        let room = Room(&place.held);
        (place.held.fetch_add(1, Ordering::Relaxed) < MAX_IN_SLOT)
            .then(|| Held { ended: place.ended.notified(), _room: room })
    }

    /// Lets those look again that the bucket of those parts holds back.
    pub(super) fn wake(&self, bucket_key: BucketKey) {
        self.place(bucket_key).ended.notify_waiters();
    }

    fn place(&self, bucket_key: BucketKey) -> &Place {
        let number = self.hasher.hash_one(bucket_key) % PLACES as u64;
        &self.places[usize::try_from(number).expect("it is below the number of places")]
    }
}

impl Held<'_> {
    /// Waits until a try has ended that counts in the same bucket.
    pub(super) async fn until_another_ends(self) {
        self.ended.await;
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use futures_util::FutureExt;

    use super::*;
    use crate::domain::Network;

    #[test]
    fn an_end_wakes_those_that_its_buckets_hold_back_and_no_others() {
        let held_back = WaitingRoom::new();
        let bucket_key = |number: u8| (None, Some(Network::of(IpAddr::from([192, 0, 2, number]))));
        let place = |number| std::ptr::from_ref(held_back.place(bucket_key(number)));
        let elsewhere = (1..=u8::MAX).find(|number| place(*number) != place(0)).unwrap();
        let mut held = Box::pin(held_back.hold(bucket_key(0)).unwrap().until_another_ends());

        held_back.wake(bucket_key(elsewhere));
        assert_eq!(held.as_mut().now_or_never(), None);
        held_back.wake(bucket_key(0));
        assert_eq!(held.now_or_never(), Some(()));
    }
}
