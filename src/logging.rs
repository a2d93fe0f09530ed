//! The log: one line an event, on standard error.
//!
//! A line of a request is written a moment later, together with those that come meanwhile, so that no request waits for
//! a system call. Warnings and errors, and all that was before them, are written at once.

use std::{
    fmt::Write as _,
    io::{self, Write},
    mem, panic,
    sync::{Arc, Condvar, Mutex, MutexGuard},
    thread,
    time::Duration,
};

use env_logger::{Builder, Logger, Target, fmt::Formatter};
use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::clock::Clock;

/// The longest message that is written whole, in characters.
const MAX_LENGTH: usize = 4000;
/// More bytes than most lines have.
const DEFAULT: usize = 256;
/// How long a line may wait for others.
const MAX_WAIT: Duration = Duration::from_millis(20);
/// How many bytes may wait; whoever brings more writes them.
const MAX_WAITING: usize = 1 << 20;

/// Starts logging what the filter lets through; the first call counts.
///
/// # Panics
/// If no thread can be started.
pub fn start(filter: &str) {
    let clock = Clock::system();
    let mut builder = Builder::new();
    // What these libraries call information is not worth a line here, unless the filter asks for it.
    builder.filter_module("actix_server", LevelFilter::Warn).filter_module("sled", LevelFilter::Warn);
    // It calls every malformed request an error, with which strangers could fill the log.
    builder.filter_module("actix_http", LevelFilter::Off);
    let lines = Arc::new(Lines::default());
    builder.parse_filters(filter).format(move |out, record| write(out, &clock, record));
    builder.target(Target::Pipe(Box::new(Queue(Arc::clone(&lines)))));
    let logger = builder.build();
    let most = logger.filter();
    // A second call, as tests in one process make it, changes nothing.
    if log::set_boxed_logger(Box::new(Prompt { logger, lines: Arc::clone(&lines) })).is_ok() {
        log::set_max_level(most);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || lines.write_on());
        writer.expect("a thread can be started");
    }
    panic::set_hook(Box::new(|panic| log::error!("panicked: {panic}")));
}

/// Writes what still waits; for the end of the process.
pub fn finish() {
    log::logger().flush();
}

/// Lines that wait to be written.
#[derive(Default)]
struct Lines {
    waiting: Mutex<Vec<u8>>,
    came: Condvar,
    /// Held while writing, so that lines keep their order.
    writing: Mutex<()>,
}

impl Lines {
    fn waiting(&self) -> MutexGuard<'_, Vec<u8>> {
        self.waiting.lock().expect("no holder of the lock panics")
    }

    fn add(&self, bytes: &[u8]) {
        let mut waiting = self.waiting();
        let is_first = waiting.is_empty();
        waiting.extend_from_slice(bytes);
        let are_too_many = waiting.len() > MAX_WAITING;
        drop(waiting);
        if is_first {
            self.came.notify_one();
        }
        if are_too_many {
            self.write();
        }
    }

    /// Writes what waits. That nobody reads the log any more is no reason to end.
    fn write(&self) {
        let _writing = self.writing.lock().expect("no holder of the lock panics");
        let bytes = mem::take(&mut *self.waiting());
        let _ = io::stderr().write_all(&bytes);
    }

    fn write_on(&self) -> ! {
        loop {
            let came = self.came.wait_while(self.waiting(), |waiting| waiting.is_empty());
            drop(came.expect("no holder of the lock panics"));
            thread::sleep(MAX_WAIT);
            self.write();
        }
    }
}

/// Where the logger writes to.
struct Queue(Arc<Lines>);

impl Write for Queue {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.add(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes at once what must not wait.
struct Prompt {
    logger: Logger,
    lines: Arc<Lines>,
}

impl Log for Prompt {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.logger.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        self.logger.log(record);
        if record.level() <= Level::Warn {
            self.flush();
        }
    }

    fn flush(&self) {
        self.lines.write();
    }
}

fn write(out: &mut Formatter, clock: &Clock, record: &Record<'_>) -> io::Result<()> {
    let (now, level) = (clock.now().text(), record.level().as_str());
    let mut line = String::with_capacity(DEFAULT);
    line.extend([now.as_str(), " ", level, &"      "[level.len()..], record.target(), " "]);
    let head = line.len();
    write!(line, "{}", record.args()).map_err(io::Error::other)?;
    let message = &line[head..];
    // All are looked at, because that is done many at a time.
    let are_plain = message.bytes().fold(true, |are_plain, byte| are_plain & (b' '..=b'~').contains(&byte));
    if message.len() > MAX_LENGTH || !are_plain {
        line = [&line[..head], &one_line(message)].concat();
    }
    line.push('\n');
    out.write_all(line.as_bytes())
}

/// The text on one line: control characters escaped, cut if it is long.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars().take(MAX_LENGTH) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if text.chars().nth(MAX_LENGTH).is_some() {
        line.push_str("...");
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_cannot_forge_another_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m"), "a\\r\\nb\\u{1b}[31m");
        assert_eq!(one_line("Z\u{fc}rich\n"), "Z\u{fc}rich\\n");
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(one_line(&"x".repeat(MAX_LENGTH)).len(), MAX_LENGTH);
        assert_eq!(one_line(&"x".repeat(5000)), format!("{}...", "x".repeat(MAX_LENGTH)));
    }
}
