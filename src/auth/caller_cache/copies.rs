//! A thread's own copies of the entries that it uses repeatedly.
//!
//! Using a shared entry takes a lock and changes a reference count, so its cache lines move between cores with each
//! request. A copy shares nothing. A thread has few copies of bounded size, at most 256 KiB; an invalid one is dropped
//! when it is found.

use std::{cell::RefCell, sync::Arc};

use super::{Entry, Fingerprint};
use crate::auth::Authentication;

/// The maximum number of a thread's copies.
const MAX_COPIES: usize = 64;
/// The size of the largest entry that is copied: a key with some 15 scopes.
const MAX_BYTES: usize = 4096;

/// A slot, the only one in which the copy of a given entry can be.
#[derive(Default)]
struct Place {
    /// The last entry that was looked up here and not found.
    wanted: Option<Fingerprint>,
    copy: Option<(Fingerprint, Entry)>,
}

thread_local! {
    static PLACES: RefCell<Vec<Place>> = const { RefCell::new(Vec::new()) };
}

/// This thread's copy of that entry, if it has one and it is valid.
pub(super) fn get(fingerprint: Fingerprint, is_valid: impl FnOnce(&Entry) -> bool) -> Option<Entry> {
    with_place(fingerprint, |place| {
        let (_, entry) = place.copy.as_ref().filter(|(of, _)| *of == fingerprint)?;
        if is_valid(entry) {
            return Some(entry.clone());
        }
        place.copy = None;
        None
    })
}

/// Copies an entry that this thread has used twice in a row among those with the same slot.
pub(super) fn offer(fingerprint: Fingerprint, entry: &Entry) {
    if entry.bytes() > MAX_BYTES {
        return;
    }
    with_place(fingerprint, |place| {
        if place.wanted.replace(fingerprint) == Some(fingerprint) {
            place.copy = Some((fingerprint, copy(entry)));
        }
    });
}

fn with_place<T>(fingerprint: Fingerprint, work: impl FnOnce(&mut Place) -> T) -> T {
    PLACES.with_borrow_mut(|places| {
        if places.is_empty() {
            places.resize_with(MAX_COPIES, Place::default);
        }
        work(&mut places[fingerprint.below(MAX_COPIES)])
    })
}

/// A copy of an entry that shares no memory with it.
fn copy(entry: &Entry) -> Entry {
    let authentication = match &entry.authentication {
        Authentication::Password => Authentication::Password,
        Authentication::Session(jti) => Authentication::Session(*jti),
        Authentication::SystemUser(uid) => Authentication::SystemUser(*uid),
        Authentication::ApiKey(key) => Authentication::ApiKey(Arc::new(key.as_ref().clone())),
    };
    Entry { user: Arc::new(entry.user.as_ref().clone()), authentication, ..*entry }
}
