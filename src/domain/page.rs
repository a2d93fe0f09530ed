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
}
