//! One member of a request: absent, wrong, or there.

/// What a request says of one attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Field<T> {
    /// The member is absent: the attribute keeps its value.
    Absent,
    /// The member is there and wrong; the violation is reported elsewhere.
    Invalid,
    /// The attribute's new value.
    Given(T),
}

impl<T> Field<T> {
    /// The new value, or the present one.
    pub fn or(self, present: T) -> T {
        match self {
            Self::Given(value) => value,
            Self::Absent | Self::Invalid => present,
        }
    }

    /// The given value, if it is there and right.
    pub fn given(&self) -> Option<&T> {
        match self {
            Self::Given(value) => Some(value),
            Self::Absent | Self::Invalid => None,
        }
    }

    /// Whether the request asks for something else than the present value.
    pub fn differs_from(&self, present: &T) -> bool
    where
        T: PartialEq,
    {
        match self {
            Self::Absent => false,
            Self::Invalid => true,
            Self::Given(value) => value != present,
        }
    }

    /// Whether the member is there at all, right or wrong.
    pub fn is_present(&self) -> bool {
        !matches!(self, Self::Absent)
    }
}
