//! Disks of the test's own, which are gone with it.

use std::{
    env,
    ffi::OsStr,
    fs::File,
    path::{Path, PathBuf},
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use tempfile::TempDir;

use crate::harness::is_possible;

/// How large an image is; of its room only what is written is used. XFS takes no less than 300 MiB.
const IMAGE_BYTES: u64 = 512 << 20;

/// The kind of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Ext4,
    Xfs,
}

/// A file system that is mounted until this is dropped.
pub struct Disk {
    directory: TempDir,
    /// What is mounted, with the options for it.
    mounting: Vec<String>,
    is_cut: AtomicBool,
}

impl Disk {
    /// An empty file system in an image.
    pub fn image(kind: Kind) -> Self {
        let directory = TempDir::new().unwrap();
        let image = directory.path().join("image");
        File::create(&image).unwrap().set_len(IMAGE_BYTES).unwrap();
        match kind {
            Kind::Ext4 => run("mkfs.ext4", [OsStr::new("-q"), image.as_os_str()]),
            Kind::Xfs => run("mkfs.xfs", [OsStr::new("-q"), OsStr::new("-f"), image.as_os_str()]),
        }
        Self::mounted(directory, &["-o", "loop", image.to_str().unwrap()])
    }

    /// An empty file system in memory.
    pub fn memory(bytes: u64) -> Self {
        Self::mounted(TempDir::new().unwrap(), &["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
    }

    fn mounted(directory: TempDir, mounting: &[&str]) -> Self {
        std::fs::create_dir(directory.path().join("mount")).unwrap();
        let disk = Self {
            directory,
            mounting: mounting.iter().map(ToString::to_string).collect(),
            is_cut: AtomicBool::new(false),
        };
        disk.mount();
        disk
    }

    /// Where it is mounted.
    pub fn path(&self) -> PathBuf {
        self.directory.path().join("mount")
    }

    /// Lets nothing more reach the disk, neither data nor what the file system's journal holds in memory.
    pub fn cut_power(&self) {
        self.is_cut.store(true, Ordering::SeqCst);
        run("xfs_io", [OsStr::new("-x"), OsStr::new("-c"), OsStr::new("shutdown"), self.path().as_os_str()]);
    }

    /// Whether the power has begun to go. What is acknowledged from then on does not count: without power nobody would
    /// hear it, but while a shutdown takes effect a sync may still be said to be done.
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Ordering::SeqCst)
    }

    /// Brings the disk back as it is after the power returns.
    pub fn restore_power(&self) {
        run("umount", [self.path()]);
        self.mount();
        self.is_cut.store(false, Ordering::SeqCst);
    }

    fn mount(&self) {
        let path = self.path();
        run("mount", self.mounting.iter().map(AsRef::as_ref).chain([path.as_os_str()]));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let unmount = |flag: &[&str]| Command::new("umount").args(flag).arg(self.path()).output();
        if !unmount(&[]).is_ok_and(|output| output.status.success()) {
            let _ = unmount(&["-l"]);
        }
    }
}

/// Whether a test that needs root, mounts and these tools can be done here; prints what is left out.
///
/// # Panics
/// If it cannot and `LODGE_TEST_EVERYTHING` is set.
pub fn is_equipped(test: &str, tools: &[&str]) -> bool {
    is_possible(test, what_is_missing(tools).as_deref())
}

fn what_is_missing(tools: &[&str]) -> Option<String> {
    if !rustix::process::geteuid().is_root() {
        return Some("this is not root".to_owned());
    }
    if let Some(tool) = tools.iter().find(|tool| find(tool).is_none()) {
        return Some(format!("`{tool}` is not here"));
    }
    let directory = TempDir::new().unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(directory.path()).output();
    if !mounted.is_ok_and(|output| output.status.success()) {
        return Some("nothing can be mounted".to_owned());
    }
    run("umount", [directory.path()]);
    None
}

/// Where a tool is.
pub fn find(tool: &str) -> Option<PathBuf> {
    env::split_paths(&env::var_os("PATH")?).map(|directory| directory.join(tool)).find(|path| path.is_file())
}

fn run(tool: &str, arguments: impl IntoIterator<Item = impl AsRef<OsStr>>) {
    let mut command = Command::new(tool);
    let output = command.args(arguments).output().unwrap_or_else(|error| panic!("{tool}: {error}"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Removes a directory that may not be there.
pub fn remove(directory: &Path) {
    if directory.exists() {
        std::fs::remove_dir_all(directory).unwrap();
    }
}
