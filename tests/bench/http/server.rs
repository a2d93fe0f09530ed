//! Processes that are measured. Each is killed when it is dropped.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::bare::Answer;

/// The password of everybody.
pub const PASSWORD: &str = "everybody knows it here";

pub struct Server {
    child: Child,
    pub address: SocketAddr,
    /// How long it took from the start of the process until it was ready.
    pub start: Duration,
}

impl Server {
    /// The server under test, with the default settings but for what a benchmark cannot do without.
    pub fn lodge(data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lodge"));
        let settings = [("LISTEN", "127.0.0.1:0"), ("ADMIN_PASSWORD", PASSWORD), ("MAX_CONFIGURATIONS", "100000")];
        command.env_clear().envs(settings.map(|(name, value)| (format!("LODGE_{name}"), value)));
        let log = fs::File::options().create(true).append(true).open(data.with_extension("log")).unwrap();
        let mut server = Self::spawn(command.arg("--data-dir").arg(data).stderr(log));
        let begun = Instant::now();
        assert_eq!(server.get("/readyz", "").0, 200);
        server.start += begun.elapsed();
        server
    }

    /// The bare server that gives this answer.
    pub fn bare(directory: &Path, answer: &Answer) -> Self {
        let file = directory.join("answer.json");
        fs::write(&file, serde_json::to_vec(answer).unwrap()).unwrap();
        let mut command = Command::new(std::env::current_exe().unwrap());
        Self::spawn(command.arg("--bare").arg(&file))
    }

    fn spawn(command: &mut Command) -> Self {
        let begun = Instant::now();
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let start = begun.elapsed();
        let address = line.trim().rsplit_once("//").and_then(|(_, address)| address.parse().ok());
        Self { child, address: address.expect("the server logs where it listens"), start }
    }

    /// The status and the answer to a GET.
    pub fn get(&self, path: &str, authorization: &str) -> (u16, Answer) {
        self.exchange(&format!(
            "GET {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\nConnection: close\r\n\r\n"
        ))
    }

    /// The status and the answer to a POST of JSON.
    pub fn post(&self, path: &str, authorization: &str, body: &str) -> (u16, Answer) {
        let length = body.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nHost: bench\r\nAuthorization: {authorization}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
        ))
    }

    fn exchange(&self, request: &str) -> (u16, Answer) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        let (head, body) = reply.split_once("\r\n\r\n").unwrap();
        let (status, headers) = head.split_once("\r\n").unwrap();
        let headers = headers.lines().filter_map(|line| line.split_once(": "));
        let own = |name: &str| !["content-length", "date", "connection"].contains(&name.to_lowercase().as_str());
        let headers = headers.filter(|(name, _)| own(name)).map(|(name, value)| (name.to_owned(), value.to_owned()));
        let status = status.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, Answer { headers: headers.collect(), body: body.to_owned() })
    }

    /// Stops the server and waits until it has ended.
    pub fn stop(&mut self) {
        rustix::process::kill_process(rustix::process::Pid::from_child(&self.child), rustix::process::Signal::TERM)
            .unwrap();
        assert!(self.child.wait().unwrap().success());
    }

    /// How much memory it holds, in bytes.
    pub fn resident_bytes(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// How much time it has had on the processors.
    pub fn processor_time(&self) -> Duration {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<_> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        // Fields 14 and 15 of proc(5), in hundredths of a second.
        let ticks: u64 = fields[11..13].iter().map(|field| field.parse::<u64>().unwrap()).sum();
        Duration::from_millis(ticks * 10)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
