//! A service that proxies pass requests to, and that keeps what it has received.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

/// How long a proxy may keep a connection without sending anything.
const TIMEOUT: Duration = Duration::from_mins(1);
/// The answer to the key in [`WEBSOCKET`] (RFC 6455, section 1.3).
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello";
const DONE: &str =
    "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\nConnection: close\r\n\r\nserved";

/// The header lines of a request for a WebSocket.
pub const WEBSOCKET: &str = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// A request as the service received it.
#[derive(Clone, Debug)]
pub struct Received {
    pub target: String,
    headers: Vec<(String, String)>,
    pub body: String,
    /// The lines after the last chunk.
    pub trailers: Vec<String>,
}

/// A running service; its thread ends with the test's process.
pub struct Service {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Service {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, received) = (listener.local_addr().unwrap(), Arc::new(Mutex::default()));
        let all = Arc::clone(&received);
        thread::spawn(move || {
            for connection in listener.incoming().map_while(Result::ok) {
                let all = Arc::clone(&all);
                thread::spawn(move || serve(&connection, &all));
            }
        });
        Self { address, received }
    }

    /// What has been received since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().unwrap())
    }
}

impl Received {
    /// All values of the header, in whatever case its name is.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The value of the header as a service reads it that takes underscores for hyphens; empty if it is missing.
    #[track_caller]
    pub fn read_loosely(&self, name: &str) -> &str {
        let spelled = |given: &str| given.replace('_', "-").eq_ignore_ascii_case(name);
        let values: Vec<_> = self.headers.iter().filter(|(given, _)| spelled(given)).collect();
        assert!(values.len() < 2, "{name} is ambiguous: {self:?}");
        values.first().map_or("", |(_, value)| value.as_str())
    }
}

/// Answers one request.
fn serve(mut connection: &TcpStream, all: &Mutex<Vec<Received>>) {
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    let mut reader = BufReader::new(connection);
    let Some(received) = receive(&mut reader) else { return };
    let answer = if received.all("upgrade").is_empty() { DONE } else { SWITCHED };
    all.lock().unwrap().push(received);
    // The client may have gone.
    let _ = connection.write_all(answer.as_bytes());
}

fn receive(reader: &mut impl BufRead) -> Option<Received> {
    let target = line(reader)?.split(' ').nth(1)?.to_owned();
    let mut received = Received { target, headers: Vec::new(), body: String::new(), trailers: Vec::new() };
    loop {
        let line = line(reader)?;
        let Some((name, value)) = line.split_once(':') else { break };
        received.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    (received.body, received.trailers) = body(reader, &received)?;
    Some(received)
}

/// The body and the trailers.
fn body(reader: &mut impl BufRead, received: &Received) -> Option<(String, Vec<String>)> {
    if received.all("transfer-encoding").is_empty() {
        let length = received.all("content-length").first().map_or(Some(0), |length| length.parse().ok())?;
        return Some((bytes(reader, length)?, Vec::new()));
    }
    let mut body = String::new();
    loop {
        let length = usize::from_str_radix(&line(reader)?, 16).ok()?;
        if length == 0 {
            return Some((body, trailers(reader)?));
        }
        body += &bytes(reader, length)?;
        line(reader)?;
    }
}

fn trailers(reader: &mut impl BufRead) -> Option<Vec<String>> {
    let mut trailers = Vec::new();
    loop {
        match line(reader)? {
            end if end.is_empty() => return Some(trailers),
            trailer => trailers.push(trailer),
        }
    }
}

fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = String::new();
    let length = reader.read_line(&mut line).ok()?;
    (length > 0).then(|| line.trim_end().to_owned())
}

fn bytes(reader: &mut impl Read, length: usize) -> Option<String> {
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).ok()?;
    String::from_utf8(bytes).ok()
}
