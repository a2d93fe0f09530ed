//! The client of the local socket: how commands make requests of the API.
//!
//! The socket speaks HTTP like any other listener of the server. Each request has a connection of its own. An answer whose end
//! has not come is an error, never a shorter answer.

mod connect;
mod response;

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
};

use serde_json::Value;
use thiserror::Error;
use zeroize::Zeroizing;

pub use self::{connect::connect, response::Response};

/// A request to the API that has no good answer.
#[derive(Debug, Error)]
pub enum AdminSocketError {
    /// The answer is an error.
    #[error("the server answers with {status}: {sentence}")]
    Refused {
        /// The status.
        status: u16,
        /// The sentences of the body.
        sentence: String,
    },
    /// What was begun has failed.
    #[error("the server reports: {0}")]
    Failed(String),
    /// The answer makes no sense.
    #[error("the answer is not one of this program's servers")]
    Unreadable,
    /// The connection broke off, or what came cannot be kept.
    #[error("the server did not finish its answer")]
    Io(#[from] io::Error),
}

/// Makes a request on that connection; the path is the whole one, with its query.
///
/// # Errors
/// [`AdminSocketError`] if no answer begins.
pub fn send(
    mut connection: UnixStream,
    method: &str,
    path: &str,
    body: Option<&Value>,
) -> Result<Response, AdminSocketError> {
    let head = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
    // In one piece: a server that has seen enough may close before a second one.
    connection.write_all(&encoded(head, body)?).map_err(of_connection)?;
    Response::read(connection)
}

/// The bytes of a request: that head, the end of the head, and the body, which may have a password in it.
fn encoded(head: String, body: Option<&Value>) -> io::Result<Zeroizing<Vec<u8>>> {
    let Some(body) = body else { return Ok(Zeroizing::new((head + "\r\n").into_bytes())) };
    let mut length = Length(0);
    serde_json::to_writer(&mut length, body)?;
    let Length(length) = length;
    let head = format!("{head}Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n");
    // With room for all of it: a copy that was moved elsewhere would not be wiped.
    let mut request = Zeroizing::new(Vec::with_capacity(head.len() + length));
    request.extend_from_slice(head.as_bytes());
    serde_json::to_writer(&mut *request, body)?;
    Ok(request)
}

/// Counts what is written.
struct Length(usize);

impl Write for Length {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The error of a write to the server. A broken pipe is that of an output alone, which a command may take for its end.
fn of_connection(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::ConnectionReset, error),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_request_with_its_body_is_written_to_one_place() {
        let body = json!({"username": "ann", "password": "a house with a view \u{1f3e0} \"".repeat(100)});

        let request = encoded("PUT / HTTP/1.1\r\n".to_owned(), Some(&body)).unwrap();

        let text = body.to_string();
        let head =
            format!("PUT / HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", text.len());
        assert_eq!(*request, (head + &text).as_bytes());
        assert_eq!(request.capacity(), request.len());
    }
}
