//! The log: one line an event, on standard error.
//!
//! A thread of its own writes the lines, those of requests up to 20 ms later and together, warnings and errors at once.
//! So no request waits for a system call, nor for a reader: where nobody takes the lines, the queue is bounded, and the
//! next line that finds room is preceded by one that counts those that were dropped.

mod printable;
mod queue;

use std::{
    fmt::Write as _,
    io::{self, Write},
    panic,
    sync::Arc,
    thread,
};

use env_logger::{Builder, Logger, Target, fmt::Formatter};
use log::{Level, LevelFilter, Log, Metadata, Record};

pub use self::printable::printable;
use self::{
    printable::{DEFAULT, MAX_LENGTH, one_line},
    queue::Lines,
};
use crate::clock::Clock;

/// The target of the log's own lines.
const TARGET: &str = module_path!();

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
        let writer = thread::Builder::new().name("log".to_owned()).spawn(move || lines.write_on(io::stderr()));
        writer.expect("a thread can be started");
    }
    panic::set_hook(Box::new(|panic| log::error!("panicked: {panic}")));
}

/// Writes what is still queued, for the end of the process; waits for at most two seconds.
pub fn finish() {
    log::logger().flush();
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

/// Has warnings and errors written at once.
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
            self.lines.hurry();
        }
    }

    fn flush(&self) {
        self.lines.finish();
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
