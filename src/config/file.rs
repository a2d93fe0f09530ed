//! The file with settings, between the environment and the defaults.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use clap::{CommandFactory, FromArgMatches};

/// Reads a command line, with the settings of the file that it or the environment names in place of the defaults.
///
/// # Errors
/// What clap says of the command line, or what is wrong with the file.
pub fn parse<C: CommandFactory + FromArgMatches>(arguments: &[OsString]) -> Result<C, clap::Error> {
    let command = C::command();
    let lenient = command.clone().ignore_errors(true).get_matches_from(arguments);
    let verb = lenient.subcommand().map_or(&lenient, |(_, verb)| verb);
    let file = verb.try_get_one::<PathBuf>("config").ok().flatten().cloned();
    let command = match file {
        Some(file) => with_file(command, &file)?,
        None => command,
    };
    C::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// The command with the file's settings as its defaults, for itself and for its verb `serve`.
fn with_file(mut command: clap::Command, file: &Path) -> Result<clap::Command, clap::Error> {
    let refuse =
        |why: String| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{}: {why}\n", file.display()));
    let text = fs::read_to_string(file).map_err(|error| refuse(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    let mut wrong = Vec::new();
    for (name, value) in table {
        let id = name.replace('-', "_");
        // A loss is accepted once, by who has seen it.
        let may_be_in_file = !["config", "accept_loss"].contains(&id.as_str());
        let is_setting = may_be_in_file && command.get_arguments().any(|argument| argument.get_id() == id.as_str());
        match setting(&value).filter(|_| is_setting) {
            Some(text) => command = with_default(command, &id, &text),
            None => wrong.push(format!("`{name}` is not a setting with a value")),
        }
    }
    if wrong.is_empty() { Ok(command) } else { Err(refuse(wrong.join("; "))) }
}

fn with_default(command: clap::Command, id: &str, text: &str) -> clap::Command {
    let set = |command: clap::Command| command.mut_arg(id, |argument| argument.default_value(text.to_owned()));
    let has_serve = command.find_subcommand("serve").is_some();
    set(if has_serve { command.mut_subcommand("serve", set) } else { command })
}

fn setting(value: &toml::Value) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        _ => None,
    }
}
