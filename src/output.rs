//! Standard output and standard error, neither of which anybody has to read.
//!
//! A closed or full output is no reason to fail: the work that a line reports is done by then. A pipe that is never read
//! blocks whoever writes to it, so what a server prints is written by a thread of its own.

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

/// How long the end of the process waits for a reader of its last lines.
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

/// Writes a line to standard error, and waits for at most two seconds until it is taken.
pub fn report(text: String) {
    let (written, taken) = channel();
    detached(move || {
        let _ = writeln!(io::stderr(), "{text}");
        let _ = written.send(());
    });
    let _ = taken.recv_timeout(WRITE_TIMEOUT);
}

fn detached(write: impl FnOnce() + Send + 'static) {
    // Without another thread the line is lost, but the process goes on.
    let _ = thread::Builder::new().name("output".to_owned()).spawn(write);
}
