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
    let request = match body {
        None => format!("{head}\r\n"),
        Some(body) => {
            let body = body.to_string();
            format!("{head}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}", body.len())
        }
    };
    connection.write_all(request.as_bytes()).map_err(of_connection)?;
    Response::read(connection)
}

/// The error of a write to the server. A broken pipe is that of an output alone, which a command may take for its end.
fn of_connection(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::ConnectionReset, error),
        _ => error,
    }
}
