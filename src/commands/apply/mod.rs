//! `lodge apply`: makes accounts, configurations and API keys what a file has.
//!
//! The server is asked twice: for what would change, with the values that new keys would have, and then to change it. In between
//! the values are written to their files: a value that no key has is worth nothing, but a key whose value is lost neither.

mod document;
mod key_files;
mod members;
mod text;

use std::path::PathBuf;

use clap::Args;
use serde_json::Value;

use self::{document::Document, key_files::KeyFiles};
use super::{
    Failure,
    access::{Access, good},
    table::OutputArguments,
};
use crate::{
    admin_socket::{AdminSocketError, Response},
    config::DataArguments,
};

pub(super) const EXAMPLES: &str = "\
The file:
  [[users]]                          # in JSON: {\"users\": [{...}]}
  username = \"ann\"                   # by this it is found; what is not given stays as it is
  password_file = \"ann.password\"     # readable by its owner alone; beside the file, unless absolute
  email = \"ann@example.org\"          # also is_admin, suspended, expired_at, user_id, ...
  configurations = { theme = \"dark\" }
  [[users.api_keys]]
  name = \"reader\"                    # by this it is found among ann's
  api_key_scopes = [\"configurations / index\"]
  expires_at = 2027-01-31T12:00:00Z  # also allowed_networks
  write_to = \"reader.key\"            # gets the value of a new key, once

Examples:
  lodge apply accounts.toml --dry-run
  lodge apply accounts.toml --prune
  generate | lodge apply - --json

Exit codes:
   0  done, or nothing differs
   1  the file is wrong, or what it has is refused; nothing was changed
   2  `--dry-run`: something differs; or a flag is wrong";

/// The columns of the table of changes.
const COLUMNS: [&str; 5] = ["change", "record", "username", "name", "details"];

#[derive(Args, Debug)]
pub(super) struct ApplyArguments {
    /// The file, in TOML or JSON; `-` for standard input
    file: PathBuf,

    /// Changes nothing; exits with 2 if something differs, with 0 if nothing does
    #[arg(long)]
    dry_run: bool,

    /// Removes what the file does not name from the lists that it has: accounts, if it has `users`; configurations and API
    /// keys of an account, if it has `configurations` and `api_keys` there. Never the last administrator
    #[arg(long)]
    prune: bool,

    #[command(flatten)]
    output: OutputArguments,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

pub(super) fn apply(arguments: &ApplyArguments) -> Result<(), Failure> {
    let mut document = Document::read(&arguments.file)?;
    let access = Access::to(&arguments.data)?;
    let planned = changes(ask(&access, &document, arguments.prune, true)?)?;
    if planned.is_empty() {
        arguments.output.print_none("nothing differs");
        return Ok(());
    }
    if arguments.dry_run {
        print(arguments.output, &planned)?;
        return Err(Failure::Differs(planned.len()));
    }
    let files = KeyFiles::write(&mut document, &planned)?;
    let changed = change(&access, &document, arguments.prune, files)?;
    print(arguments.output, &changed)
}

/// Asks for what would change, or to change it.
fn ask(access: &Access, document: &Document, prune: bool, dry_run: bool) -> Result<Response, Failure> {
    access.request("POST", &format!("/apply?dry_run={dry_run}&prune={prune}"), Some(document.body().expose()))
}

/// The changes of an answer, or the sentences of a refusal, one a line.
fn changes(response: Response) -> Result<Vec<Value>, Failure> {
    if response.status == 422 {
        let sentences = response.sentences().map_err(Failure::Asked)?;
        return Err(Failure::Refused(format!("nothing was changed:\n{}", sentences.join("\n"))));
    }
    let mut answer: Value = good(response)?.json().map_err(Failure::Asked)?;
    match answer["changes"].take() {
        Value::Array(changes) => Ok(changes),
        _ => Err(Failure::Asked(AdminSocketError::Unreadable)),
    }
}

/// Changes it, and keeps the files of the keys that are there afterwards.
fn change(access: &Access, document: &Document, prune: bool, files: KeyFiles) -> Result<Vec<Value>, Failure> {
    let answer = match ask(access, document, prune, false) {
        Ok(answer) => answer,
        // It may have been done.
        Err(failure) => {
            files.keep_all();
            return Err(failure);
        }
    };
    let status = answer.status;
    match changes(answer) {
        Ok(changed) => {
            files.keep(&changed);
            Ok(changed)
        }
        Err(failure) if (400..500).contains(&status) => Err(failure),
        Err(failure) => {
            keep_what_is_there(access, document, prune, files);
            Err(failure)
        }
    }
}

/// After a failure of the server: removes the files of keys that would still have to be made.
fn keep_what_is_there(access: &Access, document: &Document, prune: bool, files: KeyFiles) {
    match ask(access, document, prune, true).and_then(changes) {
        Ok(missing) => files.keep_others(&missing),
        Err(_) => files.keep_all(),
    }
}

/// Prints the changes, without values of keys.
fn print(output: OutputArguments, changes: &[Value]) -> Result<(), Failure> {
    let shown = changes.iter().map(|change| {
        let mut change = change.clone();
        change.as_object_mut().map(|members| members.shift_remove("key"));
        Ok(change)
    });
    output.print(shown, &COLUMNS)
}
