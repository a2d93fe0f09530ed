//! Pages of the list of users as they were answered lately.
//!
//! A page is good as long as no account has changed since, which the store's mark of all users tells: a request that begins
//! after the answer to a change finds the mark moved and the page worth nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use actix_web::web::Bytes;

use super::{
    error::ApiError,
    transfer::{Growing, Outgoing, TransferMemory},
};
use crate::{domain::Page, store::Mark};

/// How many bytes are kept at most.
const MOST_BYTES: usize = 1 << 20;
/// How long a page may be to be kept, so that none takes the place of too many others.
const LONGEST: usize = MOST_BYTES / 8;

/// The pages.
#[derive(Debug)]
pub struct UserPages {
    memory: TransferMemory,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    /// The mark that all of these were answered under.
    mark: Option<Mark>,
    pages: HashMap<Page, Bytes>,
    bytes: usize,
}

impl UserPages {
    /// None yet; while one is written it takes its share of that memory.
    #[must_use]
    pub fn new(memory: TransferMemory) -> Self {
        Self { memory, kept: Mutex::default() }
    }

    /// The page, written anew unless it was answered since the accounts last changed; `mark` is theirs, read before.
    ///
    /// # Errors
    /// Those of writing it.
    pub(super) async fn page(
        &self,
        page: Page,
        mark: Mark,
        write: impl AsyncFnOnce(&mut Growing) -> Result<(), ApiError>,
    ) -> Result<Bytes, ApiError> {
        if let Some(body) = self.kept().under(mark).pages.get(&page) {
            return Ok(body.clone());
        }
        let mut answer = Growing::new(Outgoing { memory: &self.memory, may_be_refused: true });
        write(&mut answer).await?;
        let body = answer.into_bytes();
        self.kept().keep(page, mark, &body);
        Ok(body)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("no holder of the lock panics")
    }
}

impl Kept {
    /// What was answered under that mark.
    fn under(&mut self, mark: Mark) -> &mut Self {
        if self.mark != Some(mark) {
            *self = Self { mark: Some(mark), ..Self::default() };
        }
        self
    }

    fn keep(&mut self, page: Page, mark: Mark, body: &Bytes) {
        // Whoever took longer than others must neither bring back an older mark nor count a page twice.
        if self.mark != Some(mark) || self.pages.contains_key(&page) || body.len() > LONGEST {
            return;
        }
        if self.bytes + body.len() > MOST_BYTES {
            *self = Self { mark: self.mark, ..Self::default() };
        }
        self.bytes += body.len();
        self.pages.insert(page, body.clone());
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    const BEFORE: Mark = Mark::of(1);
    const AFTER: Mark = Mark::of(2);

    fn page(offset: u64) -> Page {
        Page { limit: 1, offset }
    }

    fn pages() -> UserPages {
        UserPages::new(TransferMemory::new(1 << 20))
    }

    fn written(
        pages: &UserPages,
        page: Page,
        mark: Mark,
        write: impl FnOnce(&mut Growing) -> Result<(), ApiError>,
    ) -> Bytes {
        let page = pages.page(page, mark, async |answer: &mut Growing| write(answer));
        page.now_or_never().expect("nothing is waited for").unwrap()
    }

    fn made(pages: &UserPages, page: Page, mark: Mark, body: &[u8]) -> Bytes {
        written(pages, page, mark, |answer| answer.put(body))
    }

    #[test]
    fn a_page_is_kept_until_the_mark_moves() {
        let pages = pages();
        made(&pages, page(0), BEFORE, b"one");
        made(&pages, page(1), BEFORE, b"two");

        assert_eq!(made(&pages, page(0), BEFORE, b"not asked for"), "one");
        assert_eq!(made(&pages, page(1), BEFORE, b"not asked for"), "two");
        assert_eq!(made(&pages, page(0), AFTER, b"three"), "three");
        assert_eq!(made(&pages, page(1), AFTER, b"four"), "four");
    }

    #[test]
    fn what_took_longer_than_a_change_is_not_kept() {
        let pages = pages();
        let late = written(&pages, page(0), BEFORE, |answer| {
            made(&pages, page(1), AFTER, b"meanwhile");
            answer.put(b"late")
        });

        assert_eq!(late, "late");
        assert_eq!(made(&pages, page(0), AFTER, b"new"), "new");
        assert_eq!(made(&pages, page(1), AFTER, b"not asked for"), "meanwhile");
    }

    #[test]
    fn a_page_that_two_make_at_once_is_counted_once() {
        let pages = pages();
        let twice = written(&pages, page(0), BEFORE, |answer| answer.put(&made(&pages, page(0), BEFORE, b"one")));

        assert_eq!(twice, "one");
        assert_eq!(pages.kept().bytes, 3);
    }

    #[test]
    fn pages_are_bounded_together_and_by_themselves() {
        let pages = pages();
        for offset in 0..100 {
            made(&pages, page(offset), BEFORE, &vec![b'x'; LONGEST]);
            let kept = pages.kept();
            assert!(kept.bytes <= MOST_BYTES);
            assert_eq!(kept.bytes, kept.pages.values().map(Bytes::len).sum::<usize>());
        }
        made(&pages, page(100), BEFORE, &vec![b'x'; LONGEST + 1]);
        assert_eq!(made(&pages, page(100), BEFORE, b"anew"), "anew");
    }
}
