//! The memory that this process may use: that of the machine, within the limits of its control groups.
//!
//! Control groups nest, and each level may have a limit; both versions of them may be mounted at once. See
//! `cgroups(7)`.

use std::{
    fs,
    path::{Component, Path, PathBuf},
};

/// The lowest of the machine's memory and the limits of the process's control groups, in bytes; `None` if none is
/// known.
#[must_use]
pub fn memory_limit() -> Option<u64> {
    memory_limit_below(Path::new("/"))
}

/// The same, read below another root directory.
fn memory_limit_below(root: &Path) -> Option<u64> {
    let groups = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
    let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let hierarchies = mounts.lines().filter_map(Hierarchy::read);
    let of_groups = hierarchies.filter_map(|hierarchy| hierarchy.limit(root, groups.lines()));
    of_groups.chain(machine_memory(root)).min()
}

fn machine_memory(root: &Path) -> Option<u64> {
    let facts = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let total = facts.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    total.trim().strip_suffix(" kB")?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A mounted hierarchy of control groups that may limit memory.
struct Hierarchy {
    /// The group that is mounted there.
    mounted_group: PathBuf,
    mount_point: PathBuf,
    is_version_2: bool,
}

impl Hierarchy {
    /// Reads a line of `/proc/self/mountinfo`.
    fn read(line: &str) -> Option<Self> {
        let (mount, file_system) = line.split_once(" - ")?;
        let mut fields = mount.split(' ').skip(3);
        let (mounted_group, mount_point) = (fields.next()?.into(), fields.next()?.into());
        let mut fields = file_system.split(' ');
        let (kind, options) = (fields.next()?, fields.nth(1).unwrap_or_default());
        let is_version_2 = kind == "cgroup2";
        let limits_memory = is_version_2 || (kind == "cgroup" && options.split(',').any(|option| option == "memory"));
        limits_memory.then_some(Self { mounted_group, mount_point, is_version_2 })
    }

    /// The lowest limit from the process's group up to the mounted one.
    fn limit<'a>(&self, root: &Path, groups: impl Iterator<Item = &'a str>) -> Option<u64> {
        let file = if self.is_version_2 { "memory.max" } else { "memory.limit_in_bytes" };
        let mount_point = self.mount_point.strip_prefix("/").unwrap_or(&self.mount_point);
        let levels = self.levels(groups);
        let limits = levels.iter().filter_map(|level| {
            let text = fs::read_to_string(root.join(mount_point).join(level).join(file)).ok()?;
            // `max` is no number, and no limit.
            text.trim().parse().ok()
        });
        limits.min()
    }

    /// The process's group and its parents, as paths below the mount point.
    fn levels<'a>(&self, mut groups: impl Iterator<Item = &'a str>) -> Vec<PathBuf> {
        let group = groups.find_map(|line| self.group(line)).unwrap_or_default();
        let below = Path::new(group).strip_prefix(&self.mounted_group).unwrap_or(Path::new(""));
        // A group outside of the namespace is shown as `/..`; its limits cannot be read.
        let is_visible = below.components().all(|component| matches!(component, Component::Normal(_)));
        let below = if is_visible { below } else { Path::new("") };
        below.ancestors().map(Path::to_owned).collect()
    }

    /// The process's group, if the line of `/proc/self/cgroup` is about this hierarchy.
    fn group<'a>(&self, line: &'a str) -> Option<&'a str> {
        let (_, rest) = line.split_once(':')?;
        let (controllers, group) = rest.split_once(':')?;
        let is_this = if self.is_version_2 {
            controllers.is_empty()
        } else {
            controllers.split(',').any(|name| name == "memory")
        };
        is_this.then_some(group)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    /// The limit on a machine with 2 GiB whose files are these.
    fn limit(files: &[(&str, &str)]) -> Option<u64> {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in [("proc/meminfo", "MemFree: 1 kB\nMemTotal:        2097152 kB\n")].iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        memory_limit_below(root.path()).map(|bytes| bytes / MIB)
    }

    const VERSION_2: (&str, &str) =
        ("proc/self/mountinfo", "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n");
    const VERSION_1: (&str, &str) = (
        "proc/self/mountinfo",
        "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
         36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
         37 31 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n\
         41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
    );

    #[test]
    fn without_control_groups_the_machines_memory_is_the_limit() {
        assert_eq!(limit(&[]), Some(2048));
        assert_eq!(
            limit(&[VERSION_2, ("proc/self/cgroup", "0::/a\n"), ("sys/fs/cgroup/a/memory.max", "max\n")]),
            Some(2048)
        );
        assert_eq!(memory_limit_below(Path::new("/nowhere")), None);
    }

    #[test]
    fn in_version_2_the_lowest_of_the_nested_groups_counts() {
        let group = ("proc/self/cgroup", "0::/kube/pod/container\n");
        let inner = ("sys/fs/cgroup/kube/pod/container/memory.max", "230686720\n");
        let outer = |text| ("sys/fs/cgroup/kube/memory.max", text);
        assert_eq!(limit(&[VERSION_2, group, inner, outer("max\n")]), Some(220));
        assert_eq!(limit(&[VERSION_2, group, inner, outer("104857600\n")]), Some(100));
        assert_eq!(limit(&[VERSION_2, group, ("sys/fs/cgroup/kube/other/memory.max", "1048576\n")]), Some(2048));
    }

    #[test]
    fn in_a_namespace_the_groups_own_root_is_mounted() {
        let own = ("sys/fs/cgroup/memory.max", "230686720\n");
        assert_eq!(limit(&[VERSION_2, ("proc/self/cgroup", "0::/\n"), own]), Some(220));
        assert_eq!(limit(&[VERSION_2, ("proc/self/cgroup", "0::/../../other\n"), own]), Some(220));
        let mounted =
            ("proc/self/mountinfo", "37 31 0:34 /docker/7f /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
        let limited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "230686720\n");
        assert_eq!(limit(&[mounted, ("proc/self/cgroup", "4:memory:/docker/7f\n"), limited]), Some(220));
    }

    #[test]
    fn in_version_1_and_where_both_are_mounted_the_memory_controller_counts() {
        let groups = ("proc/self/cgroup", "9:name=systemd:/s\n5:cpu,cpuacct:/c\n4:memory:/a/b\n0::/s\n");
        let unlimited = ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
        let limited = ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "230686720\n");
        assert_eq!(limit(&[VERSION_1, groups, unlimited, limited]), Some(220));
        assert_eq!(limit(&[VERSION_1, groups, unlimited]), Some(2048));
    }
}
