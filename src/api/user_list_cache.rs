//! Caches encoded pages of the list of users.
//!
//! A page is valid while the store's version of all users is unchanged: a request that begins after a change was
//! answered finds a newer version and does not use the page.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use actix_web::web::Bytes;

use super::{
    memory_budget::MemoryBudget,
    response_budget::{BudgetedBuffer, ResponseBudget},
};
use crate::{domain::Page, store::Version};

/// The maximum size of all pages in bytes.
const MAX_BYTES: usize = 1 << 20;
/// The maximum size of one page in bytes, so that it does not displace too many others.
const MAX_LENGTH: usize = MAX_BYTES / 8;

/// The cached pages.
#[derive(Debug)]
pub struct UserListCache {
    memory: MemoryBudget,
    pages: Mutex<Pages>,
}

#[derive(Debug, Default)]
struct Pages {
    /// The version of all these pages.
    version: Option<Version>,
    bodies: HashMap<Page, Bytes>,
    /// The total length of the bodies.
    bytes: usize,
}

impl UserListCache {
    /// An empty cache, whose pages are written in memory of that budget.
    #[must_use]
    pub fn new(memory: MemoryBudget) -> Self {
        Self { memory, pages: Mutex::default() }
    }

    /// Returns the cached page of that version, or writes it with `write`. The version must have been read before the
    /// accounts.
    ///
    /// # Errors
    /// Those of `write`.
    pub(super) async fn page<E>(
        &self,
        page: Page,
        version: Version,
        write: impl AsyncFnOnce(&mut BudgetedBuffer) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if let Some(body) = self.pages().at(version).bodies.get(&page) {
            return Ok(body.clone());
        }
        let mut buffer = BudgetedBuffer::new(ResponseBudget::of(&self.memory));
        write(&mut buffer).await?;
        let body = buffer.into_bytes();
        self.pages().insert(page, version, &body);
        Ok(body)
    }

    fn pages(&self) -> MutexGuard<'_, Pages> {
        self.pages.lock().expect("no holder of the lock panics")
    }
}

impl Pages {
    /// The pages of that version; pages of another version are dropped.
    fn at(&mut self, version: Version) -> &mut Self {
        if self.version != Some(version) {
            *self = Self { version: Some(version), ..Self::default() };
        }
        self
    }

    fn insert(&mut self, page: Page, version: Version, body: &Bytes) {
        // A slow request must neither bring back an older version nor count a page twice.
        if self.version != Some(version) || self.bodies.contains_key(&page) || body.len() > MAX_LENGTH {
            return;
        }
        if self.bytes + body.len() > MAX_BYTES {
            *self = Self { version: self.version, ..Self::default() };
        }
        self.bytes += body.len();
        self.bodies.insert(page, body.clone());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::api::memory_budget::BudgetExhausted;

    const OLD: Version = Version::of(1);
    const CURRENT: Version = Version::of(2);

    fn page(offset: u64) -> Page {
        Page { limit: 1, offset }
    }

    fn user_list_cache() -> UserListCache {
        UserListCache::new(MemoryBudget::new(1 << 20))
    }

    fn written(
        user_list_cache: &UserListCache,
        page: Page,
        version: Version,
        write: impl FnOnce(&mut BudgetedBuffer) -> Result<(), BudgetExhausted>,
    ) -> Bytes {
        let page = user_list_cache.page(page, version, async |buffer: &mut BudgetedBuffer| write(buffer));
        page.now_or_never().expect("nothing is waited for").unwrap()
    }

    fn made(user_list_cache: &UserListCache, page: Page, version: Version, body: &[u8]) -> Bytes {
        written(user_list_cache, page, version, |buffer| buffer.put(body))
    }

    #[test]
    fn a_page_is_cached_until_the_version_changes() {
        let user_list_cache = user_list_cache();
        made(&user_list_cache, page(0), OLD, b"one");
        made(&user_list_cache, page(1), OLD, b"two");

        assert_eq!(made(&user_list_cache, page(0), OLD, b"not written"), "one");
        assert_eq!(made(&user_list_cache, page(1), OLD, b"not written"), "two");
        assert_eq!(made(&user_list_cache, page(0), CURRENT, b"three"), "three");
        assert_eq!(made(&user_list_cache, page(1), CURRENT, b"four"), "four");
    }

    #[test]
    fn a_page_that_took_longer_than_a_change_is_not_cached() {
        let user_list_cache = user_list_cache();
        let late = written(&user_list_cache, page(0), OLD, |buffer| {
            made(&user_list_cache, page(1), CURRENT, b"meanwhile");
            buffer.put(b"late")
        });

        assert_eq!(late, "late");
        assert_eq!(made(&user_list_cache, page(0), CURRENT, b"new"), "new");
        assert_eq!(made(&user_list_cache, page(1), CURRENT, b"not written"), "meanwhile");
    }

    #[test]
    fn a_page_that_two_requests_write_at_once_is_counted_once() {
        let user_list_cache = user_list_cache();
        let twice =
            written(&user_list_cache, page(0), OLD, |buffer| buffer.put(&made(&user_list_cache, page(0), OLD, b"one")));

        assert_eq!(twice, "one");
        assert_eq!(user_list_cache.pages().bytes, 3);
    }

    #[test]
    fn pages_are_bounded_together_and_by_themselves() {
        let user_list_cache = user_list_cache();
        for offset in 0..100 {
            made(&user_list_cache, page(offset), OLD, &vec![b'x'; MAX_LENGTH]);
            let pages = user_list_cache.pages();
            assert!(pages.bytes <= MAX_BYTES);
            assert_eq!(pages.bytes, pages.bodies.values().map(Bytes::len).sum::<usize>());
        }
        made(&user_list_cache, page(100), OLD, &vec![b'x'; MAX_LENGTH + 1]);
        assert_eq!(made(&user_list_cache, page(100), OLD, b"anew"), "anew");
    }
}
