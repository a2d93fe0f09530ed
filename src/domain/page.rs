//! The part of a list that a request asks for.

/// A page of a list in ascending order of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// The maximum number of items, 0 to [`Page::MAX`].
    pub limit: usize,
    /// The number of items before the first one.
    pub offset: u64,
}

impl Page {
    /// The limit of a request that gives none.
    pub const DEFAULT: usize = 100;
    /// The maximum limit.
    pub const MAX: usize = 1000;

    /// The page of that limit and offset; a limit above [`Page::MAX`] is lowered to it.
    #[must_use]
    pub fn new(limit: Option<u64>, offset: Option<u64>) -> Self {
        let limit = limit.map_or(Self::DEFAULT, |limit| usize::try_from(limit).unwrap_or(Self::MAX).min(Self::MAX));
        Self { limit, offset: offset.unwrap_or(0) }
    }

    /// How many items this page has of a list of `count`.
    #[must_use]
    pub fn len_of(self, count: u64) -> usize {
        usize::try_from(count.saturating_sub(self.offset)).unwrap_or(usize::MAX).min(self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_capped_and_has_a_default() {
        assert_eq!(Page::new(None, None), Page { limit: 100, offset: 0 });
        assert_eq!(Page::new(Some(0), Some(7)), Page { limit: 0, offset: 7 });
        assert_eq!(Page::new(Some(u64::MAX), None).limit, 1000);
    }

    #[test]
    fn a_page_has_what_is_left_of_the_list_up_to_its_limit() {
        let of_ten = |limit, offset| Page::new(Some(limit), Some(offset)).len_of(10);

        assert_eq!([of_ten(4, 0), of_ten(4, 6), of_ten(4, 8), of_ten(4, 11), of_ten(0, 0)], [4, 4, 2, 0, 0]);
        assert_eq!(Page::new(None, None).len_of(u64::MAX), 100);
    }
}
