//! `lodge explain`: who a credential stands for, and why it passes or not where a service demands scopes.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::{Value, json};

use super::{
    Failure,
    access::Access,
    list::Account,
    password::{SecretBody, presented_token, token_of},
    table::OutputArguments,
};
use crate::{config::DataArguments, domain::Scope, privileges::as_operator, secret::Secret};

pub(super) const EXAMPLES: &str = "Examples:
  echo \"$key\" | lodge explain --scope files/index
  lodge explain --scope files/index --scope media/show --key-file backup.key --json
  lodge explain --any --role administrator --user ann

From where a key may be used is shown and not checked.

Exit codes:
   0  it passes
   1  the request is refused, or there is no such user
   2  a flag is wrong
   5  it does not pass";

#[derive(Args, Debug)]
pub(super) struct ExplainArguments {
    /// A scope that the service demands: `files/index`; may be given several times, all of them are needed
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope, required_unless_present = "any", conflicts_with = "any")]
    scopes: Vec<Value>,

    /// The service demands a good credential and no scope
    #[arg(long)]
    any: bool,

    /// The role that the service demands too
    #[arg(long, value_name = "ROLE", value_parser = ["administrator"])]
    role: Option<String>,

    /// A file with the API key or session token in its first line; without it and --user, standard input has it
    #[arg(long, value_name = "FILE", conflicts_with = "user")]
    key_file: Option<PathBuf>,

    /// A user's name or id: explains a session or the password of that user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,

    #[command(flatten)]
    output: OutputArguments,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

pub(super) fn explain(arguments: &ExplainArguments) -> Result<(), Failure> {
    // Before a stopped server's data are taken: typing a key takes its time.
    let token = arguments.token()?;
    let access = Access::to(&arguments.data)?;
    let question = arguments.question(&access, token.as_ref())?;
    let explained = access.call("POST", "/explanation", Some(question.expose()))?;
    let explanation: Value = explained.json().map_err(Failure::Asked)?;
    arguments.output.show(&explanation)?;
    if explanation["passes"] == true { Ok(()) } else { Err(Failure::DoesNotPass) }
}

impl ExplainArguments {
    /// The token, unless a user is asked about.
    fn token(&self) -> Result<Option<Secret<String>>, Failure> {
        match (&self.user, &self.key_file) {
            (Some(_), _) => Ok(None),
            (None, Some(file)) => token_in(file).map(Some),
            (None, None) => presented_token().map(Some),
        }
    }

    fn question(&self, access: &Access, token: Option<&Secret<String>>) -> Result<SecretBody, Failure> {
        let mut question = json!({"scopes": self.scopes, "administrator": self.role.is_some()});
        if let Some(name) = &self.user {
            question["user_id"] = Account::find(access, name)?.user["id"].take();
        }
        if let Some(token) = token {
            question["token"] = token.expose().as_str().into();
        }
        Ok(SecretBody::of(question))
    }
}

/// The token in the first line of the file, which the operator can read.
fn token_in(path: &Path) -> Result<Secret<String>, Failure> {
    let failed = |error| Failure::Refused(format!("the file {} cannot be read: {error}", path.display()));
    let file = as_operator(path, || File::open(path)).map_err(failed)?;
    token_of(&mut BufReader::new(file))
}

fn scope(text: &str) -> Result<Value, String> {
    let (controller, action) = text.split_once('/').unwrap_or_default();
    let scope = Scope::parse(controller.trim(), action.trim()).map_err(|_| "a scope is written as `files/index`")?;
    Ok(json!({"controller": scope.controller(), "action": scope.action()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_one_of_the_form_that_keys_have() {
        let index = json!({"controller": "files", "action": "index"});
        assert_eq!([scope("files/index"), scope("files / index")], [Ok(index.clone()), Ok(index)]);
        for wrong in ["", "files", "files/", "/", "Files/index", "files/index/x", "any"] {
            assert!(scope(wrong).is_err(), "{wrong}");
        }
    }
}
