//! The mounts of this process, as `/proc/self/mountinfo` lists them; see `proc_pid_mountinfo(5)`.

use std::{
    ffi::OsString,
    os::unix::ffi::OsStringExt,
    path::{Path, PathBuf},
};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount<'a> {
    pub(super) point: PathBuf,
    /// The name of its type, such as `ext4` or `fuse.sshfs`.
    pub(super) kind: &'a str,
}

impl<'a> Mount<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        Some(Self { point: unescaped(mount.split(' ').nth(4)?), kind: file_system.split(' ').next()? })
    }
}

/// The mount that a canonical path is on: the deepest one above it, and the last of those at one place.
pub(super) fn mount_of<'a>(mounts: &'a str, path: &Path) -> Option<Mount<'a>> {
    let above = mounts.lines().filter_map(Mount::read).filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// A path whose spaces, tabs, line ends and backslashes are written as three octal digits.
fn unescaped(text: &str) -> PathBuf {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..3).and_then(|digits| std::str::from_utf8(digits).ok());
        let escaped = digits.filter(|_| first == b'\\').and_then(|digits| u8::from_str_radix(digits, 8).ok());
        bytes.push(escaped.unwrap_or(first));
        rest = if escaped.is_some() { &after[3..] } else { after };
    }
    OsString::from_vec(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
         40 22 0:40 / /srv rw shared:2 - nfs4 server:/export rw,vers=4.2\n\
         41 40 8:2 / /srv/my\\040data rw - xfs /dev/sdb1 rw\n\
         42 22 0:41 / /srv2 rw - tmpfs tmpfs rw\n\
         43 42 8:3 / /srv2 rw - btrfs /dev/sdc rw\n\
         a line that is no mount\n";

    #[test]
    fn a_path_is_on_the_deepest_and_last_mount_above_it() {
        let kind = |path: &str| mount_of(MOUNTS, Path::new(path)).map(|mount| mount.kind);

        assert_eq!(kind("/var/lib/lodge"), Some("ext4"));
        assert_eq!(kind("/srv/lodge"), Some("nfs4"));
        assert_eq!(kind("/srv/my data/lodge"), Some("xfs"));
        assert_eq!(kind("/srv2"), Some("btrfs"), "it is mounted over the first");
        assert_eq!(kind("/srv22"), Some("ext4"), "a name that only begins alike");
        let any_order = "50 22 8:4 / /opt/lodge rw - xfs /dev/sdd rw\n51 22 8:5 / /opt rw - btrfs /dev/sde rw\n";
        assert_eq!(mount_of(any_order, Path::new("/opt/lodge/data")).map(|mount| mount.kind), Some("xfs"));
        assert_eq!(mount_of("", Path::new("/")), None);
    }
}
