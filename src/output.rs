//! Standard output and standard error.
//!
//! A closed or full output is no failure: the work that a line reports is done by then. Writing to a pipe that is never
//! read blocks, so a server prints from a thread of its own.

use std::{
    fmt,
    io::{self, Write},
    sync::{
        LazyLock,
        mpsc::{Sender, channel},
    },
    thread,
    time::Duration,
};

/// How long the process waits for a reader of its last lines before it ends.
const WRITE_TIMEOUT: Duration = Duration::from_secs(2);

/// Writes a line to standard output; a failure is ignored.
pub fn line(text: fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{text}");
}

/// Writes a line to standard output without waiting for a reader; lines keep their order.
pub fn announce(text: String) {
    static LINES: LazyLock<Sender<String>> = LazyLock::new(|| {
        let (lines, queued) = channel();
        detached(move || queued.iter().for_each(|text| line(format_args!("{text}"))));
        lines
    });
    let _ = LINES.send(text);
}

/// Writes a line to standard error, and waits at most two seconds for a reader.
pub fn report(text: String) {
    let (written, taken) = channel();
    detached(move || {
        let _ = writeln!(io::stderr(), "{text}");
        let _ = written.send(());
    });
    let _ = taken.recv_timeout(WRITE_TIMEOUT);
}

fn detached(write: impl FnOnce() + Send + 'static) {
    // If no thread can be started, the line is lost, but the process continues.
    let _ = thread::Builder::new().name("output".to_owned()).spawn(write);
}
