//! Accounts as JSON, so that `GET /users/me` encodes an account once and not for every request.
//!
//! An entry holds the account that it was encoded from, and is found by the address of that value in memory, not by an
//! id. Another version of the account is another value and finds no entry, so an entry cannot be stale. Authentication
//! has checked before that the value itself is current.
//!
//! Each thread has its own entries, so that reading one takes no lock.

use std::{cell::RefCell, collections::HashMap, mem, sync::Arc};

use actix_web::web::Bytes;

use crate::{domain::User, quick_hash::QuickHash};

/// The maximum number of entries in each of a thread's two generations, the recent one and the previous one.
const MAX_ENTRIES: usize = 2048;
/// The maximum size of the JSON in each generation.
const MAX_BYTES: usize = 1 << 20;

/// Entries by the address of their account; no other account has that address while the entry holds it.
#[derive(Default)]
struct Generation {
    entries: HashMap<usize, (Arc<User>, Bytes), QuickHash>,
    bytes: usize,
}

#[derive(Default)]
struct AccountCache {
    recent: Generation,
    previous: Generation,
}

thread_local! {
    static CACHE: RefCell<AccountCache> = RefCell::default();
}

/// The JSON of the account; `encode` is called unless it is cached.
pub(super) fn json(user: &Arc<User>, encode: impl FnOnce(&User) -> Bytes) -> Bytes {
    if let Some(json) = CACHE.with_borrow_mut(|cache| cache.find(user)) {
        return json;
    }
    let json = encode(user);
    CACHE.with_borrow_mut(|cache| cache.insert(user, &json));
    json
}

impl AccountCache {
    fn find(&mut self, user: &Arc<User>) -> Option<Bytes> {
        let address = address(user);
        if let Some((_, json)) = self.recent.entries.get(&address) {
            return Some(json.clone());
        }
        let (user, json) = self.previous.remove(address)?;
        self.insert(&user, &json);
        Some(json)
    }

    fn insert(&mut self, user: &Arc<User>, json: &Bytes) {
        if json.len() > MAX_BYTES {
            return;
        }
        if self.recent.entries.len() >= MAX_ENTRIES || self.recent.bytes + json.len() > MAX_BYTES {
            self.previous = mem::take(&mut self.recent);
        }
        self.recent.bytes += json.len();
        self.recent.entries.insert(address(user), (Arc::clone(user), json.clone()));
    }
}

impl Generation {
    fn remove(&mut self, address: usize) -> Option<(Arc<User>, Bytes)> {
        let entry = self.entries.remove(&address)?;
        self.bytes -= entry.1.len();
        Some(entry)
    }
}

fn address(user: &Arc<User>) -> usize {
    Arc::as_ptr(user).addr()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{Id, PasswordHash, Username},
    };

    fn user() -> Arc<User> {
        let username = Username::parse("ann").unwrap();
        Arc::new(User::new(Id::FIRST, username, PasswordHash::new(String::new()), Timestamp::from_secs(0)))
    }

    fn of(text: &'static [u8]) -> impl FnOnce(&User) -> Bytes {
        move |_| Bytes::from_static(text)
    }

    #[test]
    fn an_account_is_encoded_once_and_another_version_of_it_anew() {
        let (old, new) = (user(), user());
        assert_eq!(json(&old, of(b"old")), "old");
        assert_eq!(json(&new, of(b"new")), "new");

        assert_eq!(json(&old, of(b"not asked for")), "old");
        assert_eq!(json(&new, of(b"not asked for")), "new");
    }

    #[test]
    fn an_account_that_takes_the_address_of_a_dropped_one_is_encoded_anew() {
        for _ in 0..100 {
            assert_eq!(json(&user(), of(b"first")), "first");
            assert_eq!(json(&user(), of(b"second")), "second");
        }
    }

    #[test]
    fn accounts_are_bounded_in_number_and_in_bytes() {
        let mut cache = AccountCache::default();
        for (number, length) in [(2 * MAX_ENTRIES, 1), (MAX_ENTRIES + 1, 1), (7, MAX_BYTES / 4), (9, MAX_BYTES / 4)] {
            (0..number).for_each(|_| cache.insert(&user(), &vec![b'x'; length].into()));
            for generation in [&cache.recent, &cache.previous] {
                let bytes: usize = generation.entries.values().map(|(_, json)| json.len()).sum();
                assert_eq!(generation.bytes, bytes);
                assert!(bytes <= MAX_BYTES && generation.entries.len() <= MAX_ENTRIES, "{number} of {length} bytes");
            }
        }
        let large = user();
        cache.insert(&large, &vec![b'x'; MAX_BYTES + 1].into());
        assert_eq!(cache.find(&large), None);
    }

    #[test]
    fn an_account_that_is_used_outlives_a_generation() {
        let (mut cache, kept, other) = (AccountCache::default(), user(), user());
        cache.insert(&kept, &Bytes::from_static(b"kept"));
        cache.insert(&other, &Bytes::from_static(b"other"));
        for _ in 0..2 {
            (0..MAX_ENTRIES).for_each(|_| cache.insert(&user(), &Bytes::from_static(b"x")));
            assert_eq!(cache.find(&kept).as_deref(), Some(b"kept".as_slice()));
        }
        assert_eq!(cache.find(&other), None);
    }
}
