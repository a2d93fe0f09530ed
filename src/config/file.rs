//! The file with settings, which come after the environment and before the defaults.

use std::{env, ffi::OsString, path::Path};

use clap::{Arg, Command, CommandFactory, FromArgMatches, builder::Resettable};

use super::{Settings, kinds::Sources, nearest::nearest, setting::Setting};
use crate::files::read_text;

/// Parses a command line. The settings of the file that it or the environment names replace the defaults. Empty
/// environment variables count as unset.
///
/// # Errors
/// Those of the command line, or a sentence about the file.
pub fn parse<C: CommandFactory + FromArgMatches>(arguments: &[OsString]) -> Result<C, clap::Error> {
    let command = without_empty_variables(C::command());
    let lenient = command.clone().ignore_errors(true).get_matches_from(arguments);
    let mut verb = &lenient;
    while let Some((_, next)) = verb.subcommand() {
        verb = next;
    }
    // Raw, because its type differs between commands.
    let file = verb.try_get_raw("config").ok().flatten().and_then(|mut values| values.next_back());
    let command = match file {
        Some(file) => with_file(command, Path::new(file))?,
        None => command,
    };
    C::from_arg_matches(&command.try_get_matches_from(arguments)?)
}

/// The command without variables that are set but empty, as `${NAME:-}` sets them in a compose file.
fn without_empty_variables(command: Command) -> Command {
    let is_empty = |argument: &Arg| argument.get_env().and_then(env::var_os).is_some_and(|value| value.is_empty());
    let command =
        command.mut_args(|argument| if is_empty(&argument) { argument.env(Resettable::Reset) } else { argument });
    command.mut_subcommands(without_empty_variables)
}

/// The command with the file's settings as its defaults, also for the subcommands with these settings.
fn with_file(mut command: Command, file: &Path) -> Result<Command, clap::Error> {
    let refuse =
        |why: String| clap::Error::raw(clap::error::ErrorKind::ValueValidation, format!("{}: {why}\n", file.display()));
    let text = read_text(file).map_err(|error| refuse(error.to_string()))?;
    let table: toml::Table = text.parse().map_err(|error: toml::de::Error| refuse(error.message().to_owned()))?;
    let declared = Settings::declared();
    let mut wrong = Vec::new();
    for (key, value) in table {
        match given(&declared, &key, &value) {
            Ok((setting, text)) => command = with_default(command, setting, &text),
            Err(why) => wrong.push(why),
        }
    }
    if wrong.is_empty() { Ok(command) } else { Err(refuse(wrong.join("; "))) }
}

/// The setting with that key and its value as text.
///
/// # Errors
/// A sentence with the nearest name of a setting, if there is a near one.
fn given<'a>(declared: &'a [Setting], key: &str, value: &toml::Value) -> Result<(&'a Setting, String), String> {
    let wrong = || format!("`{}` is not a setting with a value", key.escape_debug());
    match in_file(declared, key) {
        Some(setting) => Ok((setting, text_of(value, setting.is_list).ok_or_else(wrong)?)),
        None => Err(match nearest_setting(declared, key) {
            Some(near) => format!("{}; is `{near}` meant?", wrong()),
            None => wrong(),
        }),
    }
}

/// The setting that is meant by a mistyped key.
fn nearest_setting(declared: &[Setting], key: &str) -> Option<String> {
    let in_file = declared.iter().filter(|setting| setting.sources == Sources::All).map(Setting::flag);
    nearest(&key.replace('_', "-").to_lowercase(), in_file)
}

/// The setting with that key, if the file can have it.
fn in_file<'a>(declared: &'a [Setting], key: &str) -> Option<&'a Setting> {
    let name = key.replace('-', "_");
    declared.iter().find(|setting| setting.name == name && setting.sources == Sources::All)
}

/// The command with that text as the default of the setting, wherever it or one of its verbs has it.
fn with_default(command: Command, setting: &Setting, text: &str) -> Command {
    let has_it = command.get_arguments().any(|argument| argument.get_id() == setting.name);
    let command = if has_it {
        command.mut_arg(setting.name, |argument| argument.default_value(text.to_owned()))
    } else {
        command
    };
    command.mut_subcommands(|verb| with_default(verb, setting, text))
}

fn text_of(value: &toml::Value, is_list: bool) -> Option<String> {
    match value {
        toml::Value::String(text) => Some(text.clone()),
        toml::Value::Array(items) if is_list && !items.is_empty() => {
            let texts = items.iter().map(toml::Value::as_str).collect::<Option<Vec<_>>>()?;
            Some(texts.join(","))
        }
        toml::Value::Integer(number) => Some(number.to_string()),
        toml::Value::Boolean(truth) => Some(truth.to_string()),
        toml::Value::Float(_) | toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => None,
    }
}
