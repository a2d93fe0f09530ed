//! `lodge configuration`: the settings that are stored for users.

use std::io::{self, Read};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::{
    Failure,
    access::{Access, good},
    list::{Account, List, OfUser, encoded, is_id},
    table::OutputArguments,
};
use crate::{config::DataArguments, domain::ConfigurationValue};

/// The columns of the table of configurations.
const COLUMNS: [&str; 3] = ["id", "key", "value"];
/// How many configurations are in memory at once.
const PAGE: usize = 20;

#[derive(Args, Debug)]
pub(super) struct ConfigurationArguments {
    #[command(subcommand)]
    verb: ConfigurationVerb,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

#[derive(Debug, Subcommand)]
enum ConfigurationVerb {
    /// Lists the configurations of a user
    #[command(
        after_help = "Examples:\n  lodge configuration list --user ann\n  lodge configuration list --user ann --json"
    )]
    List {
        #[command(flatten)]
        of: OfUser,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Prints the value of a configuration
    #[command(after_help = "Examples:\n  lodge configuration get --user ann theme")]
    Get {
        #[command(flatten)]
        of: OfUser,
        /// Its key
        key: String,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Creates a configuration, or changes its value
    #[command(
        after_help = "Examples:\n  lodge configuration set --user ann theme dark\n  lodge configuration set --user ann logo < logo.svg"
    )]
    Set {
        #[command(flatten)]
        of: OfUser,
        /// Its key
        key: String,
        /// Its value; all of standard input unless it is given
        value: Option<String>,
    },
    /// Removes a configuration
    #[command(after_help = "Examples:\n  lodge configuration unset --user ann theme")]
    Unset {
        #[command(flatten)]
        of: OfUser,
        /// Its key
        key: String,
    },
}

pub(super) fn configuration(arguments: &ConfigurationArguments) -> Result<(), Failure> {
    let access = Access::to(&arguments.data)?;
    match &arguments.verb {
        ConfigurationVerb::List { of, output } => output.print(list(&access, &of.find(&access)?), &COLUMNS),
        ConfigurationVerb::Get { of, key, output } => output.show_member(&get(&access, of, key)?, "value"),
        ConfigurationVerb::Set { of, key, value } => {
            let value = value.clone().map_or_else(value_from_input, Ok)?;
            set(&access, &of.find(&access)?, key, &value)
        }
        ConfigurationVerb::Unset { of, key } => unset(&access, &of.find(&access)?, key),
    }
}

fn list<'a>(access: &'a Access, account: &Account) -> List<'a> {
    List::of(access, &format!("{}/configurations", account.path), "configurations").in_pages_of(PAGE)
}

fn get(access: &Access, of: &OfUser, key: &str) -> Result<Value, Failure> {
    let account = of.find(access)?;
    let (what, path) = (described(&account, key), existing(access, &account, key)?);
    access.call_about(&what, ("GET", &path), None)?.json().map_err(Failure::Asked)
}

fn set(access: &Access, account: &Account, key: &str, value: &str) -> Result<(), Failure> {
    let path = path_of(access, account, key)?;
    let changed = path.map(|path| access.request("PUT", &path, Some(&json!({"value": value})))).transpose()?;
    if let Some(changed) = changed.filter(|response| response.status != 404) {
        return good(changed).map(|_| ());
    }
    let body = json!({"key": key, "value": value});
    access.call("POST", &format!("{}/configurations", account.path), Some(&body)).map(|_| ())
}

fn unset(access: &Access, account: &Account, key: &str) -> Result<(), Failure> {
    let path = existing(access, account, key)?;
    access.call_about(&described(account, key), ("DELETE", &path), None).map(|_| ())
}

fn described(account: &Account, key: &str) -> String {
    format!("configuration {key} of {}", account.name())
}

fn existing(access: &Access, account: &Account, key: &str) -> Result<String, Failure> {
    let unknown = || Failure::Refused(format!("there is no {}", described(account, key)));
    path_of(access, account, key)?.ok_or_else(unknown)
}

/// The path of the configuration with that key. One of digits alone would be an id there, so its own is looked up; `None` if
/// there is none.
fn path_of(access: &Access, account: &Account, key: &str) -> Result<Option<String>, Failure> {
    let path = |name: &str| format!("{}/configurations/{name}", account.path);
    if !is_id(key) {
        return Ok(Some(path(&encoded(key))));
    }
    for configuration in list(access, account) {
        let configuration = configuration?;
        if configuration["key"] == key {
            return Ok(Some(path(&configuration["id"].to_string())));
        }
    }
    Ok(None)
}

fn value_from_input() -> Result<String, Failure> {
    let mut value = String::new();
    // A byte more than the API takes: a longer value is refused and not cut.
    let limit = ConfigurationValue::MAX_BYTES as u64 + 1;
    io::stdin().lock().take(limit).read_to_string(&mut value).map_err(Failure::Input)?;
    Ok(value)
}
