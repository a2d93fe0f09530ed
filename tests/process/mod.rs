//! The server as a process: signals, outputs that are not read, closed or full, memory, sockets.

mod memory;
mod passed_sockets;
mod service_manager;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc::channel,
    thread,
    time::Duration,
};

use crate::harness::{self, Server, ServerBuilder, compile_preloaded};
use rustix::process::{Pid, Signal, kill_process};

/// More requests than a pipe of 64 KiB and the queue of 1 MiB hold lines for.
const REQUESTS: usize = 15_000;

/// How long the server may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

const HEALTH: (&str, &str) = ("/healthz", r#"{"status":"alive"}"#);
const READINESS: (&str, &str) = ("/readyz", r#"{"status":"ready"}"#);

#[test]
fn a_log_that_nobody_reads_stops_no_request_and_counts_what_it_dropped() {
    let (log, writer) = std::io::pipe().unwrap();
    let builder = ServerBuilder::new();
    let mut server = Running::start(builder.command(&["serve"]).stdout(Stdio::piped()).stderr(writer));
    let mut connection = TcpStream::connect(server.address()).unwrap();
    for _ in 0..REQUESTS {
        ask(&mut connection, HEALTH);
    }
    ask(&mut connection, READINESS);

    let (read, lines) = channel();
    let reader = thread::spawn(move || {
        BufReader::new(log).lines().map_while(Result::ok).for_each(|line| read.send(line).unwrap());
    });
    // The number comes as soon as there is room again, and the log goes on after it.
    let mut seen = Vec::new();
    let mut read_until = |is_last: &dyn Fn(&str) -> bool| {
        while !seen.last().is_some_and(|line: &String| is_last(line)) {
            seen.push(lines.recv_timeout(TIMEOUT).expect("the line comes"));
        }
    };
    read_until(&|line| dropped(line).is_some());
    ask(&mut connection, READINESS);
    read_until(&|line| line.contains(" route=/readyz "));
    server.stop();
    reader.join().unwrap();

    seen.extend(lines);
    let count: usize = seen.iter().filter_map(|line| dropped(line)).sum();
    let written = seen.iter().filter(|line| line.contains(" route=/healthz ")).count();
    assert!(count > 0 && written > 0 && written + count > REQUESTS, "{written} written, {count} dropped");
}

#[test]
fn commands_end_with_their_own_code_on_a_closed_or_full_standard_output() {
    let mut server = Server::start();
    let backup = server.directory().join("accounts.backup").display().to_string();
    let on_each = |server: &Server, verb: &[&str], code| {
        for output in [closed(), full()] {
            let status = server.command(verb).stdout(output).stderr(Stdio::null()).status().unwrap();
            assert_eq!(status.code(), Some(code), "{verb:?}");
        }
    };

    for verb in [&["locks"][..], &["verify"], &["backup", &backup], &["--help"], &["serve", "--help"]] {
        on_each(&server, verb, 0);
    }
    assert!(server.stop().success());
    let secret = std::fs::read(server.data_dir().join("secret")).unwrap();
    for verb in [&["verify"][..], &["backup", &backup], &["restore", &backup], &["secret", "rotate", "--yes"]] {
        on_each(&server, verb, 0);
    }
    assert_ne!(std::fs::read(server.data_dir().join("secret")).unwrap(), secret, "the secret was rotated");
    on_each(&server, &["secret", "rotate"], 1);
}

#[test]
fn a_server_whose_standard_output_is_closed_serves() {
    let builder = ServerBuilder::new();
    let mut command: Command = builder.command(&["serve"]);
    let mut server = Running::start(command.stdout(closed()).stderr(Stdio::null()));
    let is_ready = || builder.command(&["verify"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    while !builder.data_dir().join("lodge.sock").exists() {
        assert_eq!(server.0.try_wait().unwrap(), None, "the server has ended");
    }

    assert!(is_ready().success());

    assert!(server.stop().success());
}

#[test]
fn signals_without_a_meaning_are_ignored() {
    let mut server = Server::start();
    let ignored = [Signal::USR1, Signal::USR2, Signal::ALARM, Signal::VTALARM, Signal::PROF, Signal::IO];
    for signal in ignored.into_iter().chain([Signal::POWER, Signal::STKFLT, Signal::XFSZ, Signal::HUP]) {
        server.signal(signal);
        server.admin().get("/users/me").expect(200);
    }
    // Those for real-time, which have no names.
    for number in [34, 49, 64] {
        let sent = Command::new("sh").args(["-c", &format!("kill -{number} {}", server.pid())]).status().unwrap();
        assert!(sent.success());
        server.admin().get("/users/me").expect(200);
    }

    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_server_that_may_have_no_unix_socket_serves_and_says_so() {
    let builder = ServerBuilder::new();
    let library = compile_preloaded("no_unix_sockets.c", builder.data_dir().parent().unwrap());
    let mut server = builder.variable("LD_PRELOAD", library.to_str().unwrap()).start();

    server.user("ann").get("/users/me").expect(200);

    server.wait_for_log("allows no Unix socket in ");
    assert_eq!(server.stop().code(), Some(0));
}

#[test]
fn a_start_that_is_asked_to_stop_ends_in_order_and_the_next_one_serves() {
    let builder = ServerBuilder::new().variable("LODGE_SCRYPT_COST", "18");
    let mut start = Running::start(builder.command(&["serve"]).stdout(Stdio::piped()).stderr(Stdio::null()));
    while !builder.data_dir().join("store").exists() {
        assert_eq!(start.0.try_wait().unwrap(), None, "the start has ended");
    }

    assert_eq!(start.stop().code(), Some(0));
    let mut printed = String::new();
    start.0.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
    assert_eq!(printed, "", "it never listens");
    builder.variable("LODGE_SCRYPT_COST", "10").start().admin().get("/users").expect(200);
}

#[test]
fn a_second_request_to_stop_waits_for_no_running_request() {
    let server = ServerBuilder::new().flag("--body-deadline", "10m").start();
    let mut running = TcpStream::connect(server.address).unwrap();
    let authorization = harness::basic("admin", harness::ADMIN_PASSWORD);
    begin_request(&mut running, &format!("Authorization: {authorization}\r\n"));

    assert_second_request_stops(server);
}

#[test]
fn a_second_request_to_stop_waits_for_no_running_request_on_the_local_socket() {
    let server = ServerBuilder::new().flag("--body-deadline", "10m").start();
    let mut running = UnixStream::connect(server.socket()).unwrap();
    begin_request(&mut running, "");

    assert_second_request_stops(server);
}

/// Begins a request with a body, which the server then waits for.
fn begin_request(connection: &mut (impl Read + Write), headers: &str) {
    let head = format!(
        "POST /api/v2/users HTTP/1.1\r\nHost: lodge\r\n{headers}\
         Content-Type: application/json\r\nContent-Length: 100\r\nExpect: 100-continue\r\n\r\n"
    );
    connection.write_all(head.as_bytes()).unwrap();
    connection.read_exact(&mut [0; 12]).unwrap();
}

fn assert_second_request_stops(mut server: Server) {
    server.signal(Signal::TERM);
    server.wait_for_log("stopping: ");
    server.signal(Signal::INT);

    assert_eq!(server.wait().code(), Some(0));
    assert!(server.log().contains("stop requested a second time"), "{}", server.log());
}

/// A server with outputs of its own. It is killed when this is dropped.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Self {
        Self(command.spawn().unwrap())
    }

    /// Where the server listens, from what it prints.
    fn address(&mut self) -> String {
        let lines = BufReader::new(self.0.stdout.take().unwrap()).lines();
        let listening = lines.map_while(Result::ok).find(|line| line.starts_with("lodge is listening")).unwrap();
        listening.split_once("//").unwrap().1.to_owned()
    }

    /// Asks the server to stop, and waits until it has.
    fn stop(&mut self) -> ExitStatus {
        let pid = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(pid, Signal::TERM).unwrap();
        self.0.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks at that path once, on a connection that is kept, until that answer has come.
fn ask(connection: &mut TcpStream, (path, answer): (&str, &str)) {
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection.write_all(format!("GET {path} HTTP/1.1\r\nHost: lodge\r\n\r\n").as_bytes()).unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(answer.as_bytes()) {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection was closed");
        reply.extend_from_slice(&bytes[..length]);
    }
}

/// How many dropped lines this line reports.
fn dropped(line: &str) -> Option<usize> {
    line.split_once(" dropped ")?.1.split(' ').next()?.parse().ok()
}

/// A pipe whose reader has gone.
fn closed() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A device that is always full.
fn full() -> Stdio {
    File::options().write(true).open("/dev/full").unwrap().into()
}
