//! Lowers the rights of a command that root runs on another user's data directory to those of that user, except for
//! files that the operator names outside of that user's directories.
//!
//! Only the effective ids change. The real and the saved ids stay root's, so that the owner can neither signal nor
//! trace the process, the audit log names root, and root's rights can be restored. On Linux each thread has its own
//! ids, and a new thread inherits those of the thread that starts it.

use std::{fs, io, os::unix::fs::MetadataExt, path::Path};

use rustix::{
    process::{Gid, Uid, getegid, geteuid, getgid, getuid},
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

/// The group `nogroup`, which owns nothing: for an owner whom the name service does not know. The data directory's
/// group is not used, because it may have more rights than the owner: it is root's if only the directory's user was
/// changed.
const NO_GROUP: u32 = 65_534;
/// The number of symbolic links that Linux follows (`path_resolution(7)`).
const MAX_LINKS: u8 = 40;

/// Lowers the rights to that user's, for this thread and those that it starts. No other thread may have been started.
///
/// # Errors
/// If this process may not change its ids, as in a container without `CAP_SETUID` and `CAP_SETGID`.
pub fn lower(owner: u32) -> io::Result<()> {
    let (primary, groups) = groups_of(owner);
    set_thread_groups(&groups)?;
    set_ids(Uid::from_raw(owner), primary)
}

/// Whether root's rights have been lowered to another user's.
#[must_use]
pub fn are_lowered() -> bool {
    getuid().is_root() && !geteuid().is_root()
}

/// Runs `work` with root's rights on this thread, if they were lowered.
pub fn as_root<T>(work: impl FnOnce() -> T) -> T {
    let _raised = are_lowered().then(Raised::new);
    work()
}

/// Runs `work` on a file that the operator names: with root's rights, if they were lowered and the path has no
/// directory of the owner, who could replace it by a link.
pub fn as_operator<T>(file: &Path, work: impl FnOnce() -> T) -> T {
    let owner = geteuid().as_raw();
    let _raised = are_lowered().then(Raised::new).filter(|_| !leads_through_directory_of(owner, file, MAX_LINKS));
    work()
}

/// Root's rights on this thread, until this is dropped.
struct Raised {
    owner: Uid,
    group: Gid,
}

impl Raised {
    fn new() -> Self {
        let raised = Self { owner: geteuid(), group: getegid() };
        set_ids(getuid(), getgid()).expect("a process may always take its real ids");
        raised
    }
}

impl Drop for Raised {
    fn drop(&mut self) {
        set_ids(self.owner, self.group).expect("root may take any ids that it has had");
    }
}

/// Sets the group first, because with another user's rights it could only be set to the real one.
fn set_ids(user: Uid, group: Gid) -> io::Result<()> {
    set_thread_res_gid(None::<Gid>, group, None::<Gid>)?;
    Ok(set_thread_res_uid(None::<Uid>, user, None::<Uid>)?)
}

/// The user's primary group and all others, as the name service has them.
fn groups_of(user: u32) -> (Gid, Vec<Gid>) {
    let Some(user) = users::get_user_by_uid(user) else { return (Gid::from_raw(NO_GROUP), Vec::new()) };
    let groups = user.groups().unwrap_or_default();
    (Gid::from_raw(user.primary_group_id()), groups.iter().map(|group| Gid::from_raw(group.gid())).collect())
}

fn leads_through_directory_of(owner: u32, path: &Path, max_links: u8) -> bool {
    let Ok(path) = std::path::absolute(path) else { return true };
    let is_owners = |directory: &Path| fs::metadata(directory).is_ok_and(|metadata| metadata.uid() == owner);
    let target = || fs::read_link(&path).ok().zip(path.parent());
    path.ancestors().skip(1).any(is_owners)
        || max_links > 0
            && target().is_some_and(|(to, from)| leads_through_directory_of(owner, &from.join(to), max_links - 1))
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{os::unix::fs::chown, thread};

    use rustix::process::getgroups;

    use super::*;

    /// The id of a user who need not exist.
    const OWNER: u32 = 65_532;

    /// Whether a test that needs root can run; panics instead of returning false if `LODGE_TEST_EVERYTHING` is set.
    pub(crate) fn is_root(what: &str) -> bool {
        let is_root = geteuid().is_root();
        if !is_root {
            assert!(std::env::var_os("LODGE_TEST_EVERYTHING").is_none(), "only root can try this: {what}");
            #[expect(clippy::print_stderr, reason = "the test runner captures it")]
            {
                eprintln!("left out: {what}: this is not root");
            }
        }
        is_root
    }

    fn ids() -> (u32, u32) {
        (geteuid().as_raw(), getegid().as_raw())
    }

    /// Runs the work with the owner's rights, on a thread of its own, which ends with it.
    fn lowered<T: Send>(work: impl FnOnce() -> T + Send) -> T {
        let lowered = || {
            lower(OWNER).unwrap();
            work()
        };
        thread::scope(|scope| scope.spawn(lowered).join().unwrap())
    }

    #[test]
    fn an_owner_without_a_name_has_no_groups_and_new_threads_have_the_owners_rights() {
        if !is_root("the rights of another user") {
            return;
        }
        let found = lowered(|| thread::scope(|scope| scope.spawn(|| (ids(), getgroups().unwrap(), getuid())).join()));

        assert_eq!(found.unwrap(), ((OWNER, NO_GROUP), Vec::new(), Uid::ROOT));
        assert_eq!(ids(), (0, 0));
    }

    #[test]
    fn an_owner_with_a_name_has_the_groups_of_the_name_service() {
        let (primary, groups) = groups_of(0);

        assert_eq!((primary, groups.contains(&Gid::ROOT)), (Gid::ROOT, true));
    }

    #[test]
    fn roots_rights_end_with_the_work_that_needs_them() {
        if !is_root("the rights of another user") {
            return;
        }
        let [roots, owners] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        chown(owners.path(), Some(OWNER), Some(OWNER)).unwrap();
        let file = |directory: &tempfile::TempDir| directory.path().join("below/file");

        let found = lowered(|| {
            let before = ids();
            let during = [as_root(ids), as_operator(&file(&roots), ids), as_operator(&file(&owners), ids)];
            let panicked = std::panic::catch_unwind(|| as_root(|| panic!("the work fails")));
            (before, during, panicked.is_err(), ids())
        });

        let owner = (OWNER, NO_GROUP);
        assert_eq!(found, (owner, [(0, 0), (0, 0), owner], true, owner));
    }
}
