//! Pages of the list of users as they were answered lately.
//!
//! A page is good as long as no account has changed since, which the store's mark of all users tells: a request that begins
//! after the answer to a change finds the mark moved and the page worth nothing.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard},
};

use actix_web::web::Bytes;

use super::error::ApiError;
use crate::{domain::Page, store::Mark};

/// How many bytes are kept at most.
const MOST_BYTES: usize = 1 << 20;
/// How long a page may be to be kept, so that none takes the place of too many others.
const LONGEST: usize = MOST_BYTES / 8;

/// The pages.
#[derive(Debug, Default)]
pub struct UserPages(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The mark that all of these were answered under.
    mark: Option<Mark>,
    pages: HashMap<Page, Bytes>,
    bytes: usize,
}

impl UserPages {
    /// The page, made anew unless it was answered since the accounts last changed; `mark` is theirs, read before.
    ///
    /// # Errors
    /// Those of making it.
    pub(super) fn page(
        &self,
        page: Page,
        mark: Mark,
        make: impl FnOnce() -> Result<Vec<u8>, ApiError>,
    ) -> Result<Bytes, ApiError> {
        if let Some(body) = self.kept().under(mark).pages.get(&page) {
            return Ok(body.clone());
        }
        let body = Bytes::from(make()?);
        self.kept().keep(page, mark, &body);
        Ok(body)
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().expect("no holder of the lock panics")
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
    use super::*;

    const BEFORE: Mark = Mark::of(1);
    const AFTER: Mark = Mark::of(2);

    fn page(offset: u64) -> Page {
        Page { limit: 1, offset }
    }

    fn made(pages: &UserPages, page: Page, mark: Mark, body: &[u8]) -> Bytes {
        pages.page(page, mark, || Ok(body.to_vec())).unwrap()
    }

    #[test]
    fn a_page_is_kept_until_the_mark_moves() {
        let pages = UserPages::default();
        made(&pages, page(0), BEFORE, b"one");
        made(&pages, page(1), BEFORE, b"two");

        assert_eq!(made(&pages, page(0), BEFORE, b"not asked for"), "one");
        assert_eq!(made(&pages, page(1), BEFORE, b"not asked for"), "two");
        assert_eq!(made(&pages, page(0), AFTER, b"three"), "three");
        assert_eq!(made(&pages, page(1), AFTER, b"four"), "four");
    }

    #[test]
    fn what_took_longer_than_a_change_is_not_kept() {
        let pages = UserPages::default();
        let late = pages.page(page(0), BEFORE, || {
            made(&pages, page(1), AFTER, b"meanwhile");
            Ok(b"late".to_vec())
        });

        assert_eq!(late.unwrap(), "late");
        assert_eq!(made(&pages, page(0), AFTER, b"new"), "new");
        assert_eq!(made(&pages, page(1), AFTER, b"not asked for"), "meanwhile");
    }

    #[test]
    fn a_page_that_two_make_at_once_is_counted_once() {
        let pages = UserPages::default();
        let twice = pages.page(page(0), BEFORE, || Ok(made(&pages, page(0), BEFORE, b"one").to_vec()));

        assert_eq!(twice.unwrap(), "one");
        assert_eq!(pages.kept().bytes, 3);
    }

    #[test]
    fn pages_are_bounded_together_and_by_themselves() {
        let pages = UserPages::default();
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
