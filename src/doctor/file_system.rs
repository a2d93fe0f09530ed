//! The file system of the data directory.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use rustix::fs::{StatVfsMountFlags, statfs, statvfs};

use super::{Check, Finding, Severity, mounts::mount_of};

/// A file system, as the kernel names it.
#[derive(Clone, Debug)]
pub(super) struct FileSystem {
    /// The type's number (`statfs(2)`).
    magic: u64,
    /// The type's name in the list of mounts; empty if it is not in it.
    name: String,
    is_read_only: bool,
}

/// What a file system means for data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    /// On a disk of this machine, or unknown.
    Local,
    /// Another machine's, or a host's that is shared with this one.
    Remote,
    /// The layer of a container.
    Overlay,
    /// In memory.
    Memory,
}

impl FileSystem {
    /// The file system that the path is on, or will be on.
    pub(super) fn observe(path: &Path, mounts: &str) -> io::Result<Self> {
        let existing = existing(path)?;
        let is_read_only = statvfs(&existing)?.f_flag.contains(StatVfsMountFlags::RDONLY);
        let name = mount_of(mounts, &existing).map(|mount| mount.kind.to_owned()).unwrap_or_default();
        Ok(Self { magic: magic(&existing)?, name, is_read_only })
    }

    fn kind(&self) -> Kind {
        match self.magic {
            // NFS, SMB, CIFS, SMB2, 9P, Ceph, AFS, Coda, OCFS2, GFS2, Lustre.
            0x6969 | 0x517b | 0xff53_4d42 | 0xfe53_4d42 | 0x0102_1997 | 0x00c3_6400 | 0x5346_414f | 0x7375_7245
            | 0x7461_636f | 0x0116_1970 | 0x0bd0_0bd0 => Kind::Remote,
            // FUSE and virtiofs; `fuseblk` is a file system on a disk.
            0x6573_5546 if self.name != "fuseblk" => Kind::Remote,
            // overlayfs, aufs.
            0x794c_7630 | 0x6175_6673 => Kind::Overlay,
            // tmpfs, ramfs.
            0x0102_1994 | 0x8584_58f6 => Kind::Memory,
            _ => Kind::Local,
        }
    }
}

/// The path, or the nearest directory above it that exists, without links.
pub(super) fn existing(path: &Path) -> io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let existing = path.ancestors().find(|ancestor| ancestor.exists()).unwrap_or(Path::new("/"));
    fs::canonicalize(existing)
}

/// The number of the file system's type: 32 bits of a C type that differs between platforms.
fn magic(path: &Path) -> io::Result<u64> {
    let number = i128::from(statfs(path)?.f_type) & 0xffff_ffff;
    Ok(u64::try_from(number).expect("32 bits are left"))
}

pub(super) fn findings(path: &Path, facts: &FileSystem) -> Vec<Finding> {
    let path = path.display();
    let (kind, name) = (facts.kind(), if facts.name.is_empty() { "unknown" } else { &facts.name });
    let finding = |severity, problem: String, advice: String| {
        Finding::new(severity, Check::FileSystem, format!("the data directory {path} is {problem}"), advice)
    };
    let of_kind = match kind {
        Kind::Local => None,
        Kind::Remote => Some((
            format!("on a network or shared file system ({name})"),
            "move it to a disk of this machine: elsewhere a lock may not keep a second server out, and a write may be \
             lost after it was answered"
                .to_owned(),
        )),
        Kind::Overlay => Some((
            format!("on the layer of a container ({name}), which is removed with the container"),
            format!("mount a volume at {path}"),
        )),
        Kind::Memory => {
            Some((format!("in memory ({name}): a restart of the machine loses it"), "move it to a disk".to_owned()))
        }
    };
    let of_kind = of_kind.map(|(problem, advice)| finding(Severity::Warning, problem, advice));
    let read_only = facts.is_read_only.then(|| {
        finding(
            Severity::Error,
            "on a file system that is mounted read-only".to_owned(),
            "mount it for writing".to_owned(),
        )
    });
    of_kind.into_iter().chain(read_only).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file_system(magic: u64, name: &str) -> FileSystem {
        FileSystem { magic, name: name.to_owned(), is_read_only: false }
    }

    fn problems(facts: &FileSystem) -> Vec<(Severity, String)> {
        let findings = findings(Path::new("/data"), facts);
        findings.into_iter().map(|finding| (finding.severity, finding.problem)).collect()
    }

    #[test]
    fn file_systems_on_a_disk_are_sound() {
        for (magic, name) in
            [(0xef53, "ext4"), (0x5846_5342, "xfs"), (0x9123_683e, "btrfs"), (0x6573_5546, "fuseblk"), (1, "")]
        {
            assert_eq!(problems(&file_system(magic, name)), [], "{name}");
        }
    }

    #[test]
    fn network_and_shared_file_systems_are_warned_of_by_name() {
        for (magic, name) in [
            (0x6969, "nfs4"),
            (0xff53_4d42, "cifs"),
            (0xfe53_4d42, "smb3"),
            (0x0102_1997, "9p"),
            (0x00c3_6400, "ceph"),
            (0x6573_5546, "fuse.sshfs"),
            (0x6573_5546, "virtiofs"),
            (0x6573_5546, ""),
        ] {
            let named = if name.is_empty() { "unknown" } else { name };
            let problem = format!("the data directory /data is on a network or shared file system ({named})");
            assert_eq!(problems(&file_system(magic, name)), [(Severity::Warning, problem)]);
        }
    }

    #[test]
    fn a_containers_layer_and_memory_are_warned_of() {
        let overlay =
            "the data directory /data is on the layer of a container (overlay), which is removed with the container";
        let memory = "the data directory /data is in memory (tmpfs): a restart of the machine loses it";
        assert_eq!(problems(&file_system(0x794c_7630, "overlay")), [(Severity::Warning, overlay.to_owned())]);
        assert_eq!(problems(&file_system(0x0102_1994, "tmpfs")), [(Severity::Warning, memory.to_owned())]);
    }

    #[test]
    fn a_read_only_file_system_is_an_error() {
        let facts = FileSystem { is_read_only: true, ..file_system(0xef53, "ext4") };
        let problem = "the data directory /data is on a file system that is mounted read-only";
        assert_eq!(problems(&facts), [(Severity::Error, problem.to_owned())]);
    }

    #[test]
    fn a_directory_that_does_not_exist_yet_is_judged_by_the_nearest_above_it() {
        let place = tempfile::tempdir().unwrap();
        let canonical = fs::canonicalize(place.path()).unwrap();

        assert_eq!(existing(&place.path().join("a/b")).unwrap(), canonical);
    }
}
