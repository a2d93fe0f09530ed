//! Looks single users and groups up, which also finds those that a name service does not list.

use std::{collections::BTreeMap, ffi::CStr};

use errno::{Errno, errno, set_errno};

use super::NameServiceError;

/// What `getpwuid(3)` may report of an id that does not exist: nothing, ENOENT, ESRCH, EBADF or EPERM.
const NO_ENTRY: [i32; 5] = [0, 2, 3, 9, 1];

/// The names of system users and of groups by their ids; an id that does not exist is missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SystemNames {
    /// The users.
    pub users: BTreeMap<u32, String>,
    /// The groups.
    pub groups: BTreeMap<u32, String>,
}

impl SystemNames {
    pub(super) fn of(uids: &[u32], gids: &[u32]) -> Result<Self, NameServiceError> {
        Ok(Self { users: named(uids, user_name)?, groups: named(gids, group_name)? })
    }
}

type Found = Result<Option<String>, NameServiceError>;

fn named(ids: &[u32], name: fn(u32) -> Found) -> Result<BTreeMap<u32, String>, NameServiceError> {
    let found = ids.iter().map(|id| Ok(name(*id)?.map(|name| (*id, name))));
    found.filter_map(Result::transpose).collect()
}

#[expect(unsafe_code, reason = "an entry is valid until the next call, and only the thread of NameService calls")]
fn user_name(uid: u32) -> Found {
    set_errno(Errno(0));
    let name = unsafe { libc::getpwuid(uid).as_ref() }.map(|entry| entry.pw_name);
    found(name.filter(|name| !name.is_null()).map(|name| unsafe { CStr::from_ptr(name) }))
}

#[expect(unsafe_code, reason = "an entry is valid until the next call, and only the thread of NameService calls")]
fn group_name(gid: u32) -> Found {
    set_errno(Errno(0));
    let name = unsafe { libc::getgrgid(gid).as_ref() }.map(|entry| entry.gr_name);
    found(name.filter(|name| !name.is_null()).map(|name| unsafe { CStr::from_ptr(name) }))
}

/// The name, or why there is none, which the functions report only in `errno`.
fn found(name: Option<&CStr>) -> Found {
    match name {
        Some(name) => Ok(Some(name.to_string_lossy().into_owned())),
        None if NO_ENTRY.contains(&errno().0) => Ok(None),
        None => Err(NameServiceError::Failed(errno())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_has_a_name_and_an_id_that_nothing_has_is_missing() {
        let names = SystemNames::of(&[0, 1_999_999_999], &[0, 1_999_999_999]).unwrap();

        assert_eq!(names.users, [(0, "root".to_owned())].into());
        assert_eq!(names.groups, [(0, "root".to_owned())].into());
    }
}
