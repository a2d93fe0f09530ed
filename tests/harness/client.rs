//! HTTP as it goes over the wire, so that a test can also send what no library would.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lodge::api::BodyKind;
use serde_json::Value;

use super::{document::Document, secrets::record_traffic};

/// How long a reply may take before the test fails.
const TIMEOUT: Duration = Duration::from_mins(1);

/// A client of the server; `get`, `post`, `put` and `delete` take paths below `/api/v2`.
#[derive(Clone)]
pub struct Client {
    pub address: SocketAddr,
    pub authorization: Option<String>,
    /// The Unix socket, if the client uses one.
    socket: Option<PathBuf>,
    document: Arc<Document>,
}

/// A request, as it is written.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The whole path, as it goes over the wire.
    pub path: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
}

/// What the server answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// The value of an `Authorization` header for a user name and a password.
pub fn basic(username: &str, password: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{password}")))
}

impl Request {
    /// A request without a body; `path` is below `/api/v2`.
    pub fn new(method: &str, path: &str) -> Self {
        Self::whole(method, &format!("/api/v2{path}"))
    }

    /// A request without a body, with the whole path.
    pub fn whole(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), headers: Vec::new(), body: Vec::new() }
    }

    /// The request with one more header.
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name.to_owned(), value.as_ref().to_vec()));
        self
    }

    /// The request with this body, declared as JSON whatever it is.
    pub fn json_bytes(self, body: impl AsRef<[u8]>) -> Self {
        self.body_of(BodyKind::Json, body)
    }

    /// The request with this JSON body.
    pub fn json(self, body: &Value) -> Self {
        self.json_bytes(body.to_string())
    }

    /// The request with these names and values of a form.
    pub fn form(self, fields: &[(&str, &str)]) -> Self {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        self.body_of(BodyKind::Form, form)
    }

    /// The request with this body, declared as that kind whatever it is.
    pub fn body_of(self, kind: BodyKind, body: impl AsRef<[u8]>) -> Self {
        self.header("Content-Type", kind.media_type()).body(body)
    }

    /// The request with this body, declared as nothing.
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn to_bytes(&self, address: SocketAddr) -> Vec<u8> {
        let has = |name: &str| self.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name));
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.path).into_bytes();
        if !has("host") {
            bytes.extend(format!("Host: {address}\r\n").bytes());
        }
        if !has("content-length") && !has("transfer-encoding") && (!self.body.is_empty() || self.method == "POST") {
            bytes.extend(format!("Content-Length: {}\r\n", self.body.len()).bytes());
        }
        for (name, value) in &self.headers {
            bytes.extend(name.bytes());
            bytes.extend(b": ");
            bytes.extend(value);
            bytes.extend(b"\r\n");
        }
        bytes.extend(b"Connection: close\r\n\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

impl Reply {
    /// The value of the header, if it is there once or more.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all_headers(name).first().copied()
    }

    /// All values of the header.
    pub fn all_headers(&self, name: &str) -> Vec<&str> {
        let named = self.headers.iter().filter(|(given, _)| given.eq_ignore_ascii_case(name));
        named.map(|(_, value)| value.as_str()).collect()
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// Whether the reply has come as far as its head declares: a kill may cut it.
    pub fn is_whole(&self) -> bool {
        let length = self.header("content-length").map_or(Ok(0), str::parse);
        length == Ok(self.body.len())
    }

    /// The id in the body.
    #[track_caller]
    pub fn id(&self) -> u64 {
        self.json()["id"].as_u64().unwrap_or_else(|| panic!("no id in {}", self.text()))
    }

    /// The reply itself, if it has that status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let mut headers = [httparse::EMPTY_HEADER; 64];
        let mut head = httparse::Response::new(&mut headers);
        let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
        let headers = head
            .headers
            .iter()
            .map(|header| (header.name.to_owned(), String::from_utf8_lossy(header.value).into_owned()));
        Some(Self { status: head.code?, headers: headers.collect(), body: bytes[length..].to_vec() })
    }
}

impl Client {
    pub(super) fn new(address: SocketAddr, authorization: Option<String>, document: Arc<Document>) -> Self {
        Self { address, authorization, socket: None, document }
    }

    /// The same client on that Unix socket.
    pub fn on_socket(self, socket: PathBuf) -> Self {
        Self { socket: Some(socket), ..self }
    }

    /// The same client with another `Authorization` header.
    pub fn with(&self, authorization: &str) -> Self {
        Self { authorization: Some(authorization.to_owned()), ..self.clone() }
    }

    /// The same client at another address of the server.
    pub fn at(self, address: SocketAddr) -> Self {
        Self { address, ..self }
    }

    #[track_caller]
    pub fn get(&self, path: &str) -> Reply {
        self.send(&Request::new("GET", path))
    }

    #[track_caller]
    pub fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(&Request::new("POST", path).json(body))
    }

    #[track_caller]
    pub fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(&Request::new("PUT", path).json(body))
    }

    #[track_caller]
    pub fn delete(&self, path: &str) -> Reply {
        self.send(&Request::new("DELETE", path))
    }

    /// Sends the request with the client's identity and checks the reply against the served document.
    #[track_caller]
    pub fn send(&self, request: &Request) -> Reply {
        let reply = self.try_send(request).unwrap_or_else(|error| panic!("{request:?}: {error}"));
        self.document.check(request, &reply);
        reply
    }

    /// Sends the request as [`Client::send`] does, but lets the connection fail and checks nothing.
    pub fn try_send(&self, request: &Request) -> std::io::Result<Reply> {
        let mut request = request.clone();
        if let Some(authorization) = &self.authorization {
            request = request.header("Authorization", authorization);
        }
        let bytes = request.to_bytes(self.address);
        let bytes = match &self.socket {
            None => exchange_raw(self.address, &bytes)?,
            Some(socket) => exchange_on(self.address, UnixStream::connect(socket)?, &bytes)?,
        };
        let no_reply = || std::io::Error::other(format!("no reply: {:?}", String::from_utf8_lossy(&bytes)));
        Reply::parse(&bytes).ok_or_else(no_reply)
    }
}

/// Sends these bytes on a connection of their own and reads until the server closes it.
pub fn exchange_raw(address: SocketAddr, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    let connection = TcpStream::connect(address)?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    connection.set_write_timeout(Some(TIMEOUT))?;
    exchange_on(address, connection, bytes)
}

/// Sends these bytes to the server of that address and reads until it closes the connection.
fn exchange_on(address: SocketAddr, mut connection: impl Read + Write, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
    record_traffic(address, bytes);
    // A server that refuses early may close before it has read everything; what it sent counts.
    let sent = connection.write_all(bytes);
    let mut reply = Vec::new();
    let read = connection.read_to_end(&mut reply);
    record_traffic(address, &reply);
    if reply.is_empty() { sent.and(read).map(|_| reply) } else { Ok(reply) }
}
