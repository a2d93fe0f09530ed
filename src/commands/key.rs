//! `lodge key`: the API keys of users.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    Failure,
    access::Access,
    attributes::{given, text},
    list::{Account, List, OfUser},
    table::OutputArguments,
};
use crate::{admin_socket::Response, config::DataArguments};

/// The columns of the table of API keys.
const COLUMNS: [&str; 5] = ["id", "name", "expires_at", "allowed_networks", "last_used_at"];

#[derive(Args, Debug)]
pub(super) struct KeyArguments {
    #[command(subcommand)]
    verb: KeyVerb,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

#[derive(Debug, Subcommand)]
enum KeyVerb {
    /// Lists the API keys of a user
    #[command(after_help = "Examples:\n  lodge key list --user ann\n  lodge key list --user ann --json")]
    List {
        #[command(flatten)]
        of: OfUser,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Creates an API key and prints it; it is not shown again
    #[command(
        after_help = "Examples:\n  lodge key add --user ann --name reader --scope 'configurations / index'\n  lodge key add --user ann --scope '* / *' --expires-at 2027-01-31T12:00:00Z --network 10.0.0.0/8"
    )]
    Add {
        #[command(flatten)]
        of: OfUser,
        #[command(flatten)]
        attributes: KeyAttributes,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Shows an API key with its scopes, and which of them it has used
    #[command(after_help = "Examples:\n  lodge key show --user ann 1\n  lodge key show --user ann 1 --json")]
    Show {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Gives an API key another value and prints it; it is not shown again
    #[command(after_help = "Examples:\n  lodge key rotate --user ann 1 --overlap 1h\n  lodge key rotate --user ann 1")]
    Rotate {
        #[command(flatten)]
        named: Named,
        /// How long the old value stays valid
        #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
        overlap: std::time::Duration,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Ends the value that an API key had before its rotation, where `--overlap` keeps it valid
    #[command(after_help = "Examples:\n  lodge key end-former-value --user ann 1")]
    EndFormerValue {
        #[command(flatten)]
        named: Named,
    },
    /// Removes an API key; it is refused from then on
    #[command(after_help = "Examples:\n  lodge key remove --user ann 1")]
    Remove {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Args, Debug)]
struct Named {
    #[command(flatten)]
    of: OfUser,

    /// The API key's id
    id: u64,
}

#[derive(Args, Debug)]
struct KeyAttributes {
    /// A name for it
    #[arg(long, value_name = "NAME", value_parser = text())]
    name: Option<Value>,

    /// A scope that it has: `users / index`, `users / *`; may be given several times
    #[arg(long = "scope", value_name = "SCOPE", value_parser = scope)]
    scopes: Vec<Value>,

    /// When it ends, as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "TIME", value_parser = text())]
    expires_at: Option<Value>,

    /// A network that it may be used from: 10.0.0.0/8; may be given several times
    #[arg(long = "network", value_name = "NETWORK")]
    networks: Vec<String>,
}

impl KeyAttributes {
    fn members(&self) -> Map<String, Value> {
        let networks = (!self.networks.is_empty()).then(|| Value::from(self.networks.clone()));
        let scopes = Some(Value::from(self.scopes.clone()));
        given([
            ("name", &self.name),
            ("api_key_scopes", &scopes),
            ("expires_at", &self.expires_at),
            ("allowed_networks", &networks),
        ])
    }
}

pub(super) fn key(KeyArguments { verb, data }: &KeyArguments) -> Result<(), Failure> {
    let access = Access::to(data)?;
    match verb {
        KeyVerb::List { of, output } => {
            let path = format!("{}?include=activity", keys_of(&of.find(&access)?));
            output.print(List::of(&access, &path, "api_keys"), &COLUMNS)
        }
        KeyVerb::Add { of, attributes, output } => {
            let path = keys_of(&of.find(&access)?);
            let added = access.call("POST", &path, Some(&attributes.members().into()))?;
            output.show_member(&added.json().map_err(Failure::Asked)?, "key")
        }
        KeyVerb::Show { named, output } => output.show(&show(&access, named)?),
        KeyVerb::Rotate { named, overlap, output } => {
            let body = json!({"overlap": overlap.as_secs()});
            output.show_member(
                &named.call(&access, ("POST", "/rotate"), Some(&body))?.json().map_err(Failure::Asked)?,
                "key",
            )
        }
        KeyVerb::EndFormerValue { named } => named.call(&access, ("DELETE", "/former_value"), None).map(|_| ()),
        KeyVerb::Remove { named } => named.call(&access, ("DELETE", ""), None).map(|_| ()),
    }
}

impl Named {
    /// Makes a request about the key, at its path followed by `below`.
    fn call(&self, access: &Access, (method, below): (&str, &str), body: Option<&Value>) -> Result<Response, Failure> {
        let account = self.of.find(access)?;
        let (what, path) = (format!("API key {} of {}", self.id, account.name()), keys_of(&account));
        access.call_about(&what, (method, &format!("{path}/{}{below}", self.id)), body)
    }
}

fn keys_of(account: &Account) -> String {
    format!("{}/api_keys", account.path)
}

/// The key, with the scopes that it has used and since when that is known.
fn show(access: &Access, named: &Named) -> Result<Value, Failure> {
    let mut key: Value = named.call(access, ("GET", "?include=activity"), None)?.json().map_err(Failure::Asked)?;
    let mut usage: Value = named.call(access, ("GET", "/usage"), None)?.json().map_err(Failure::Asked)?;
    key["used_scopes"] = usage["api_key_scopes"].take();
    key["observed_since"] = usage["observed_since"].take();
    Ok(key)
}

pub(super) fn scope(text: &str) -> Result<Value, String> {
    let (controller, action) = text.split_once('/').ok_or("a scope is written as `users / index`")?;
    Ok(json!({"controller": controller.trim(), "action": action.trim()}))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scope_is_written_with_or_without_spaces() {
        let users = json!({"controller": "users", "action": "*"});
        assert_eq!([scope("users / *"), scope("users/*")], [Ok(users.clone()), Ok(users)]);
        assert!(scope("users").is_err());
    }
}
