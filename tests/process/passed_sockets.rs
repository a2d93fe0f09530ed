//! Sockets that the service manager listens on for the server.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream, UdpSocket},
    os::{
        fd::OwnedFd,
        unix::net::{UnixListener, UnixStream},
    },
    path::Path,
    process::{Command, Stdio},
};

use super::{READINESS, Running, ask};
use crate::harness::{ServerBuilder, compile_preloaded};

/// A service manager that passes the standard input as the first socket. The script sets its variables, and `descriptors` are further
/// redirections.
fn passing(builder: &ServerBuilder, variables: &str, descriptors: &str) -> Command {
    let lodge = builder.command(&["serve"]);
    let script = format!("export LISTEN_PID=$$ {variables}; exec 3<&0 0</dev/null {descriptors}; exec \"$@\"");
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &script, "sh"]).arg(lodge.get_program()).args(lodge.get_args()).env_clear();
    let variables = lodge.get_envs().filter_map(|(name, value)| Some((name, value?)));
    shell.envs(variables).current_dir(lodge.get_current_dir().unwrap());
    shell
}

fn input(socket: impl Into<OwnedFd>) -> Stdio {
    socket.into().into()
}

#[test]
fn the_service_managers_sockets_are_served_in_place_of_the_address() {
    let builder = ServerBuilder::new();
    let path = builder.data_dir().with_file_name("passed.sock");
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = tcp.local_addr().unwrap();
    let unix = UnixListener::bind(&path).unwrap();
    let mut command = passing(&builder, "LISTEN_FDS=2 LISTEN_FDNAMES=web:here", "4<&2 2>log");

    let mut server = Running::start(command.stdin(input(tcp)).stderr(input(unix)).stdout(Stdio::piped()));
    drop(command);

    let mut out = BufReader::new(server.0.stdout.take().unwrap());
    let mut lines = [String::new(), String::new()];
    for line in &mut lines {
        out.read_line(line).unwrap();
    }
    let announced = [format!("http://{address}"), format!("unix:{}", path.display())];
    assert_eq!(lines, announced.map(|url| format!("lodge is listening on {url}\n")));
    ask(&mut TcpStream::connect(address).unwrap(), READINESS);
    ask_at_path(&path);
    for descriptor in [3, 4] {
        assert!(is_closed_in_programs(server.0.id(), descriptor), "{descriptor}");
    }
    assert!(server.stop().success());
    assert!(path.exists(), "it is the service manager's");
    let log = fs::read_to_string(builder.data_dir().with_file_name("log")).unwrap();
    assert!(log.contains("in place of --listen: web") && log.contains("in place of --listen: here"), "{log}");
}

/// Asks whether the server is ready, on a Unix socket.
fn ask_at_path(path: &Path) {
    let mut connection = UnixStream::connect(path).unwrap();
    connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    connection.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "{response}");
}

/// Whether programs that the process starts have no such descriptor.
fn is_closed_in_programs(process: u32, descriptor: u32) -> bool {
    const CLOSE_ON_EXEC: u32 = 0o2_000_000;
    let facts = fs::read_to_string(format!("/proc/{process}/fdinfo/{descriptor}")).unwrap();
    let flags = facts.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
    u32::from_str_radix(flags.trim(), 8).unwrap() & CLOSE_ON_EXEC != 0
}

#[test]
fn sockets_for_another_process_are_left_alone() {
    let builder = ServerBuilder::new();
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let passed = socket.local_addr().unwrap().to_string();
    let mut command = passing(&builder, "LISTEN_FDS=1 LISTEN_PID=1", "");

    let mut server = Running::start(command.stdin(input(socket)).stdout(Stdio::piped()).stderr(Stdio::null()));

    let address = server.address();
    assert_ne!(address, passed);
    ask(&mut TcpStream::connect(address).unwrap(), READINESS);
    assert!(server.stop().success());
}

#[test]
fn what_is_no_socket_to_serve_on_is_refused_with_a_sentence() {
    let listening = || TcpListener::bind("127.0.0.1:0").unwrap();
    let served = listening();
    let connected = TcpStream::connect(served.local_addr().unwrap()).unwrap();
    let file = File::open("/dev/null").unwrap();
    for (variables, socket, sentence) in [
        (
            "LISTEN_FDS=1",
            input(UdpSocket::bind("127.0.0.1:0").unwrap()),
            "(`unknown`), which is a socket for datagrams or packets;",
        ),
        (
            "LISTEN_FDS=1 LISTEN_FDNAMES=web",
            input(connected),
            "descriptor 3 (`web`), which is a socket that is not listened on;",
        ),
        ("LISTEN_FDS=1 LISTEN_FDNAMES=:web", input(file), "descriptor 3 (`unknown`), which is not a socket;"),
        ("LISTEN_FDS=2", input(listening()), "passed descriptor 4, which cannot be used: Bad file descriptor"),
        ("LISTEN_FDS=two", input(listening()), "LISTEN_FDS is not their number: `two`"),
        ("LISTEN_FDS=-1", input(listening()), "LISTEN_FDS is not their number: `-1`"),
    ] {
        let builder = ServerBuilder::new();
        let mut command = passing(&builder, variables, "");
        // A server that takes them ends too, because it has no place for its data.
        command.env("LODGE_DATA_DIR", "/dev/null/data").stdin(socket).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stderr = String::new();
        child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();

        assert_eq!(child.wait().unwrap().code(), Some(14), "{variables}: {stderr}");
        assert!(stderr.contains(sentence), "{variables}: {stderr}");
    }
}

#[test]
fn the_service_managers_variables_are_not_passed_on() {
    let builder = ServerBuilder::new();
    let directory = builder.data_dir().parent().unwrap().to_owned();
    let library = compile_preloaded("environment.c", &directory);
    let seen = directory.join("environment");
    let mut command = passing(&builder, "LISTEN_FDS=1 LISTEN_FDNAMES=web WATCHDOG_USEC=3600000000 WATCHDOG_PID=$$", "");
    command.env("NOTIFY_SOCKET", "/nowhere/notify").env("LD_PRELOAD", library).env("ENVIRONMENT", &seen);
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();

    let mut server = Running::start(command.stdin(input(socket)).stdout(Stdio::piped()).stderr(Stdio::null()));
    server.address();

    let environment = fs::read_to_string(&seen).unwrap();
    assert!(environment.contains("LODGE_DATA_DIR="), "{environment}");
    for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"] {
        assert!(!environment.contains(name), "{name}: {environment}");
    }
    assert!(server.stop().success());
}
