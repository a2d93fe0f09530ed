//! Several requests and answers on one connection, byte by byte.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::harness::{Reply, record_traffic};

/// How long an answer may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

trait Connection: Read + Write {}

impl<C: Read + Write> Connection for C {}

/// One connection, on which answers are read one by one.
pub struct Conversation {
    address: SocketAddr,
    connection: Box<dyn Connection>,
    heard: Vec<u8>,
}

impl Conversation {
    pub fn with(address: SocketAddr) -> Self {
        Self { address, connection: Box::new(connect(address)), heard: Vec::new() }
    }

    pub fn over_tls(address: SocketAddr, client: Arc<ClientConfig>) -> Self {
        let client = ClientConnection::new(client, address.ip().into()).unwrap();
        Self { address, connection: Box::new(StreamOwned::new(client, connect(address))), heard: Vec::new() }
    }

    /// Sends these bytes; a server that has hung up is found out by the next [`Conversation::hear`].
    pub fn say(&mut self, bytes: impl AsRef<[u8]>) {
        record_traffic(self.address, bytes.as_ref());
        let _ = self.connection.write_all(bytes.as_ref());
    }

    /// The next answer, an interim one included; a header must declare its length, or the status must forbid a body.
    #[track_caller]
    pub fn hear(&mut self) -> Reply {
        loop {
            if let Some((reply, length)) = first_reply(&self.heard) {
                self.heard.drain(..length);
                return reply;
            }
            assert!(self.read(), "the server hung up: {:?}", String::from_utf8_lossy(&self.heard));
        }
    }

    /// What comes before the server hangs up.
    pub fn hear_out(&mut self) -> Vec<u8> {
        while self.read() {}
        std::mem::take(&mut self.heard)
    }

    /// Reads some more; false at the end.
    fn read(&mut self) -> bool {
        let mut buffer = [0; 16 << 10];
        let length = match self.connection.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        record_traffic(self.address, &buffer[..length]);
        self.heard.extend(&buffer[..length]);
        length > 0
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let connection = TcpStream::connect(address).unwrap();
    connection.set_read_timeout(Some(TIMEOUT)).unwrap();
    connection.set_write_timeout(Some(TIMEOUT)).unwrap();
    connection
}

/// Sends a request on a new connection; returns everything that the server sends before it closes.
pub fn ask_raw(address: SocketAddr, request: impl AsRef<[u8]>) -> Reply {
    let mut conversation = Conversation::with(address);
    conversation.say(request);
    conversation.hear()
}

fn first_reply(bytes: &[u8]) -> Option<(Reply, usize)> {
    let (mut reply, head_length) = head(bytes)?;
    let has_body = reply.status >= 200 && ![204, 304].contains(&reply.status);
    let declared = || reply.header("content-length").expect("an answer with a length").parse().unwrap();
    let length: usize = if has_body { declared() } else { 0 };
    reply.body = bytes.get(head_length..head_length + length)?.to_vec();
    Some((reply, head_length + length))
}

fn head(bytes: &[u8]) -> Option<(Reply, usize)> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).unwrap() else { return None };
    let text = |value| String::from_utf8_lossy(value).into_owned();
    let headers = head.headers.iter().map(|header| (header.name.to_owned(), text(header.value))).collect();
    Some((Reply { status: head.code.unwrap(), headers, body: Vec::new() }, length))
}
