//! New passwords, and tokens, for commands: typed at a terminal without echo, or the first line of standard input.

use std::io::{self, BufRead, IsTerminal, Read, Write};

use serde_json::{Map, Value};
use zeroize::{Zeroize, Zeroizing};

use super::{Failure, terminal::WithoutEcho};
use crate::secret::Secret;

/// How many bytes are read as a password: more than the API takes, so that a longer one is refused and not cut.
const MAX_LINE: usize = 4096;
/// What is asked for, in messages.
const PASSWORD: &str = "password";
const TOKEN: &str = "API key or session token";

/// The body of a request with a password in it, whose texts are wiped when it is dropped.
pub(super) struct SecretBody(Value);

impl SecretBody {
    /// Those members with the password.
    pub(super) fn new(mut members: Map<String, Value>, password: &Secret<String>) -> Self {
        members.insert("password".to_owned(), password.expose().as_str().into());
        Self(members.into())
    }

    /// A body that has passwords or keys in it.
    pub(super) fn of(body: Value) -> Self {
        Self(body)
    }

    /// The body itself; do not print or store it.
    pub(super) fn expose(&self) -> &Value {
        &self.0
    }
}

impl Drop for SecretBody {
    fn drop(&mut self) {
        wipe(&mut self.0);
    }
}

fn wipe(value: &mut Value) {
    match value {
        Value::String(text) => text.zeroize(),
        Value::Array(items) => items.iter_mut().for_each(wipe),
        Value::Object(members) => members.values_mut().for_each(wipe),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A new password for that user. At a terminal it is asked for twice.
///
/// # Errors
/// [`Failure::Refused`] if there is none or they differ; [`Failure::Input`].
pub(super) fn new_password(username: &str) -> Result<Secret<String>, Failure> {
    if !io::stdin().is_terminal() {
        return line_of(&mut io::stdin().lock(), PASSWORD);
    }
    let password = ask(&format!("New password of {username}: "), PASSWORD)?;
    if *ask("The same again: ", PASSWORD)?.expose() == *password.expose() {
        Ok(password)
    } else {
        Err(Failure::Refused("the two passwords differ; nothing was changed".to_owned()))
    }
}

/// An API key or a session token: asked for at a terminal, else the first line of standard input.
///
/// # Errors
/// [`Failure::Refused`] if there is none; [`Failure::Input`].
pub(super) fn presented_token() -> Result<Secret<String>, Failure> {
    if io::stdin().is_terminal() { ask("API key: ", TOKEN) } else { token_of(&mut io::stdin().lock()) }
}

/// The API key or the session token in the first line.
///
/// # Errors
/// As [`presented_token`].
pub(super) fn token_of(input: &mut impl BufRead) -> Result<Secret<String>, Failure> {
    line_of(input, TOKEN)
}

fn ask(question: &str, what: &str) -> Result<Secret<String>, Failure> {
    let _unseen = WithoutEcho::begin().map_err(Failure::Input)?;
    let _ = write!(io::stderr(), "{question}");
    line_of(&mut io::stdin().lock(), what)
}

/// The next line without its end.
fn line_of(input: &mut impl BufRead, what: &str) -> Result<Secret<String>, Failure> {
    // With room for all of it: a copy that was moved elsewhere would not be wiped.
    let mut line = Zeroizing::new(String::with_capacity(MAX_LINE));
    input.take(MAX_LINE as u64).read_line(&mut line).map_err(Failure::Input)?;
    if line.len() == MAX_LINE {
        return Err(Failure::Refused(format!("the {what} is too long")));
    }
    let password = line.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err(Failure::Refused(format!("no {what} was given")));
    }
    Ok(Secret::new(password.to_owned()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_text_of_a_body_is_wiped() {
        let members = Map::from_iter([("scopes".to_owned(), json!([{"action": "index"}, 7]))]);
        let mut body = SecretBody::new(members, &Secret::new("a house with a view".to_owned()));
        assert_eq!(body.expose()["password"], "a house with a view");

        wipe(&mut body.0);

        assert_eq!(*body.expose(), json!({"scopes": [{"action": ""}, 7], "password": ""}));
    }

    #[test]
    fn a_password_is_the_first_line_and_never_a_part_of_it() {
        let read = |mut text: &[u8]| {
            line_of(&mut text, PASSWORD).map(|password| password.expose().clone()).map_err(|e| e.to_string())
        };
        let long = "x".repeat(MAX_LINE);
        assert_eq!(read(b" a house \r\nwith a view\n").unwrap(), " a house ");
        assert_eq!(read(b"no line end").unwrap(), "no line end");
        assert_eq!(read(&long.as_bytes()[1..]).unwrap().len(), MAX_LINE - 1);
        assert_eq!(read(long.as_bytes()).unwrap_err(), "the password is too long");
        for empty in [&b""[..], b"\n", b"\r\n"] {
            assert_eq!(read(empty).unwrap_err(), "no password was given");
        }
        assert_eq!(read(b"\xff\n").unwrap_err(), "standard input cannot be read");
    }
}
