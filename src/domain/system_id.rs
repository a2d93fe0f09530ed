//! Ids of system users and groups.

use serde::{Deserialize, Serialize};

use super::{Parsed, Problem};

/// A system uid or gid, 0 to 2^31 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SystemId(u32);

impl SystemId {
    /// The largest one.
    pub const MAX: u32 = (1 << 31) - 1;
    /// The uid or gid of the superuser.
    pub const ROOT: Self = Self(0);
    /// The first one that systems give to people; those below are the system's own (`UID_MIN` and `GID_MIN` of login.defs).
    pub const FIRST_OF_PEOPLE: Self = Self(1000);

    /// Parses a uid or gid.
    ///
    /// # Errors
    /// `greater_than_or_equal_to` or `less_than_or_equal_to`, with the bound.
    pub fn new(number: i128) -> Parsed<Self> {
        if number < 0 {
            return Err(Problem::GreaterThanOrEqualTo(0));
        }
        let within = u32::try_from(number).ok().filter(|id| *id <= Self::MAX);
        within.map(Self).ok_or(Problem::LessThanOrEqualTo(i64::from(Self::MAX)))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_system_id_never_wraps() {
        assert_eq!(SystemId::new(0), Ok(SystemId::ROOT));
        assert_eq!(SystemId::new(2_147_483_647).map(SystemId::get), Ok(2_147_483_647));
        assert_eq!(SystemId::new(-1), Err(Problem::GreaterThanOrEqualTo(0)));
        for beyond in [1_i128 << 31, 1 << 32, 1 << 53, 1 << 64] {
            assert_eq!(SystemId::new(beyond), Err(Problem::LessThanOrEqualTo(2_147_483_647)));
        }
    }
}
