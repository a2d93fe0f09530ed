//! Which part of a list is wanted.

/// A window on a list in ascending order of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Page {
    /// How many items at most, 0 to [`Page::MAX`].
    pub limit: usize,
    /// How many items come before the first one.
    pub offset: u64,
}

impl Page {
    /// How many items a page has unless told otherwise.
    pub const DEFAULT: usize = 100;
    /// How many items a page has at most.
    pub const MAX: usize = 1000;

    /// The page that was asked for; a limit above the most is the most.
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
