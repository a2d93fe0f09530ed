//! Files that hold secrets: checks who else can read them, and who may have put them there.

use std::{
    collections::BTreeSet,
    env,
    fs::{self, Metadata, OpenOptions},
    io::{self, Read},
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

use libc::{O_NOFOLLOW, O_NONBLOCK};
use rustix::process::{getegid, geteuid, getgroups};
use thiserror::Error;
use zeroize::Zeroizing;

use super::{directory_of, open_file};
use crate::privileges::as_operator;

/// Why a file must not be used as a secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum NotPrivate {
    /// It belongs to this process's user, and others can read it, with these permission bits.
    #[error("can be read by others (mode {0:03o}); make it yours alone: chmod 600")]
    Exposed(u32),
    /// It belongs to root, and others can read it, with these permission bits.
    #[error(
        "belongs to root and can be read by others (mode {0:03o}); let only root and one of this process's groups read it: \
         mode 440 and that group (Kubernetes: `defaultMode: 0440` with `fsGroup`; Docker: `mode: 0440` with `gid`)"
    )]
    RootsExposed(u32),
    /// It belongs to another user, with this id, who knows its contents.
    #[error("belongs to another user of this system (uid {0}); make it yours: chown")]
    Foreign(u32),
}

/// Reads a file that holds a secret. It must belong to this process's user or to root, and only root, this user and
/// this process's groups may be able to read it. Root, who may act for a server of another user, also reads files of
/// other users in their own directories.
///
/// # Errors
/// If it cannot be read.
pub fn read_private(path: &Path) -> io::Result<Result<Zeroizing<Vec<u8>>, NotPrivate>> {
    read_private_within(path, u64::MAX)
}

/// Reads at most so many bytes of a file that holds a secret, as [`read_private`] does.
///
/// # Errors
/// As [`read_private`].
pub fn read_private_within(path: &Path, max: u64) -> io::Result<Result<Zeroizing<Vec<u8>>, NotPrivate>> {
    as_operator(path, || read_with_these_rights(path, max))
}

fn read_with_these_rights(path: &Path, max: u64) -> io::Result<Result<Zeroizing<Vec<u8>>, NotPrivate>> {
    let file = open_file(path)?;
    let mut bytes = Zeroizing::new(Vec::new());
    (&file).take(max).read_to_end(&mut bytes)?;
    let refusal = Reader::this_process().refusal(path, &file.metadata()?)?;
    Ok(refusal.map_or(Ok(bytes), Err))
}

/// A process that reads files with secrets.
struct Reader {
    uid: u32,
    gids: BTreeSet<u32>,
    /// The directory in which systemd passes credentials.
    credentials: Option<PathBuf>,
}

impl Reader {
    fn this_process() -> Self {
        let gids = getgroups().unwrap_or_default().into_iter().chain([getegid()]);
        Self {
            uid: geteuid().as_raw(),
            gids: gids.map(rustix::process::Gid::as_raw).collect(),
            credentials: env::var_os("CREDENTIALS_DIRECTORY").and_then(|path| fs::canonicalize(path).ok()),
        }
    }

    fn refusal(&self, path: &Path, file: &Metadata) -> io::Result<Option<NotPrivate>> {
        let (owner, mode) = (file.uid(), file.mode() & 0o777);
        let is_own = owner == self.uid;
        Ok(if mode & 0o007 != 0 || (mode & 0o070 != 0 && !self.has_group_alone(path, file)?) {
            let exposed = if owner == 0 && !is_own { NotPrivate::RootsExposed } else { NotPrivate::Exposed };
            Some(exposed(mode))
        } else if owner == 0 || is_own || (self.uid == 0 && !may_be_planted(path, owner)?) {
            None
        } else {
            Some(NotPrivate::Foreign(owner))
        })
    }

    /// Whether the group's permission bits apply to this process only.
    fn has_group_alone(&self, path: &Path, file: &Metadata) -> io::Result<bool> {
        let path = fs::canonicalize(path)?;
        // With an access control list these bits are its mask; systemd's lists name only the service's user.
        let is_credential = self.credentials.as_ref().is_some_and(|directory| path.starts_with(directory));
        Ok(file.uid() == 0 && (self.gids.contains(&file.gid()) || is_credential))
    }
}

/// Withdraws the group's rights on the process's own file, which Kubernetes grants a pod's group on every file of its volumes at
/// each start. A file that others than the group can read stays as it is: it may have been read.
///
/// A file that cannot be changed is refused when it is read.
pub fn withdraw_from_group(path: &Path) {
    let opened = OpenOptions::new().read(true).custom_flags(O_NOFOLLOW | O_NONBLOCK).open(path);
    let Ok(file) = opened else { return };
    let Ok(metadata) = file.metadata() else { return };
    let mode = metadata.mode() & 0o777;
    if metadata.is_file() && metadata.uid() == geteuid().as_raw() && mode & 0o070 != 0 && mode.trailing_zeros() >= 3 {
        let _ = file.set_permissions(fs::Permissions::from_mode(mode & 0o700));
    }
}

/// Whether the file's owner may have put it into a directory of another user.
fn may_be_planted(path: &Path, owner: u32) -> io::Result<bool> {
    let directory = fs::metadata(directory_of(path))?;
    let is_roots_alone = directory.uid() == 0 && directory.mode() & 0o022 == 0;
    Ok(directory.uid() != owner && !is_roots_alone)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{chown, symlink};

    use tempfile::TempDir;

    use super::*;
    use crate::files::tests::is_root;

    /// A user with a group of its own, and a group that it is not in.
    const USER: u32 = 65_532;
    const GROUP: u32 = 65_531;
    const FOREIGN_GROUP: u32 = 65_530;

    struct Place(TempDir);

    impl Place {
        /// A directory that all users can enter.
        fn new() -> Self {
            let place = tempfile::tempdir().unwrap();
            fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
            Self(place)
        }

        /// Why a file of that owner and group with those permission bits is refused.
        fn refusal(&self, (uid, gid): (u32, u32), mode: u32, credentials: Option<PathBuf>) -> Option<NotPrivate> {
            let path = self.0.path().join("secret");
            fs::write(&path, [7; 32]).unwrap();
            chown(&path, Some(uid), Some(gid)).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            let user = Reader { uid: USER, gids: [USER, GROUP].into(), credentials };
            user.refusal(&path, &fs::metadata(&path).unwrap()).unwrap()
        }
    }

    #[test]
    fn a_file_of_root_is_accepted_if_only_root_and_the_processs_groups_can_read_it() {
        if !is_root("files that belong to others") {
            return;
        }
        let place = Place::new();
        for mode in [0o400, 0o440, 0o600, 0o640, 0o660] {
            assert_eq!(place.refusal((0, GROUP), mode, None), None, "{mode:o}");
        }
        for mode in [0o444, 0o644, 0o604, 0o442] {
            assert_eq!(place.refusal((0, GROUP), mode, None), Some(NotPrivate::RootsExposed(mode)), "{mode:o}");
        }
        assert_eq!(place.refusal((0, FOREIGN_GROUP), 0o440, None), Some(NotPrivate::RootsExposed(0o440)));
    }

    #[test]
    fn a_link_is_judged_by_its_target() {
        if !is_root("files that belong to others") {
            return;
        }
        let place = tempfile::tempdir().unwrap();
        let [data, link] = ["..2026", "..data"].map(|name| place.path().join(name));
        fs::create_dir(&data).unwrap();
        fs::write(data.join("secret"), [7; 32]).unwrap();
        symlink(&data, &link).unwrap();
        symlink(link.join("secret"), place.path().join("secret")).unwrap();
        let refusal_with = |gid: u32, mode: u32| {
            chown(data.join("secret"), Some(0), Some(gid)).unwrap();
            fs::set_permissions(data.join("secret"), fs::Permissions::from_mode(mode)).unwrap();
            let user = Reader { uid: USER, gids: [GROUP].into(), credentials: None };
            let path = place.path().join("secret");
            user.refusal(&path, &fs::metadata(&path).unwrap()).unwrap()
        };

        assert_eq!(refusal_with(GROUP, 0o440), None);
        assert_eq!(refusal_with(FOREIGN_GROUP, 0o440), Some(NotPrivate::RootsExposed(0o440)));
    }

    #[test]
    fn the_mask_of_a_credentials_access_control_list_does_not_count_as_exposed() {
        if !is_root("files that belong to others") {
            return;
        }
        let (place, other) = (Place::new(), tempfile::tempdir().unwrap());
        let credentials = || Some(fs::canonicalize(place.0.path()).unwrap());
        assert_eq!(place.refusal((0, 0), 0o440, credentials()), None);
        assert_eq!(place.refusal((0, 0), 0o444, credentials()), Some(NotPrivate::RootsExposed(0o444)));
        assert_eq!(place.refusal((0, 0), 0o440, Some(other.path().into())), Some(NotPrivate::RootsExposed(0o440)));
        assert_eq!(place.refusal((FOREIGN_GROUP, 0), 0o440, credentials()), Some(NotPrivate::Exposed(0o440)));
    }

    #[test]
    fn the_groups_rights_on_an_own_file_count_also_where_a_directory_above_it_is_closed() {
        if !is_root("files that belong to others") {
            return;
        }
        let place = Place::new();
        assert_eq!(place.refusal((USER, GROUP), 0o660, None), Some(NotPrivate::Exposed(0o660)));

        chown(place.0.path(), Some(USER), None).unwrap();
        fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(place.refusal((USER, GROUP), 0o660, None), Some(NotPrivate::Exposed(0o660)));
        assert_eq!(place.refusal((USER, GROUP), 0o600, None), None);
    }

    #[test]
    fn rights_are_withdrawn_from_the_group_alone_and_not_through_a_link() {
        let place = tempfile::tempdir().unwrap();
        let [path, link] = ["secret", "link"].map(|name| place.path().join(name));
        fs::write(&path, [7; 32]).unwrap();
        symlink(&path, &link).unwrap();
        let withdrawn = |through: &Path, mode: u32| {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            withdraw_from_group(through);
            fs::metadata(&path).unwrap().mode() & 0o777
        };

        assert_eq!([0o660, 0o640, 0o600, 0o400].map(|mode| withdrawn(&path, mode)), [0o600, 0o600, 0o600, 0o400]);
        assert_eq!([0o644, 0o664].map(|mode| withdrawn(&path, mode)), [0o644, 0o664], "others may have read it");
        assert_eq!(withdrawn(&link, 0o660), 0o660);
    }

    #[test]
    fn a_file_of_a_third_user_is_refused() {
        if !is_root("files that belong to others") {
            return;
        }
        assert_eq!(Place::new().refusal((65_529, GROUP), 0o600, None), Some(NotPrivate::Foreign(65_529)));
    }
}
