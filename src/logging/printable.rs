//! Makes text safe to print: on one line, with invisible characters escaped.

use std::{borrow::Cow, fmt::Write as _, ops::RangeInclusive};

/// The length at which a message is cut, in characters.
pub(super) const MAX_LENGTH: usize = 4000;
/// The initial capacity of a line, enough for most.
pub(super) const DEFAULT: usize = 256;

/// The text, cut if it is long.
pub(super) fn cut(text: &str) -> String {
    let mut cut: String = text.chars().take(MAX_LENGTH).collect();
    if cut.len() < text.len() {
        cut.push_str("...");
    }
    cut
}

/// The text on one line, with invisible characters escaped, cut if it is long.
pub(super) fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for character in cut(text).chars() {
        if is_hidden(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// The line with invisible characters escaped as in JSON, so that it cannot control a terminal or mislead a reader. The
/// meaning of a line of JSON does not change.
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

/// Whether the character is invisible: a control character, a line separator, or one that is default ignorable in
/// Unicode 16, such as controls of direction and zero-width characters.
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
    fn invisible_characters_are_escaped_in_the_log_and_in_the_output_of_commands() {
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
