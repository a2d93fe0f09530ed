//! What commands print of the API's records: a table for people, lines of JSON for machines.
//!
//! Both are printed while the records come, in bounded memory: the columns of a table become wider where a later record needs it.

use std::{
    borrow::Cow,
    io::{self, BufWriter, Write},
    iter::once,
};

use clap::Args;
use serde_json::Value;

use super::Failure;
use crate::{logging::printable, output};

/// How many rows are aligned at once.
const ALIGNED: usize = 200;
/// How many characters of a text a table shows.
const MAX_CELL: usize = 80;

#[derive(Args, Clone, Copy, Debug)]
pub(super) struct OutputArguments {
    /// Prints JSON: a line for each record, as the API shows it
    #[arg(long)]
    json: bool,
}

impl OutputArguments {
    /// Prints the records, in a table with these members as columns.
    ///
    /// # Errors
    /// The first [`Failure`] among the records, once those before it are printed; [`Failure::Output`]. A closed pipe is none.
    pub(super) fn print(
        self,
        records: impl Iterator<Item = Result<Value, Failure>>,
        columns: &[&str],
    ) -> Result<(), Failure> {
        let mut out = BufWriter::new(io::stdout().lock());
        let printed = if self.json { print_lines(records, &mut out) } else { print_table(records, columns, &mut out) };
        unless_pipe_closed(printed.and_then(|()| out.flush().map_err(Failure::Output)))
    }

    /// Prints one record: a line for each member.
    ///
    /// # Errors
    /// [`Failure::Output`]. A closed pipe is none.
    pub(super) fn show(self, record: &Value) -> Result<(), Failure> {
        let text = if self.json { line(record) } else { members(record) };
        unless_pipe_closed(writeln!(io::stdout(), "{text}").map_err(Failure::Output))
    }

    /// Prints a sentence in place of a table without rows; JSON has no line then.
    pub(super) fn print_none(self, sentence: &str) {
        if !self.json {
            output::line(format_args!("{sentence}"));
        }
    }

    /// Prints that member of a record alone, or all of the record as JSON.
    ///
    /// # Errors
    /// [`Failure::Output`]. A closed pipe is none.
    pub(super) fn show_member(self, record: &Value, name: &str) -> Result<(), Failure> {
        let text = if self.json { line(record) } else { text(&record[name]).into_owned() };
        unless_pipe_closed(writeln!(io::stdout(), "{text}").map_err(Failure::Output))
    }
}

/// Writes a text to standard output.
///
/// # Errors
/// [`Failure::Output`]. A closed pipe is none.
pub(super) fn write_all(text: &[u8]) -> Result<(), Failure> {
    unless_pipe_closed(io::stdout().write_all(text).map_err(Failure::Output))
}

/// Ignores a closed pipe, as `head` leaves one.
fn unless_pipe_closed(printed: Result<(), Failure>) -> Result<(), Failure> {
    match printed {
        Err(Failure::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        printed => printed,
    }
}

fn print_lines(records: impl Iterator<Item = Result<Value, Failure>>, out: &mut impl Write) -> Result<(), Failure> {
    for record in records {
        writeln!(out, "{}", line(&record?)).map_err(Failure::Output)?;
    }
    Ok(())
}

fn line(record: &Value) -> String {
    printable(&record.to_string()).into_owned()
}

fn print_table(
    mut records: impl Iterator<Item = Result<Value, Failure>>,
    columns: &[&str],
    out: &mut impl Write,
) -> Result<(), Failure> {
    let headings = columns.iter().map(|column| column.replace('_', " ").to_uppercase()).collect();
    let (mut rows, mut widths) = (vec![headings], vec![0; columns.len()]);
    loop {
        let mut failure = None;
        for record in records.by_ref().take(ALIGNED) {
            match record {
                Ok(record) => rows.push(columns.iter().map(|column| cell(&record[column])).collect()),
                Err(error) => failure = Some(error),
            }
        }
        write_rows(&rows, &mut widths, out).map_err(Failure::Output)?;
        match failure {
            Some(failure) => return Err(failure),
            None if rows.len() < ALIGNED => return Ok(()),
            None => rows.clear(),
        }
    }
}

fn write_rows(rows: &[Vec<String>], widths: &mut [usize], out: &mut impl Write) -> io::Result<()> {
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    for row in rows {
        let cells = row.iter().zip(&*widths).map(|(cell, width)| format!("{cell:width$}"));
        writeln!(out, "{}", cells.collect::<Vec<_>>().join("  ").trim_end())?;
    }
    out.flush()
}

/// What a table shows of a value: the beginning of a long text.
fn cell(value: &Value) -> String {
    let text = text(value);
    match text.char_indices().nth(MAX_CELL) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.into_owned(),
    }
}

fn members(record: &Value) -> String {
    let members = || record.as_object().into_iter().flatten();
    let width = members().map(|(name, _)| name.len()).max().unwrap_or_default();
    let lines = members().flat_map(|(name, value)| {
        let texts: Vec<_> = match value.as_array() {
            Some(items) => items.iter().map(text).collect(),
            None => vec![text(value)],
        };
        let names = once(name.as_str()).chain(once("").cycle());
        names.zip(texts).map(move |(name, text)| format!("{name:width$}  {text}").trim_end().to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A value as people read it, with invisible characters escaped.
fn text(value: &Value) -> Cow<'_, str> {
    match value {
        Value::Null => "".into(),
        Value::Bool(truth) => if *truth { "yes" } else { "no" }.into(),
        Value::Number(number) => number.to_string().into(),
        Value::String(text) => printable(text),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(", ").into(),
        Value::Object(members) => match (members.get("controller"), members.get("action")) {
            (Some(controller), Some(action)) => {
                let used = members.get("last_used_at").map(|at| format!(", last used {}", text(at)));
                format!("{} / {}{}", text(controller), text(action), used.unwrap_or_default()).into()
            }
            _ => line(value).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn table(records: Vec<Result<Value, Failure>>, columns: &[&str]) -> (String, Option<String>) {
        let mut out = Vec::new();
        let printed = print_table(records.into_iter(), columns, &mut out);
        (String::from_utf8(out).unwrap(), printed.err().map(|failure| failure.to_string()))
    }

    #[test]
    fn columns_are_aligned_and_invisible_characters_escaped() {
        let ann = json!({"id": 2, "username": "ann", "is_admin": true, "email": "a\u{202e}b\u{1b}"});
        let bob = json!({"id": 13, "username": "bob.the.builder", "is_admin": false});

        let printed = table(vec![Ok(ann), Ok(bob)], &["id", "username", "is_admin", "email"]);

        let expected = "ID  USERNAME         IS ADMIN  EMAIL\n\
                        2   ann              yes       a\\u202eb\\u001b\n\
                        13  bob.the.builder  no\n";
        assert_eq!(printed, (expected.to_owned(), None));
    }

    #[test]
    fn lines_of_json_have_no_invisible_characters_either() {
        let mut out = Vec::new();
        print_lines([Ok(json!({"email": "a\u{202e}b"}))].into_iter(), &mut out).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), "{\"email\":\"a\\u202eb\"}\n");
    }

    #[test]
    fn a_table_is_printed_up_to_a_failure() {
        let records = vec![Ok(json!({"id": 1})), Err(Failure::Refused("no more".to_owned()))];
        assert_eq!(table(records, &["id"]), ("ID\n1\n".to_owned(), Some("no more".to_owned())));
    }

    #[test]
    fn a_table_of_any_length_has_each_record_once() {
        for number in [0, 1, ALIGNED - 1, ALIGNED, ALIGNED + 1, 5 * ALIGNED] {
            let (printed, failure) = table((0..number).map(|id| Ok(json!({"id": id}))).collect(), &["id"]);
            let ids: Vec<_> = printed.lines().skip(1).map(str::to_owned).collect();
            assert_eq!((ids, failure), ((0..number).map(|id| id.to_string()).collect(), None), "{number}");
        }
    }

    #[test]
    fn rows_are_printed_before_later_records_come() {
        let mut out = Shared::default();
        let printed = out.clone();
        let records = (0..=2 * ALIGNED).map(|id| {
            assert_eq!(printed.0.borrow().is_empty(), id < ALIGNED, "{id}");
            Ok(json!({"id": id}))
        });
        print_table(records, &["id"], &mut out).unwrap();
    }

    /// An output that can be read meanwhile.
    #[derive(Clone, Default)]
    struct Shared(std::rc::Rc<std::cell::RefCell<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_long_text_is_cut_in_a_table_alone() {
        let record = json!({"value": "ü".repeat(MAX_CELL + 1)});
        assert_eq!(cell(&record["value"]), format!("{}...", "ü".repeat(MAX_CELL)));
        assert_eq!(members(&record), format!("value  {}", "ü".repeat(MAX_CELL + 1)));
    }

    #[test]
    fn a_record_is_shown_member_by_member_and_a_scope_as_it_is_given() {
        let scopes = json!([{"controller": "users", "action": "*"}, {"controller": "audit", "action": "index"}]);
        let record = json!({"id": 1, "api_key_scopes": scopes, "allowed_networks": []});
        assert_eq!(
            members(&record),
            "id                1\napi_key_scopes    users / *\n                  audit / index"
        );
    }
}
