//! Outputs that nobody reads, that are closed or that are full stop neither the server nor a command.

#[allow(dead_code, unused_imports, reason = "each test binary uses its part of the harness")]
#[path = "http/harness/mod.rs"]
mod harness;

use std::{
    fs::File,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    thread,
};

use harness::{Server, ServerBuilder};
use rustix::process::{Pid, Signal, kill_process};

/// More requests than a pipe of 64 KiB and the queue of 1 MiB hold lines for.
const REQUESTS: usize = 15_000;

#[test]
fn a_log_that_nobody_reads_stops_no_request_and_counts_what_it_dropped() {
    let (mut log, writer) = std::io::pipe().unwrap();
    let builder = ServerBuilder::new();
    let mut child = builder.command(&["serve"]).stdout(Stdio::piped()).stderr(writer).spawn().unwrap();
    let mut connection = TcpStream::connect(address(&mut child)).unwrap();
    for _ in 0..REQUESTS {
        ask(&mut connection);
    }

    let reader = thread::spawn(move || {
        let mut text = String::new();
        log.read_to_string(&mut text).map(|_| text)
    });
    // The first line that finds room again brings the number, at the latest that of the server's end.
    terminate(&child);
    child.wait().unwrap();

    let text = reader.join().unwrap().unwrap();
    let dropped: usize = text.lines().filter_map(dropped).sum();
    let written = text.lines().filter(|line| line.contains(" route=/healthz ")).count();
    assert!(dropped > 0 && written > 0 && written + dropped > REQUESTS, "{written} written, {dropped} dropped");
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
    let mut child = command.stdout(closed()).stderr(Stdio::null()).spawn().unwrap();
    let is_ready = || builder.command(&["verify"]).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    while !builder.data_dir().join("door").exists() {
        assert_eq!(child.try_wait().unwrap(), None, "the server has ended");
    }

    assert!(is_ready().success());

    terminate(&child);
    assert!(child.wait().unwrap().success());
}

/// Where the server listens, from the first line that it prints.
fn address(child: &mut Child) -> String {
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let listening = lines.map_while(Result::ok).find(|line| line.starts_with("lodge is listening")).unwrap();
    listening.split_once("//").unwrap().1.to_owned()
}

/// Asks once on a connection that is kept.
fn ask(connection: &mut TcpStream) {
    const END: &[u8] = b"{\"status\":\"alive\"}";
    connection.write_all(b"GET /healthz HTTP/1.1\r\nHost: lodge\r\n\r\n").unwrap();
    let mut reply = Vec::new();
    while !reply.ends_with(END) {
        let mut bytes = [0; 4096];
        let length = connection.read(&mut bytes).unwrap();
        assert!(length > 0, "the connection was closed");
        reply.extend_from_slice(&bytes[..length]);
    }
}

/// How many lines this line says were dropped.
fn dropped(line: &str) -> Option<usize> {
    line.split_once(" dropped ")?.1.split(' ').next()?.parse().ok()
}

fn terminate(child: &Child) {
    let pid = Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
    let _ = kill_process(pid, Signal::TERM);
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
