//! Answers that are written while the work goes on, as lines of JSON.
//!
//! Each line is an object with one member. The last one is `done` or `failed`: an answer that ends without either was cut off.

use std::{
    io::{self, Write},
    sync::{Arc, LazyLock},
    thread,
};

use actix_web::{HttpResponse, web::Bytes};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::sync::{
    Semaphore,
    mpsc::{Receiver, Sender, channel},
};

use super::{
    description::Description, error::ApiError, memory_budget::BudgetExhausted, reply::Reply,
    response_budget::ResponseBudget,
};

/// How many such answers are written at once; more are refused.
const MAX_ANSWERS: usize = 8;
/// How many bytes of data go into one line.
const DATA: usize = 48 << 10;
/// How many lines may wait for a client that reads more slowly than they are written.
const MAX_WAITING: usize = 4;

/// A line of such an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// How many rows have been read.
    Progress(u64),
    /// A piece of what was asked for, in base64.
    Data(String),
    /// A line of text of what was asked for.
    Text(String),
    /// The end, and the result.
    Done(Value),
    /// The end, and why it failed.
    Failed(String),
}

/// An answer whose lines are being written by a thread of its own.
pub(super) struct Lines(Receiver<Bytes>);

/// Where lines are written to. Writing fails once the client is gone.
pub(super) struct LineWriter(Sender<Bytes>);

/// Writes bytes into lines of data; what is not a whole line yet goes with the next flush.
pub(super) struct DataWriter<'a> {
    lines: &'a LineWriter,
    piece: Vec<u8>,
}

impl Lines {
    /// Does the work on a thread of its own; its result, or the sentence that it failed with, is the last line.
    ///
    /// # Errors
    /// [`ApiError::BudgetExhausted`] if too many others are being written, or no thread can be started.
    pub(super) fn start<T: Serialize>(
        work: impl FnOnce(&LineWriter) -> Result<T, String> + Send + 'static,
    ) -> Result<Self, ApiError> {
        static ANSWERS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(MAX_ANSWERS)));
        let permit = Arc::clone(&ANSWERS).try_acquire_owned().map_err(|_| ApiError::BudgetExhausted)?;
        let (lines, written) = channel(MAX_WAITING);
        let write = move || {
            let _permit = permit;
            let lines = LineWriter(lines);
            let last = match work(&lines) {
                Ok(result) => Line::Done(serde_json::to_value(result).expect("a result has text keys")),
                Err(why) => Line::Failed(why),
            };
            let _ = lines.write(&last);
        };
        thread::Builder::new().name("lines".to_owned()).spawn(write).map_err(|_| ApiError::BudgetExhausted)?;
        Ok(Self(written))
    }
}

impl LineWriter {
    /// Writes a line; waits while the client has not taken those before it.
    ///
    /// # Errors
    /// If the client is gone.
    pub(super) fn write(&self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line).expect("lines have text keys");
        text.push(b'\n');
        self.0.blocking_send(text.into()).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// A writer of data.
    pub(super) fn data(&self) -> DataWriter<'_> {
        DataWriter { lines: self, piece: Vec::with_capacity(DATA) }
    }
}

impl Write for DataWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = &bytes[..bytes.len().min(DATA - self.piece.len())];
        self.piece.extend_from_slice(taken);
        if self.piece.len() == DATA {
            self.flush()?;
        }
        Ok(taken.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let line = Line::Data(BASE64_STANDARD.encode(&self.piece));
        self.piece.clear();
        self.lines.write(&line)
    }
}

impl Reply for Lines {
    async fn into_response(self, _: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        let lines = stream::unfold(self, |mut lines| async move {
            let line = lines.0.recv().await?;
            Some((line, lines))
        });
        Ok(HttpResponse::Ok().content_type("application/x-ndjson").streaming(lines.map(Ok::<_, io::Error>)))
    }

    fn describe(_: &mut Description) {}
}
