//! The log: one line an event, on standard error.

use std::{error::Error, io::Write, panic};

use env_logger::{Builder, fmt::Formatter};
use log::{LevelFilter, Record};

use crate::clock::Clock;

/// The longest message that is written whole, in characters.
const LONGEST: usize = 4000;

/// Starts logging what the filter lets through; the first call counts.
pub fn start(filter: &str) {
    let clock = Clock::system();
    let mut builder = Builder::new();
    // What these libraries call information is not worth a line here, unless the filter asks for it.
    builder.filter_module("actix_server", LevelFilter::Warn).filter_module("sled", LevelFilter::Warn);
    // It calls every malformed request an error, with which strangers could fill the log.
    builder.filter_module("actix_http", LevelFilter::Off);
    builder.parse_filters(filter).format(move |out, record| write(out, &clock, record));
    // A second call, as tests in one process make it, changes nothing.
    let _ = builder.try_init();
    panic::set_hook(Box::new(|panic| log::error!("panicked: {panic}")));
}

/// An error and its causes in one sentence, each said once.
pub fn chain(error: &dyn Error) -> String {
    let mut sentences = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        sentences.push(error.to_string());
        cause = error.source();
    }
    sentences.dedup();
    sentences.join(": ")
}

fn write(out: &mut Formatter, clock: &Clock, record: &Record<'_>) -> std::io::Result<()> {
    let message = one_line(&record.args().to_string());
    writeln!(out, "{} {:5} {} {message}", clock.now(), record.level(), record.target())
}

/// The text on one line: control characters escaped, cut if it is long.
fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in text.chars().take(LONGEST) {
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    if text.chars().count() > LONGEST {
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
        assert_eq!(one_line(&"x".repeat(5000)).len(), 4003);
    }
}
