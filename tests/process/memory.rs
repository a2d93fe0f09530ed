//! How much a start takes of the memory and of the cores that its control groups allow.

use std::{
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    thread,
};

use tempfile::TempDir;

use crate::{disks::disk::is_equipped, harness::ServerBuilder, process::Running};

/// What the server sees: its control groups, the mounts, and the files below `/sys/fs/cgroup`.
struct Machine {
    directory: TempDir,
}

const VERSION_2: &str = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
const VERSION_1: &str = "\
    36 31 0:33 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
    37 31 0:34 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

impl Machine {
    fn new(group: &str, mounts: &str, files: &[(&str, &str)]) -> Self {
        let machine = Self { directory: TempDir::new().unwrap() };
        fs::create_dir(machine.path("groups")).unwrap();
        fs::write(machine.path("group"), group).unwrap();
        fs::write(machine.path("mounts"), mounts).unwrap();
        for (name, text) in files {
            let path = machine.path("groups").join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        machine
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A command that serves there.
    fn serve(&self, builder: &ServerBuilder) -> Command {
        // The shell's process becomes the server's, so that its own files in /proc are covered.
        const SCRIPT: &str = "mount --bind groups /sys/fs/cgroup && mount --bind group /proc/$$/cgroup && \
             mount --bind mounts /proc/$$/mountinfo && exec \"$@\"";
        let plain = builder.command(&["serve"]);
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", SCRIPT, "sh"]);
        command.arg(plain.get_program()).args(plain.get_args()).current_dir(self.directory.path());
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command
    }
}

/// Machines with that limit on memory: of the process's own group, of one around it, and of a group of version 1.
fn machines(bytes: &str) -> [Machine; 3] {
    [
        Machine::new("0::/pod\n", VERSION_2, &[("pod/memory.max", bytes)]),
        Machine::new("0::/pod/inner\n", VERSION_2, &[("pod/memory.max", bytes), ("pod/inner/memory.max", "max\n")]),
        Machine::new("4:memory:/pod\n0::/\n", VERSION_1, &[("memory/pod/memory.limit_in_bytes", bytes)]),
    ]
}

fn builder() -> ServerBuilder {
    // The hash at its default cost takes 128 MiB.
    ServerBuilder::new().without_variable("LODGE_SCRYPT_COST").variable("LODGE_THROTTLE_AFTER", "0")
}

#[test]
fn a_group_with_too_little_memory_for_one_hash_is_refused_with_what_would_fit() {
    if !is_equipped("control groups", &["mount", "unshare"]) {
        return;
    }
    for machine in machines("104857600\n") {
        let builder = builder();
        // A server that starts all the same ends because its address is in use.
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut command = machine.serve(&builder);
        let output = command.env("LODGE_LISTEN", taken.local_addr().unwrap().to_string()).output().unwrap();

        assert_refused(&output);
        assert!(!builder.data_dir().exists(), "nothing is opened");
    }
}

fn assert_refused(output: &Output) {
    let report = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{report}");
    let sentence = "lodge: 100.0 MiB of memory are not enough: the server takes 201.0 MiB, of which one password hash \
                    128.0 MiB; give it as much, or set --scrypt-cost 14 before the first start\n";
    assert_eq!(report, sentence);
}

#[test]
fn as_many_passwords_are_hashed_at_once_as_the_group_has_memory_and_cores_for() {
    if !is_equipped("control groups", &["mount", "unshare"]) {
        return;
    }
    let cores = thread::available_parallelism().unwrap().get();
    let quota = Machine::new(
        "0::/pod\n",
        VERSION_2,
        &[("pod/cgroup.controllers", "cpu memory\n"), ("pod/cpu.max", "100000 100000\n"), ("pod/memory.max", "max\n")],
    );
    let older_quota = Machine::new(
        "5:cpu,cpuacct:/pod\n4:memory:/pod\n",
        VERSION_1,
        &[("cpu,cpuacct/pod/cpu.cfs_quota_us", "100000\n"), ("cpu,cpuacct/pod/cpu.cfs_period_us", "100000\n")],
    );
    let [limited, nested, older] = machines("230686720\n");
    let [unlimited, ..] = machines("max\n");

    for machine in [limited, nested, older, quota, older_quota] {
        assert_eq!(hashers(&machine), 1, "{}", machine.path("groups").display());
    }
    assert_eq!(hashers(&unlimited), cores);
}

/// How many threads hash passwords in a server there.
fn hashers(machine: &Machine) -> usize {
    let builder = builder().variable("LODGE_SCRYPT_COST", "17").variable("LODGE_LOG", "off");
    let mut command = machine.serve(&builder);
    let mut server = Running::start(command.stdout(Stdio::piped()).stderr(Stdio::null()));
    server.address();
    let threads = fs::read_dir(Path::new("/proc").join(server.0.id().to_string()).join("task")).unwrap();
    let names = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("comm")).unwrap());
    let hashers = names.filter(|name| name.trim() == "hasher").count();
    assert!(server.stop().success());
    hashers
}
