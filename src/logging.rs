//! The log: one line an event, on standard error.
//!
//! A thread of its own writes the lines, those of requests up to 20 ms later and together, warnings and errors at once.
//! So no request waits for a system call, nor for a reader: where nobody takes the lines, the queue is bounded, and the
//! next line that finds room is preceded by one that counts those that were dropped.

use std::{
    borrow::Cow,
    fmt::Write as _,
    io::{self, Write},
    mem,
    ops::RangeInclusive,
    panic,
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
/// How many bytes may be queued; further lines are dropped and counted.
const MAX_QUEUED_BYTES: usize = 1 << 20;
/// How long the end of the process waits for a reader of the log.
const FINISH_TIMEOUT: Duration = Duration::from_secs(2);

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

/// Lines that wait to be written, and the thread's way of learning of them.
#[derive(Default)]
struct Lines {
    pending: Mutex<Pending>,
    changed: Condvar,
}

#[derive(Default)]
struct Pending {
    bytes: Vec<u8>,
    /// How many lines found no room since the last one that did.
    dropped: u64,
    is_urgent: bool,
    is_being_written: bool,
}

impl Lines {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().expect("no holder of the lock panics")
    }

    /// Queues a line, or counts it where the queue is full. Never waits for an output.
    fn add(&self, line: &[u8]) {
        let mut pending = self.pending();
        let is_first = pending.bytes.is_empty();
        pending.add(line);
        drop(pending);
        if is_first {
            self.changed.notify_all();
        }
    }

    /// Has everything that is queued written now.
    fn hurry(&self) {
        self.pending().is_urgent = true;
        self.changed.notify_all();
    }

    /// Waits until everything is written, or for as long as a reader may take.
    fn finish(&self) {
        self.hurry();
        let is_unwritten = |pending: &mut Pending| !pending.bytes.is_empty() || pending.is_being_written;
        let written = self.changed.wait_timeout_while(self.pending(), FINISH_TIMEOUT, is_unwritten);
        drop(written.expect("no holder of the lock panics"));
    }

    /// Writes batches of lines for ever.
    fn write_on(&self, mut out: impl Write) -> ! {
        loop {
            let batch = self.next_batch();
            let written = out.write_all(&batch);
            let mut pending = self.pending();
            pending.is_being_written = false;
            match written {
                Ok(()) => pending.report_dropped(),
                Err(_) => pending.dropped += count_lines(&batch),
            }
            drop(pending);
            self.changed.notify_all();
        }
    }

    /// Waits for the first line, and then a moment for others unless it is urgent.
    fn next_batch(&self) -> Vec<u8> {
        let first = self.changed.wait_while(self.pending(), |pending| pending.bytes.is_empty());
        let first = first.expect("no holder of the lock panics");
        let others = self.changed.wait_timeout_while(first, MAX_WAIT, |pending| !pending.is_urgent);
        let (mut pending, _) = others.expect("no holder of the lock panics");
        (pending.is_urgent, pending.is_being_written) = (false, true);
        mem::take(&mut pending.bytes)
    }
}

impl Pending {
    fn add(&mut self, line: &[u8]) {
        if self.bytes.len() + line.len() > MAX_QUEUED_BYTES {
            self.dropped += count_lines(line);
            return;
        }
        self.report_dropped();
        self.bytes.extend_from_slice(line);
    }

    fn report_dropped(&mut self) {
        let dropped = mem::take(&mut self.dropped);
        if dropped > 0 {
            let (now, target) = (Clock::system().now(), module_path!());
            let report =
                format!("{} WARN   {target} dropped {dropped} lines that nobody read in time\n", now.text().as_str());
            self.bytes.extend_from_slice(report.as_bytes());
        }
    }
}

fn count_lines(bytes: &[u8]) -> u64 {
    bytes.split(|byte| *byte == b'\n').count() as u64 - 1
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

/// The text on one line: what cannot be seen escaped, cut if it is long.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars().take(MAX_LENGTH) {
        if is_hidden(character) {
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

/// The line with what cannot be seen escaped as in JSON, so that it commands no terminal and reads as what it is. A line of
/// JSON means the same afterwards.
#[must_use]
pub fn printable(line: &str) -> Cow<'_, str> {
    if !line.contains(is_hidden) {
        return line.into();
    }
    let mut escaped = String::with_capacity(line.len() + DEFAULT);
    for character in line.chars() {
        if !is_hidden(character) {
            escaped.push(character);
            continue;
        }
        for unit in character.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").expect("a text can be appended to");
        }
    }
    escaped.into()
}

/// What changes how a line looks without being seen itself: control characters, separators of lines, and what Unicode 16 calls
/// default ignorable, to which all controls of direction and what has no width belong.
fn is_hidden(character: char) -> bool {
    const RANGES: [RangeInclusive<char>; 17] = [
        '\u{ad}'..='\u{ad}',
        '\u{34f}'..='\u{34f}',
        '\u{61c}'..='\u{61c}',
        '\u{115f}'..='\u{1160}',
        '\u{17b4}'..='\u{17b5}',
        '\u{180b}'..='\u{180f}',
        '\u{200b}'..='\u{200f}',
        '\u{2028}'..='\u{202e}',
        '\u{2060}'..='\u{206f}',
        '\u{3164}'..='\u{3164}',
        '\u{fe00}'..='\u{fe0f}',
        '\u{feff}'..='\u{feff}',
        '\u{ffa0}'..='\u{ffa0}',
        '\u{fff0}'..='\u{fffb}',
        '\u{1bca0}'..='\u{1bca3}',
        '\u{1d173}'..='\u{1d17a}',
        '\u{e0000}'..='\u{e0fff}',
    ];
    character.is_control() || (character > '~' && RANGES.iter().any(|range| range.contains(&character)))
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
    fn lines_beyond_the_bound_are_dropped_and_counted_in_front_of_the_next_that_finds_room() {
        let mut pending = Pending::default();
        let line = [vec![b'x'; (1 << 10) - 1], vec![b'\n']].concat();
        (0..1030).for_each(|_| pending.add(&line));
        assert_eq!((pending.bytes.len(), pending.dropped), (MAX_QUEUED_BYTES, 6));

        pending.bytes.clear();
        pending.add(b"next\n");

        let text = String::from_utf8(pending.bytes).unwrap();
        assert!(text.contains(" dropped 6 lines ") && text.ends_with("\nnext\n"), "{text}");
        assert_eq!(pending.dropped, 0);
    }

    #[test]
    fn what_cannot_be_seen_is_escaped_in_the_log_and_in_what_commands_print() {
        let hidden = [
            '\u{202e}', '\u{2066}', '\u{61c}', '\u{200e}', '\u{2028}', '\u{2029}', '\u{200b}', '\u{200d}', '\u{feff}',
            '\u{ad}',
        ];
        for character in hidden {
            let text = format!("a{character}b");
            let code = u32::from(character);
            assert_eq!(one_line(&text), format!("a\\u{{{code:x}}}b"));
            assert_eq!(printable(&text), format!("a\\u{code:04x}b"));
        }
        assert_eq!(one_line("a\u{e0041}"), "a\\u{e0041}");
        assert_eq!(
            serde_json::from_str::<String>(&format!("\"{}\"", printable("a\u{e0041}\u{9b}"))).unwrap(),
            "a\u{e0041}\u{9b}"
        );
        for visible in ["Zürich", "שלום", "日本", "e\u{301}", "🙂"] {
            assert_eq!((one_line(visible).as_str(), &*printable(visible)), (visible, visible));
        }
    }

    #[test]
    fn a_long_message_is_cut() {
        assert_eq!(one_line(&"x".repeat(MAX_LENGTH)).len(), MAX_LENGTH);
        assert_eq!(one_line(&"x".repeat(5000)), format!("{}...", "x".repeat(MAX_LENGTH)));
    }
}
