//! Whose users the system's users are, in a container.

use std::{env, path::Path};

use super::{Check, Finding, Severity, mounts::mount_of};

/// Whether this process is in a container, and whose users it lists.
#[derive(Clone, Copy, Debug)]
pub(super) struct Container {
    is_container: bool,
    /// Whether `/etc/passwd` is mounted from elsewhere.
    has_mounted_users: bool,
}

impl Container {
    pub(super) fn observe(mounts: &str) -> Self {
        let marked = ["/.dockerenv", "/run/.containerenv"].iter().any(|file| Path::new(file).exists());
        // Set by systemd-nspawn, Podman and others; by Kubernetes.
        let named = ["container", "KUBERNETES_SERVICE_HOST"].iter().any(|name| env::var_os(name).is_some());
        Self { is_container: marked || named, has_mounted_users: has_mounted_users(mounts) }
    }
}

fn has_mounted_users(mounts: &str) -> bool {
    let mount = mount_of(mounts, Path::new("/etc/passwd"));
    mount.is_some_and(|mount| mount.point != Path::new("/"))
}

pub(super) fn findings(container: Container) -> Vec<Finding> {
    if !container.is_container || container.has_mounted_users {
        return Vec::new();
    }
    let problem = "the system users are those of this container's own /etc/passwd, not the host's";
    let advice = "mount the host's /etc/passwd and /etc/group read-only, if accounts are to represent the host's users";
    vec![Finding::new(Severity::Note, Check::SystemUsers, problem, advice)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_that_lists_its_own_users_is_a_note() {
        let severities = |is_container, has_mounted_users| {
            let found = findings(Container { is_container, has_mounted_users });
            found.into_iter().map(|finding| finding.severity).collect::<Vec<_>>()
        };

        assert_eq!(severities(true, false), [Severity::Note]);
        assert_eq!([severities(true, true), severities(false, false)], [vec![], vec![]]);
    }

    #[test]
    fn users_are_the_hosts_where_their_file_or_its_directory_is_mounted() {
        let root = "22 1 0:40 / / rw - overlay overlay rw\n";
        let with = |point: &str| has_mounted_users(&format!("{root}30 22 8:1 / {point} ro - ext4 /dev/sda1 rw\n"));

        assert_eq!(["/etc/passwd", "/etc", "/etc/hosts", "/data"].map(with), [true, true, false, false]);
        assert!(!has_mounted_users(root));
    }
}
