//! The disk fails one call, and every such call after it.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, File},
    io::{BufRead, BufReader},
    net::SocketAddr,
    panic,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    disks::{
        disk::{find, is_equipped},
        writer::{FAILED, WriteOutcome, Writer, stored},
    },
    harness::{Client, Server, pause, repetitions},
};

const CALLS: [&str; 4] = ["pwrite64", "fdatasync", "fsync", "ftruncate"];
const ERRORS: [&str; 2] = ["EIO", "ENOSPC"];
/// From which call of each thread on they fail.
const MOMENTS: [usize; 10] = [1, 2, 3, 5, 8, 13, 20, 30, 45, 60];
const WRITERS: [&str; 4] = ["ann", "bob", "cid", "dot"];
/// How much each writer writes at most, whether anything fails or not.
const MAX_WRITES: usize = 100;
/// How many samples are tried unless `LODGE_TEST_FAULTS` says otherwise.
const FAULTS: usize = 12;
/// How many servers are tried at the same time.
const LANES: usize = 3;
/// How long the server may take to end.
const TIMEOUT: Duration = Duration::from_secs(20);
/// The exit codes of a server whose directory cannot be used, whose store is not sound, whose secret
/// cannot be kept, and whose storage has failed.
const AT_THE_START: [i32; 4] = [10, 12, 13, 15];
const STORAGE_FAILED: i32 = 15;

/// From which write of each thread on they are held before they fail, for longer than a commit takes.
const HELD: [usize; 4] = [5, 13, 20, 30];

/// What fails, from when on, whether it is held before, and whether the store is a new one.
#[derive(Clone, Copy)]
struct Sample {
    call: &'static str,
    error: &'static str,
    from: usize,
    is_held: bool,
    is_new: bool,
}

/// How a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    /// The server did not start.
    AtTheStart,
    /// A write was refused, and the server ended.
    WhileServing,
    /// The call was never made that often, or only at the end.
    NotReached,
}

#[test]
fn after_the_first_failure_of_the_disk_nothing_is_acknowledged_and_nothing_acknowledged_is_lost() {
    if !is_equipped("failing disks", &["strace"]) {
        return;
    }
    let (next, acknowledged) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (ends, wrong) = (Mutex::new(BTreeMap::new()), Mutex::new(Vec::new()));
    let samples = samples();

    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                while let Some(sample) = samples.get(next.fetch_add(1, Ordering::SeqCst)) {
                    // One that goes wrong leaves the others to be tried; what was wrong is printed where it was found.
                    let Ok((end, count)) = panic::catch_unwind(|| Trial::new().try_out(*sample)) else {
                        wrong.lock().unwrap().push(sample.to_string());
                        continue;
                    };
                    acknowledged.fetch_add(count, Ordering::SeqCst);
                    *ends.lock().unwrap().entry(end).or_insert(0) += 1;
                }
            });
        }
    });

    let (acknowledged, ends) = (acknowledged.into_inner(), ends.into_inner().unwrap());
    let wrong = wrong.into_inner().unwrap();
    let tried = samples.len();
    eprintln!("{tried} failing disks: {ends:?}, {} went wrong, {acknowledged} writes acknowledged", wrong.len());
    assert_eq!(wrong, Vec::<String>::new());
    assert!(ends.get(&End::WhileServing).is_some_and(|count: &usize| *count >= tried / 4), "{ends:?}");
}

/// As many samples as are wanted, evenly spread over all.
fn samples() -> Vec<Sample> {
    let wanted = repetitions("LODGE_TEST_FAULTS", FAULTS);
    let all = all_samples();
    let step = all.len().div_ceil(wanted.max(1));
    all.into_iter().step_by(step).collect()
}

/// All samples; every other one has a new store.
fn all_samples() -> Vec<Sample> {
    let held = |from| Sample { call: "pwrite64", error: "EIO", from, is_held: true, is_new: false };
    let mut samples = HELD.map(held).to_vec();
    for call in CALLS {
        for error in ERRORS {
            for (position, from) in MOMENTS.into_iter().enumerate() {
                let is_new = position % 2 == usize::from(error == "EIO");
                samples.push(Sample { call, error, from, is_held: false, is_new });
            }
        }
    }
    samples
}

/// A server that is started on a directory of its own, with failing calls and without.
struct Trial {
    server: Server,
    admin: Client,
}

impl Trial {
    fn new() -> Self {
        let mut server = Server::start();
        server.kill();
        let data_dir = server.directory().join("sample");
        server.set_variable("LODGE_DATA_DIR", data_dir.to_str().unwrap());
        server.set_variable("LODGE_DISK_RESERVE", "0B");
        server.set_variable("LODGE_LOG", "lodge::request=off,info");
        Self { admin: server.admin(), server }
    }

    /// The administrator at that address.
    fn client(&self, address: SocketAddr) -> Client {
        let mut client = self.admin.clone();
        client.address = address;
        client
    }

    fn try_out(mut self, sample: Sample) -> (End, usize) {
        if !sample.is_new {
            self.server.start_again();
            self.client(self.server.address).get("/users/me").expect(200);
            assert!(self.server.stop().success(), "{}", self.server.log());
        }
        let mut writers = WRITERS.map(Writer::new);
        let (end, acknowledged) = self.write_while_failing(sample, &mut writers);

        self.server.start_again();
        let stored = stored(&self.client(self.server.address));
        let lost: Vec<_> = writers.iter_mut().flat_map(|writer| writer.settle(&stored)).collect();
        assert!(lost.is_empty(), "{sample}, {acknowledged} acknowledged, {} lost: {lost:#?}", lost.len());
        assert!(self.server.stop().success(), "{sample}: {}", self.server.log());
        (end, acknowledged)
    }

    fn write_while_failing(&self, sample: Sample, writers: &mut [Writer]) -> (End, usize) {
        let mut failing = Failing::start(&self.server, sample);
        let Some(address) = failing.address else {
            let code = failing.wait();
            assert!(code.is_some_and(|code| AT_THE_START.contains(&code)), "{sample}: {code:?} {}", failing.log());
            return (End::AtTheStart, 0);
        };
        let (has_failed, acknowledged) = write_all(&self.client(address), sample, writers);
        if !has_failed {
            failing.stop();
        }
        let code = failing.wait();
        let is_right = code == Some(STORAGE_FAILED) || (!has_failed && code == Some(0));
        assert!(is_right, "{sample}: {code:?} {}", failing.log());
        (if has_failed { End::WhileServing } else { End::NotReached }, acknowledged)
    }
}

/// All write at once until the server stops answering or they have written enough; returns whether the storage has failed, and how
/// many writes were acknowledged.
fn write_all(admin: &Client, sample: Sample, writers: &mut [Writer]) -> (bool, usize) {
    let (has_failed, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for writer in writers {
            scope.spawn(|| {
                for _ in 0..MAX_WRITES {
                    let is_late = has_failed.load(Ordering::SeqCst);
                    match writer.write(admin) {
                        WriteOutcome::Acknowledged => {
                            assert!(!is_late, "{sample}: acknowledged after the storage had failed");
                            acknowledged.fetch_add(1, Ordering::SeqCst);
                        }
                        WriteOutcome::Refused(reply) => {
                            let outcome = (reply.status, reply.json()["error"].as_str().map(str::to_owned));
                            assert_eq!(outcome, (503, Some(FAILED.to_owned())), "{sample}");
                            has_failed.store(true, Ordering::SeqCst);
                        }
                        // The server ends by itself only because its storage has failed.
                        WriteOutcome::Unanswered => return has_failed.store(true, Ordering::SeqCst),
                    }
                }
            });
        }
    });
    (has_failed.into_inner(), acknowledged.into_inner())
}

/// A server whose calls fail. It is killed when this is dropped.
struct Failing {
    child: Child,
    address: Option<SocketAddr>,
    log: PathBuf,
}

impl Failing {
    fn start(server: &Server, sample: Sample) -> Self {
        let log = server.directory().join("failing-log");
        let plain = server.command(&["serve"]);
        let mut command = Command::new(find("strace").unwrap());
        // -D makes the server, not its tracer, the child of this process.
        command.args(["-D", "-f", "--seccomp-bpf", "-qq", "-o", "/dev/null"]);
        command.args(["-e", &format!("trace={}", sample.call), "-e", &sample.injection()]);
        command.arg(plain.get_program()).args(plain.get_args()).env_clear().current_dir(server.directory());
        command.envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let mut child = command.stdout(Stdio::piped()).stderr(File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().rsplit_once("//").and_then(|(_, address)| address.parse().ok());
        Self { child, address, log }
    }

    fn stop(&self) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
    }

    /// Its exit code, once it has ended.
    fn wait(&mut self) -> Option<i32> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(Instant::now() < deadline, "the server does not end: {}", self.log());
            pause();
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Failing {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Sample {
    fn injection(self) -> String {
        let held = if self.is_held { ":delay_enter=1500000" } else { "" };
        format!("inject={}:error={}:when={}+{held}", self.call, self.error, self.from)
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on a {} store", self.injection(), if self.is_new { "new" } else { "used" })
    }
}
