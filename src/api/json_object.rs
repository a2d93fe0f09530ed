//! Reads the members of a JSON body as their types.

use serde_json::{Map, Value};

use crate::domain::{Change, Parsed, Problem, Violations};

/// The maximum length of a value that a violation repeats, in characters.
const MAX_REPEATED: usize = 255;

/// The members of a body, and the violations of those that have been read.
pub(super) struct JsonObject {
    object: Map<String, Value>,
    pub(super) violations: Violations,
}

impl JsonObject {
    /// Begins to read these members.
    pub(super) fn new(object: Map<String, Value>) -> Self {
        Self { object, violations: Violations::none() }
    }

    /// The member's text, if it is a text.
    pub(super) fn raw_text(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }

    /// The member's own members, if it is an object.
    pub(super) fn nested(&self, name: &str) -> Option<Self> {
        let object = self.object.get(name)?.as_object()?.clone();
        Some(Self::new(object))
    }

    /// Takes the list of that name, its items as objects; `None` if there is no such member.
    ///
    /// # Errors
    /// `invalid` if it is no list of objects.
    pub(super) fn take_objects(&mut self, name: &str) -> Option<Parsed<Vec<Self>>> {
        let Value::Array(items) = self.object.shift_remove(name)? else { return Some(Err(Problem::Invalid)) };
        let object = |item| match item {
            Value::Object(members) => Ok(Self::new(members)),
            _ => Err(Problem::Invalid),
        };
        Some(items.into_iter().map(object).collect())
    }

    /// Reads a text; `null` counts as the empty text.
    pub(super) fn text<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Change<T> {
        self.read(name, |value| match value {
            Value::Null => parse(""),
            Value::String(text) => parse(text),
            _ => Err(Problem::Invalid),
        })
    }

    /// Reads a text whose length counts in bytes; its violations do not repeat it.
    pub(super) fn text_in_bytes<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Change<T> {
        let parsed = match self.object.get(name) {
            None => return Change::Keep,
            Some(Value::Null) => parse(""),
            Some(Value::String(text)) => parse(text),
            Some(_) => Err(Problem::Invalid),
        };
        parsed.map_or_else(
            |problem| {
                self.violations.add_in_bytes(name, problem);
                Change::Keep
            },
            Change::Set,
        )
    }

    /// Reads a password; `null` counts as absent.
    pub(super) fn secret_text<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Change<T> {
        match self.object.get(name) {
            Some(Value::Null) => Change::Keep,
            _ => self.text_in_bytes(name, parse),
        }
    }

    /// Reads an optional text; `null` or the empty text clears it.
    pub(super) fn optional_text<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Change<Option<T>> {
        self.text(name, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// Reads an optional integer; `null` or the empty text clears it.
    pub(super) fn optional_integer<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(i128) -> Parsed<T>,
    ) -> Change<Option<T>> {
        self.read(name, |value| match value {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::Number(number) => {
                let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                parse(integer.ok_or(Problem::Invalid)?).map(Some)
            }
            _ => Err(Problem::Invalid),
        })
    }

    /// Reads a truth value; `null` counts as false.
    pub(super) fn truth(&mut self, name: &'static str) -> Change<bool> {
        self.read(name, |value| match value {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(*truth),
            _ => Err(Problem::Invalid),
        })
    }

    /// Reads a list; `null` counts as the empty list.
    pub(super) fn list<T>(&mut self, name: &'static str, parse: impl Fn(&[Value]) -> Parsed<T>) -> Change<T> {
        self.read(name, |value| match value {
            Value::Null => parse(&[]),
            Value::Array(items) => parse(items),
            _ => Err(Problem::Invalid),
        })
    }

    /// An optional list, cleared by `null`.
    pub(super) fn optional_list<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&[Value]) -> Parsed<T>,
    ) -> Change<Option<T>> {
        self.read(name, |value| match value {
            Value::Null => Ok(None),
            Value::Array(items) => parse(items).map(Some),
            _ => Err(Problem::Invalid),
        })
    }

    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&Value) -> Parsed<T>) -> Change<T> {
        let Some(value) = self.object.get(name) else { return Change::Keep };
        parse(value).map_or_else(
            |problem| {
                let repeated = if problem == Problem::Invalid { repeatable(value) } else { None };
                self.violations.add(name, problem, repeated);
                Change::Keep
            },
            Change::Set,
        )
    }
}

/// The refused value as a text, unless it is too long.
fn repeatable(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (text.chars().count() <= MAX_REPEATED).then_some(text)
}
