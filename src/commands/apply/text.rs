//! The text of the file, and of the files that it names.

use std::{
    io::{self, Read},
    path::Path,
};

use serde_json::{Map, Number, Value};
use zeroize::Zeroizing;

use crate::{
    api::strict_value,
    config::without_line_ends,
    files::{open_file, read_private_within, without_marks},
    privileges::as_operator,
    secret::Secret,
};

/// How many bytes the file may have: more than a server takes by default.
const MAX_BYTES: u64 = 8 << 20;
/// How deep its lists and tables may be nested.
const MAX_DEPTH: usize = 16;
/// How many bytes a file with a password may have.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// The values of the file, or of standard input if that is `-`.
///
/// # Errors
/// A sentence about what is wrong, with the line where the text is, and without quoting it.
pub(super) fn read(file: &Path) -> Result<Value, String> {
    let bytes = bytes(file).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(format!("it is larger than {} MiB", MAX_BYTES >> 20));
    }
    let text = without_marks(&bytes).map_err(|error| error.to_string())?;
    let text = str::from_utf8(&text).map_err(|_| "it is not text in UTF-8".to_owned())?;
    if text.trim_start().starts_with('{') { of_json(text) } else { of_toml(text) }
}

fn bytes(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut bytes = Zeroizing::new(Vec::new());
    if file == Path::new("-") {
        io::stdin().lock().take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    } else {
        as_operator(file, || open_file(file))?.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

fn of_json(text: &str) -> Result<Value, String> {
    strict_value(text.as_bytes(), MAX_DEPTH).map_err(|error| format!("it is no JSON that can be used: {error}"))
}

fn of_toml(text: &str) -> Result<Value, String> {
    let table: Result<toml::Table, toml::de::Error> = text.parse();
    table.map(object_of).map_err(|error| {
        let begin = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        format!("it is no TOML that can be used: {} at line {}", error.message(), begin.matches('\n').count() + 1)
    })
}

fn object_of(table: toml::Table) -> Value {
    Value::Object(table.into_iter().map(|(name, value)| (name, value_of(value))).collect::<Map<_, _>>())
}

fn value_of(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::String(text),
        toml::Value::Integer(number) => number.into(),
        // What is no number in JSON is refused as a text.
        toml::Value::Float(number) => Number::from_f64(number).map_or(Value::String(number.to_string()), Value::Number),
        toml::Value::Boolean(truth) => Value::Bool(truth),
        toml::Value::Datetime(time) => Value::String(time.to_string()),
        toml::Value::Array(items) => Value::Array(items.into_iter().map(value_of).collect()),
        toml::Value::Table(table) => object_of(table),
    }
}

/// The password in that file, which must be readable by its owner alone, without the line ends that editors append.
///
/// # Errors
/// A sentence about what is wrong.
pub(super) fn password(file: &Path) -> Result<Secret<String>, String> {
    let read = read_private_within(file, MAX_PASSWORD_BYTES + 1).map_err(|error| error.to_string())?;
    let bytes = read.map_err(|why| format!("it {why}"))?;
    if bytes.len() as u64 > MAX_PASSWORD_BYTES {
        return Err("it is too large to be a password".to_owned());
    }
    let text = without_marks(&bytes).map_err(|error| error.to_string())?;
    let text = str::from_utf8(&text).map_err(|_| "it is not text in UTF-8".to_owned())?;
    Ok(Secret::new(without_line_ends(text).to_owned()))
}
