//! Pages of the list of users as they were answered lately.
//!
//! A page is good as long as no account has changed since, which the store's mark of all users tells: a request that begins
//! after the answer to a change finds the mark moved and the page worth nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use actix_web::web::Bytes;

use super::memory_budget::{BudgetedBuffer, MemoryBudget, ResponseBudget};
use crate::{domain::Page, store::Version};

/// How many bytes are kept at most.
const MAX_BYTES: usize = 1 << 20;
/// How long a page may be to be kept, so that none takes the place of too many others.
const MAX_LENGTH: usize = MAX_BYTES / 8;

/// The pages.
#[derive(Debug)]
pub struct UserListCache {
    memory: MemoryBudget,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The mark that all of these were answered under.
    version: Option<Version>,
    user_list_cache: HashMap<Page, Bytes>,
    bytes: usize,
}

impl UserListCache {
    /// None yet; while one is written it takes its share of that memory.
    #[must_use]
    pub fn new(memory: MemoryBudget) -> Self {
        Self { memory, kept: Mutex::default() }
    }

    /// The page, written anew unless it was answered since the accounts last changed; `version` is theirs, read before.
    ///
    /// # Errors
    /// Those of writing it.
    pub(super) async fn page<E>(
        &self,
        page: Page,
        version: Version,
        write: impl AsyncFnOnce(&mut BudgetedBuffer) -> Result<(), E>,
    ) -> Result<Bytes, E> {
        if let Some(body) = self.kept().under(version).user_list_cache.get(&page) {
            return Ok(body.clone());
        }
        let mut answer = BudgetedBuffer::new(ResponseBudget { memory: &self.memory, may_be_refused: true });
        write(&mut answer).await?;
        let body = answer.into_bytes();
        self.kept().keep(page, version, &body);
        Ok(body)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }
}

impl Kept {
    /// What was answered under that mark.
    fn under(&mut self, version: Version) -> &mut Self {
        if self.version != Some(version) {
            *self = Self { version: Some(version), ..Self::default() };
        }
        self
    }

    fn keep(&mut self, page: Page, version: Version, body: &Bytes) {
        // Whoever took longer than others must neither bring back an older mark nor count a page twice.
        if self.version != Some(version) || self.user_list_cache.contains_key(&page) || body.len() > MAX_LENGTH {
            return;
        }
        if self.bytes + body.len() > MAX_BYTES {
            *self = Self { version: self.version, ..Self::default() };
        }
        self.bytes += body.len();
        self.user_list_cache.insert(page, body.clone());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;
    use crate::api::memory_budget::BudgetExhausted;

    const BEFORE: Version = Version::of(1);
    const AFTER: Version = Version::of(2);

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
        let page = user_list_cache.page(page, version, async |answer: &mut BudgetedBuffer| write(answer));
        page.now_or_never().expect("nothing is waited for").unwrap()
    }

    fn made(user_list_cache: &UserListCache, page: Page, version: Version, body: &[u8]) -> Bytes {
        written(user_list_cache, page, version, |answer| answer.put(body))
    }

    #[test]
    fn a_page_is_kept_until_the_mark_moves() {
        let user_list_cache = user_list_cache();
        made(&user_list_cache, page(0), BEFORE, b"one");
        made(&user_list_cache, page(1), BEFORE, b"two");

        assert_eq!(made(&user_list_cache, page(0), BEFORE, b"not asked for"), "one");
        assert_eq!(made(&user_list_cache, page(1), BEFORE, b"not asked for"), "two");
        assert_eq!(made(&user_list_cache, page(0), AFTER, b"three"), "three");
        assert_eq!(made(&user_list_cache, page(1), AFTER, b"four"), "four");
    }

    #[test]
    fn what_took_longer_than_a_change_is_not_kept() {
        let user_list_cache = user_list_cache();
        let late = written(&user_list_cache, page(0), BEFORE, |answer| {
            made(&user_list_cache, page(1), AFTER, b"meanwhile");
            answer.put(b"late")
        });

        assert_eq!(late, "late");
        assert_eq!(made(&user_list_cache, page(0), AFTER, b"new"), "new");
        assert_eq!(made(&user_list_cache, page(1), AFTER, b"not asked for"), "meanwhile");
    }

    #[test]
    fn a_page_that_two_make_at_once_is_counted_once() {
        let user_list_cache = user_list_cache();
        let twice = written(&user_list_cache, page(0), BEFORE, |answer| {
            answer.put(&made(&user_list_cache, page(0), BEFORE, b"one"))
        });

        assert_eq!(twice, "one");
        assert_eq!(user_list_cache.kept().bytes, 3);
    }

    #[test]
    fn pages_are_bounded_together_and_by_themselves() {
        let user_list_cache = user_list_cache();
        for offset in 0..100 {
            made(&user_list_cache, page(offset), BEFORE, &vec![b'x'; MAX_LENGTH]);
            let kept = user_list_cache.kept();
            assert!(kept.bytes <= MAX_BYTES);
            assert_eq!(kept.bytes, kept.user_list_cache.values().map(Bytes::len).sum::<usize>());
        }
        made(&user_list_cache, page(100), BEFORE, &vec![b'x'; MAX_LENGTH + 1]);
        assert_eq!(made(&user_list_cache, page(100), BEFORE, b"anew"), "anew");
    }
}
