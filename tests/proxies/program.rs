//! A proxy's program, with the configuration that `lodge proxy-config` prints for it.

use std::{
    fs::{self, File},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use super::service::{Received, Service};
use crate::harness::{Client, Server, exchange_raw, is_possible, run, wait_until};

/// The proxies that there are configurations for.
pub const PROGRAMS: [&str; 5] = ["nginx", "caddy", "traefik", "envoy", "haproxy"];

/// A running proxy between clients and a service. It is killed when this is dropped.
pub struct Proxy {
    pub name: &'static str,
    pub service: Service,
    address: SocketAddr,
    child: Child,
    directory: TempDir,
}

/// What a client gets.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Proxy {
    /// Each proxy that this machine has, in front of a service of its own; a path below `/files` needs `files / index`.
    #[track_caller]
    pub fn start_all(test: &str, server: &Server) -> Vec<Self> {
        Self::start_all_with(test, server, &[])
    }

    /// The same with these flags of `lodge proxy-config`.
    #[track_caller]
    pub fn start_all_with(test: &str, server: &Server, flags: &[&str]) -> Vec<Self> {
        let found = PROGRAMS.into_iter().filter(|name| Self::is_there(test, name));
        let proxies: Vec<_> = found.map(|name| Self::start(name, server, free_address(), flags)).collect();
        proxies.iter().for_each(Self::wait);
        proxies
    }

    /// Whether this machine has that proxy.
    pub fn is_there(test: &str, name: &'static str) -> bool {
        is_possible(test, Command::new(name).arg("--help").output().is_err().then_some(name))
    }

    /// Waits until it serves.
    pub fn wait(&self) {
        wait_until(self.name, || TcpStream::connect(self.address).is_ok());
        // It may accept connections before it knows where to pass them.
        wait_until(&self.log(), || self.send("GET /files HTTP/1.1\r\n", "").status == 401);
    }

    /// Starts that proxy at that address, with these flags of `lodge proxy-config`.
    pub fn start(name: &'static str, server: &Server, address: SocketAddr, flags: &[&str]) -> Self {
        let (service, directory) = (Service::start(), TempDir::new().unwrap());
        let write = |program: &str, file: &str| {
            let addresses = [address, server.address, service.address].map(|address| address.to_string());
            let [listen, lodge, service] = &addresses;
            let addresses = ["--listen", listen, "--lodge", lodge, "--service", service];
            let printed = run(server.command(&["proxy-config", program]).args(addresses).args(flags)).expect(0).out;
            fs::write(directory.path().join(file), printed).unwrap();
        };
        write(name, "config.yml");
        if name == "haproxy" {
            write("haproxy-lua", "lodge.lua");
        }
        let log = File::create(directory.path().join("log")).unwrap();
        let mut command = command(name, directory.path(), address);
        command.current_dir(&directory).env("HOME", directory.path()).stdin(Stdio::null());
        let child = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        Self { name, service, address, child, directory }
    }

    /// What it has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Sends a request line and header lines, each with its end, and then a body, on a connection of its own.
    pub fn send(&self, head: &str, body: &str) -> Answer {
        let close = if head.to_ascii_lowercase().contains("connection:") { "" } else { "Connection: close\r\n" };
        let host = if head.contains("Host:") { "" } else { "Host: files.example\r\n" };
        let sent = exchange_raw(self.address, format!("{head}{host}{close}\r\n{body}").as_bytes());
        let text = sent.map_or_else(|error| error.to_string(), |bytes| String::from_utf8_lossy(&bytes).into_owned());
        let status = text.get(9..12).and_then(|status| status.parse().ok()).unwrap_or_default();
        Answer { status, text }
    }

    /// Asks for a file with that client's credential in that header.
    pub fn get(&self, name: &str, client: &Client) -> Answer {
        let credential = client.authorization.as_ref().map_or_else(String::new, |value| format!("{name}: {value}\r\n"));
        self.send(&format!("GET /files/a HTTP/1.1\r\n{credential}"), "")
    }

    /// The one request that the service has received since the last time.
    #[track_caller]
    pub fn received(&self) -> Received {
        let received = self.service.take();
        let [request] = &received[..] else { panic!("{}: {received:?}\n{}", self.name, self.log()) };
        request.clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Answer {
    /// The value of the header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.text.lines().take_while(|line| !line.is_empty());
        lines
            .filter_map(|line| line.split_once(": "))
            .find(|(given, _)| given.eq_ignore_ascii_case(name))
            .map(|pair| pair.1)
    }
}

/// How each program is started in that directory, in the foreground and in one process.
fn command(name: &str, directory: &Path, address: SocketAddr) -> Command {
    let mut command = Command::new(name);
    match name {
        "nginx" => {
            let file = |name: &str| directory.join(name).display().to_string();
            let directives = format!("daemon off; master_process off; pid {};", file("pid"));
            command.args(["-p", &file(""), "-c", &file("config.yml"), "-e", &file("log"), "-g", &directives])
        }
        "caddy" => command.args(["run", "--adapter", "caddyfile", "--config", "config.yml"]),
        "traefik" => command
            .arg(format!("--entryPoints.web.address={address}"))
            .args(["--entryPoints.web.http.aliasHeadersStrategy=reject", "--providers.file.filename=config.yml"])
            .arg("--entryPoints.web.http.encodedCharacters.allowEncodedSlash=false")
            .arg("--entryPoints.web.http.encodedCharacters.allowEncodedBackslash=false")
            .args(["--global.checkNewVersion=false", "--global.sendAnonymousUsage=false"]),
        "envoy" => command.args(["-c", "config.yml", "--use-dynamic-base-id", "--concurrency", "1"]),
        "haproxy" => command.args(["-db", "-f", "config.yml"]),
        other => panic!("{other} is no proxy that is tested"),
    };
    command
}

/// An address where nothing listens.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
