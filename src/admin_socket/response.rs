//! An answer: its status, and a body that ends as it says.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    os::unix::net::UnixStream,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use httparse::{EMPTY_HEADER, Header, Status, parse_chunk_size};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::AdminSocketError;
use crate::api::Line;

/// How long a head may be.
const MAX_HEAD: u64 = 64 << 10;
/// How many headers a head may have.
const MAX_HEADERS: usize = 64;
/// How long a line of a body, and the body of an error, may be.
const MAX_LINE: u64 = 8 << 20;

/// What the server answered.
pub struct Response {
    /// The status.
    pub status: u16,
    body: BufReader<Body>,
}

/// The body, which is read to its end or fails.
struct Body {
    connection: BufReader<UnixStream>,
    length: Length,
}

/// What is left of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Length {
    /// So many bytes.
    Bytes(u64),
    /// So many bytes of a chunk, and further chunks.
    Chunks(u64),
}

impl Response {
    pub(super) fn read(connection: UnixStream) -> Result<Self, AdminSocketError> {
        let mut connection = BufReader::new(connection);
        let head = head(&mut connection)?;
        let mut headers = [EMPTY_HEADER; MAX_HEADERS];
        let mut response = httparse::Response::new(&mut headers);
        if !matches!(response.parse(&head), Ok(Status::Complete(_))) {
            return Err(AdminSocketError::Unreadable);
        }
        let status = response.code.ok_or(AdminSocketError::Unreadable)?;
        let length = if status == 204 { Length::Bytes(0) } else { length(response.headers)? };
        Ok(Self { status, body: BufReader::new(Body { connection, length }) })
    }

    /// The body of a success, as JSON.
    ///
    /// # Errors
    /// [`AdminSocketError`] for any other status, and for a body that is cut off or no such JSON.
    pub fn json<T: DeserializeOwned>(self) -> Result<T, AdminSocketError> {
        serde_json::from_reader(self.succeeded()?.body).map_err(|error| match error.io_error_kind() {
            Some(kind) => AdminSocketError::Io(kind.into()),
            None => AdminSocketError::Unreadable,
        })
    }

    /// Itself, if it is a success.
    ///
    /// # Errors
    /// [`AdminSocketError::Refused`] for any other status, with what the body says.
    pub fn succeeded(self) -> Result<Self, AdminSocketError> {
        if (200..300).contains(&self.status) {
            return Ok(self);
        }
        let status = self.status;
        let sentence = self.sentences()?.join("; ");
        Err(AdminSocketError::Refused { status, sentence })
    }

    /// What the body of an error says, sentence by sentence.
    ///
    /// # Errors
    /// [`AdminSocketError`] for a body that is cut off or no such JSON.
    pub fn sentences(self) -> Result<Vec<String>, AdminSocketError> {
        let mut text = Vec::new();
        self.body.take(MAX_LINE).read_to_end(&mut text)?;
        sentences(&text).ok_or(AdminSocketError::Unreadable)
    }

    /// Reads the lines of an answer that is written while the work goes on: hands on data, text and progress, and returns the
    /// result.
    ///
    /// # Errors
    /// [`AdminSocketError`] if the status is an error, the work has failed, what came cannot be kept, or the answer is cut off.
    pub fn lines<T: DeserializeOwned>(
        self,
        out: &mut dyn Write,
        progress: &mut dyn FnMut(u64),
    ) -> Result<T, AdminSocketError> {
        let mut body = self.succeeded()?.body;
        loop {
            match line(&mut body)? {
                Line::Progress(rows) => progress(rows),
                Line::Data(base64) => {
                    let bytes = BASE64_STANDARD.decode(base64).map_err(|_| AdminSocketError::Unreadable)?;
                    out.write_all(&bytes)?;
                }
                Line::Text(text) => writeln!(out, "{text}")?,
                Line::Done(result) => return serde_json::from_value(result).map_err(|_| AdminSocketError::Unreadable),
                Line::Failed(sentence) => return Err(AdminSocketError::Failed(sentence)),
            }
        }
    }
}

fn line(body: &mut impl BufRead) -> Result<Line, AdminSocketError> {
    let mut text = Vec::new();
    body.take(MAX_LINE).read_until(b'\n', &mut text)?;
    if text.pop() != Some(b'\n') {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    serde_json::from_slice(&text).map_err(|_| AdminSocketError::Unreadable)
}

/// The head with its empty line.
fn head(connection: &mut impl BufRead) -> Result<Vec<u8>, AdminSocketError> {
    let (mut head, mut limited) = (Vec::new(), connection.take(MAX_HEAD));
    while !head.ends_with(b"\r\n\r\n") {
        if limited.read_until(b'\n', &mut head)? == 0 {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
        }
    }
    Ok(head)
}

fn length(headers: &[Header<'_>]) -> Result<Length, AdminSocketError> {
    let value = |name: &str| headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    if value("transfer-encoding").is_some_and(|header| header.value.eq_ignore_ascii_case(b"chunked")) {
        return Ok(Length::Chunks(0));
    }
    let text = value("content-length").and_then(|header| str::from_utf8(header.value).ok());
    text.and_then(|text| text.parse().ok()).map(Length::Bytes).ok_or(AdminSocketError::Unreadable)
}

/// What the body of an error says: one sentence, or one for each attribute of a record.
fn sentences(body: &[u8]) -> Option<Vec<String>> {
    let body: Value = serde_json::from_slice(body).ok()?;
    if let Some(sentence) = body["error"].as_str() {
        return Some(vec![sentence.to_owned()]);
    }
    let messages = body["messages"].as_array()?.iter().filter_map(Value::as_str);
    Some(messages.map(str::to_owned).collect())
}

impl Body {
    /// Begins the next chunk, whose size comes on a line of its own after the one before; false after the last one.
    fn next_chunk(&mut self) -> io::Result<bool> {
        let mut size = Vec::new();
        while size.iter().all(u8::is_ascii_whitespace) {
            if self.connection.by_ref().take(MAX_HEADERS as u64).read_until(b'\n', &mut size)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        match parse_chunk_size(size.trim_ascii_start()) {
            Ok(Status::Complete((_, length))) => {
                self.length = Length::Chunks(length);
                Ok(length > 0)
            }
            Ok(Status::Partial) | Err(_) => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.length == Length::Chunks(0) && !self.next_chunk()? {
            self.length = Length::Bytes(0);
        }
        let left = self.length.current();
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.connection.by_ref().take(left).read(buffer)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.length = self.length.less(read as u64);
        Ok(read)
    }
}

impl Length {
    /// How many bytes may be read before the next chunk.
    fn current(self) -> u64 {
        match self {
            Self::Bytes(bytes) | Self::Chunks(bytes) => bytes,
        }
    }

    fn less(self, read: u64) -> Self {
        match self {
            Self::Bytes(bytes) => Self::Bytes(bytes - read),
            Self::Chunks(bytes) => Self::Chunks(bytes - read),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a client makes of an answer of these bytes.
    fn response(bytes: &str) -> Result<Response, AdminSocketError> {
        let (mut server, client) = UnixStream::pair().unwrap();
        server.write_all(bytes.as_bytes()).unwrap();
        drop(server);
        Response::read(client)
    }

    fn lines(body: &str) -> Result<(u64, String), String> {
        let mut out = Vec::new();
        let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len());
        let (first, rest) = body.split_at(body.len() / 2);
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        let answer = response(&[head, &chunk(first), &chunk(rest)].concat()).unwrap();
        let result = answer.lines(&mut out, &mut |_| {}).map_err(|error| error.to_string())?;
        Ok((result, String::from_utf8(out).unwrap()))
    }

    #[test]
    fn an_answer_of_lines_ends_with_its_result_or_is_none() {
        let begin = "{\"data\":\"b25l\"}\n{\"progress\":7}\n{\"text\":\"two\"}\n";
        assert_eq!(lines(&format!("{begin}{{\"done\":9}}\n")), Ok((9, "onetwo\n".to_owned())));
        let failed = lines(&format!("{begin}{{\"failed\":\"the disk\"}}\n"));
        assert_eq!(failed, Err("the server reports: the disk".to_owned()));
        for cut_off in ["", "{\"done\":", "{\"done\":9}"] {
            let error = lines(&format!("{begin}{cut_off}")).unwrap_err();
            assert_eq!(error, "the server did not finish its answer", "{cut_off:?}");
        }
        for foreign in ["nonsense\n", "{\"data\":\"!\"}\n", "{\"dance\":1}\n", "{\"done\":\"x\"}\n"] {
            assert_eq!(lines(foreign).unwrap_err(), "the answer is not one of this program's servers", "{foreign:?}");
        }
    }

    #[test]
    fn a_body_that_is_cut_off_is_an_error_however_its_length_is_given() {
        let json = |head: &str, body: &str| {
            let answer = response(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"))?;
            answer.json::<u64>()
        };
        let chunked = "Transfer-Encoding: chunked";
        assert_eq!(json("Content-Length: 2", "42 and more").unwrap(), 42);
        assert_eq!(json(chunked, "1\r\n4\r\n1\r\n2\r\n0\r\n\r\n").unwrap(), 42);
        for (head, body) in
            [("Content-Length: 3", "42"), (chunked, "1\r\n4\r\n1\r\n2\r\n"), (chunked, "5\r\n42"), (chunked, "")]
        {
            assert!(matches!(json(head, body), Err(AdminSocketError::Io(_))), "{head} {body}");
        }
        assert!(matches!(json("Server: other", "42"), Err(AdminSocketError::Unreadable)));
    }

    #[test]
    fn an_error_is_reported_in_the_words_of_the_server() {
        let refused = |body: &str| {
            let head = format!("HTTP/1.1 422 Unprocessable\r\nContent-Length: {}\r\n\r\n", body.len());
            response(&(head + body)).unwrap().succeeded().err().unwrap().to_string()
        };
        assert_eq!(refused(r#"{"error":"Not found."}"#), "the server answers with 422: Not found.");
        assert_eq!(refused(r#"{"details":{},"messages":["a","b"]}"#), "the server answers with 422: a; b");
        assert_eq!(refused("<html>"), "the answer is not one of this program's servers");
    }
}
