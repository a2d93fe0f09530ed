//! The log: one line for each event, on standard error, as text or as JSON.
//!
//! A thread of its own writes the lines: warnings and errors at once, those of requests in batches up to 20 ms later.
//! So no request waits for a system call or for a reader of the log. If the log is not read, the queue is bounded;
//! lines beyond the bound are dropped and counted in a line before the next one.

mod json;
mod printable;
mod queue;
mod rate_limited_log;

use std::{
    fmt::Write as _,
    io, panic,
    sync::{Arc, OnceLock},
    thread,
};

use env_logger::Builder;
use log::{Level, LevelFilter, Log, Metadata, Record};

pub use self::{printable::printable, rate_limited_log::RateLimitedLog};
use self::{
    printable::{DEFAULT, MAX_LENGTH, one_line},
    queue::Lines,
};
use crate::{
    clock::{Clock, Timestamp},
    output,
};

/// The target of the log's own lines.
const TARGET: &str = module_path!();
/// The target of what the program itself reports.
const PROGRAM: &str = "lodge";

/// How lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Words for people.
    #[default]
    Text,
    /// A JSON object each; see the module `json`.
    Json,
}

impl Format {
    /// The format of that name.
    ///
    /// # Errors
    /// A sentence, if there is none.
    pub fn parse(name: &str) -> Result<Self, String> {
        match name {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err(format!("`{}` is neither text nor json", name.escape_default())),
        }
    }
}

static FORMAT: OnceLock<Format> = OnceLock::new();

/// Sets the format of everything that this process writes to the log and reports; only the first call counts.
pub fn set_format(format: Format) {
    let _ = FORMAT.set(format);
}

fn format() -> Format {
    FORMAT.get().copied().unwrap_or_default()
}

/// Writes what the program reports of its start to standard output, without waiting for a reader.
pub fn announce(message: &str) {
    output::announce(of_program(message.to_owned(), Level::Info, message));
}

/// Writes why the program ends, or what to do, to standard error; waits at most two seconds for a reader.
pub fn report(message: &str) {
    output::report(of_program(format!("{PROGRAM}: {message}"), Level::Error, message));
}

fn of_program(text: String, level: Level, message: &str) -> String {
    match format() {
        Format::Text => text,
        Format::Json => json::line(Clock::system().now(), level, PROGRAM, message),
    }
}

/// Starts logging the lines that pass the filter; only the first call counts.
///
/// # Panics
/// If no thread can be started.
pub fn start(filter: &str) {
    let mut builder = Builder::new();
    // Informational messages of these libraries are not logged unless the filter names them.
    builder.filter_module("actix_server", LevelFilter::Warn).filter_module("sled", LevelFilter::Warn);
    // It logs every malformed request as an error, with which any client could fill the log.
    builder.filter_module("actix_http", LevelFilter::Off);
    let lines = Arc::new(Lines::default());
    let filter = builder.parse_filters(filter).build();
    let max_level = filter.filter();
    // A second call, as in tests of one process, changes nothing.
    if log::set_boxed_logger(Box::new(Logger { filter, clock: Clock::system(), lines: Arc::clone(&lines) })).is_ok() {
        log::set_max_level(max_level);
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || lines.write_on(io::stderr()));
        writer.expect("a thread can be started");
    }
    panic::set_hook(Box::new(|panic| log::error!("panicked: {panic}")));
}

/// Writes the queued lines before the process ends; waits at most two seconds.
pub fn finish() {
    log::logger().flush();
}

/// Queues the lines that pass the filter, and has warnings and errors written at once.
struct Logger {
    /// Says which lines are logged; it writes none.
    filter: env_logger::Logger,
    clock: Clock,
    lines: Arc<Lines>,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.filter.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.filter.matches(record) {
            return;
        }
        self.lines.add(line(self.clock.now(), record).as_bytes());
        if record.level() <= Level::Warn {
            self.lines.hurry();
        }
    }

    fn flush(&self) {
        self.lines.finish();
    }
}

fn line(now: Timestamp, record: &Record<'_>) -> String {
    match format() {
        Format::Text => text_line(now, record),
        Format::Json => {
            let mut message = String::with_capacity(DEFAULT);
            // Of a value that cannot be written there is what it wrote.
            let _ = write!(message, "{}", record.args());
            json::line(now, record.level(), record.target(), &message) + "\n"
        }
    }
}

fn text_line(now: Timestamp, record: &Record<'_>) -> String {
    let (now, level) = (now.text(), record.level().as_str());
    let mut line = String::with_capacity(DEFAULT);
    line.extend([now.as_str(), " ", level, &"      "[level.len()..], record.target(), " "]);
    let head = line.len();
    // Of a value that cannot be written there is what it wrote.
    let _ = write!(line, "{}", record.args());
    let message = &line[head..];
    // Checks all bytes without an early exit, because the compiler vectorizes that.
    let are_plain = message.bytes().fold(true, |are_plain, byte| are_plain & (b' '..=b'~').contains(&byte));
    if message.len() > MAX_LENGTH || !are_plain {
        line = [&line[..head], &one_line(message)].concat();
    }
    line.push('\n');
    line
}
