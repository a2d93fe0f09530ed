//! `lodge user`: the accounts.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{
    Failure,
    access::Access,
    attributes::UserAttributes,
    list::{Account, List},
    locks,
    password::{SecretBody, new_password},
    table::OutputArguments,
};
use crate::{config::DataArguments, logging::printable, output};

/// The columns of the table of accounts.
const COLUMNS: [&str; 7] = ["id", "username", "email", "is_admin", "suspended", "expired_at", "created_at"];

#[derive(Args, Debug)]
pub(super) struct UserArguments {
    #[command(subcommand)]
    verb: UserVerb,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

#[derive(Debug, Subcommand)]
enum UserVerb {
    /// Lists all accounts
    #[command(after_help = "Examples:\n  lodge user list\n  lodge user list --json --data-dir /var/lib/lodge")]
    List {
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Shows an account
    #[command(after_help = "Examples:\n  lodge user show ann\n  lodge user show 2 --json")]
    Show {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Adds an account; its password is asked for, or is the first line of standard input
    #[command(
        after_help = "Examples:\n  lodge user add ann\n  lodge user add bob --admin --email bob@example.org < password"
    )]
    Add {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        attributes: UserAttributes,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Changes the given attributes of an account
    #[command(
        after_help = "Examples:\n  lodge user set ann --email ann@example.org\n  lodge user set ann --username anna --admin=false"
    )]
    Set {
        #[command(flatten)]
        named: Named,
        /// Another name for it
        #[arg(long, value_name = "NAME")]
        username: Option<String>,
        #[command(flatten)]
        attributes: UserAttributes,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Removes an account with its sessions, configurations and API keys
    #[command(after_help = "Examples:\n  lodge user remove ann")]
    Remove {
        #[command(flatten)]
        named: Named,
    },
    /// Gives an account another password, which is asked for or is the first line of standard input; its sessions end
    #[command(after_help = "Examples:\n  lodge user password admin\n  lodge user password admin < password")]
    Password {
        #[command(flatten)]
        named: Named,
    },
    /// Suspends an account: nothing of it works from then on, and nothing is deleted
    #[command(after_help = "Examples:\n  lodge user suspend ann")]
    Suspend {
        #[command(flatten)]
        named: Named,
    },
    /// Ends the suspension of an account
    #[command(after_help = "Examples:\n  lodge user resume ann")]
    Resume {
        #[command(flatten)]
        named: Named,
    },
    /// Lets attempts at an account pass again that wait after failed ones
    #[command(after_help = "Examples:\n  lodge user unlock admin")]
    Unlock {
        #[command(flatten)]
        named: Named,
    },
}

#[derive(Args, Debug)]
struct Named {
    /// The account's name, or its id
    #[arg(value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    name: String,
}

pub(super) fn user(UserArguments { verb, data }: &UserArguments) -> Result<(), Failure> {
    match verb {
        UserVerb::List { output } => output.print(List::of(&Access::to(data)?, "/users", "users"), &COLUMNS),
        UserVerb::Show { named, output } => output.show(&named.find(&Access::to(data)?)?.user),
        UserVerb::Add { named, attributes, output } => {
            output.show(&add(&Access::to(data)?, &named.name, attributes.members())?)
        }
        UserVerb::Set { named, username, attributes, output } => {
            let username = username.iter().map(|username| ("username".to_owned(), Value::from(username.as_str())));
            let members = username.chain(attributes.members()).collect();
            output.show(&update(&Access::to(data)?, named, members)?)
        }
        UserVerb::Remove { named } => remove(&Access::to(data)?, named),
        UserVerb::Password { named } => set_password(&Access::to(data)?, named),
        UserVerb::Suspend { named } => set_suspended(&Access::to(data)?, named, true),
        UserVerb::Resume { named } => set_suspended(&Access::to(data)?, named, false),
        UserVerb::Unlock { named } => unlock(&locks::of_running_server(data)?, named),
    }
}

fn add(access: &Access, name: &str, members: Map<String, Value>) -> Result<Value, Failure> {
    let mut members = members;
    members.insert("username".to_owned(), name.into());
    let body = SecretBody::new(members, &new_password(name)?);
    access.call("POST", "/users", Some(body.expose()))?.json().map_err(Failure::Asked)
}

fn update(access: &Access, named: &Named, members: Map<String, Value>) -> Result<Value, Failure> {
    let account = named.find(access)?;
    access.call("PUT", &account.path, Some(&members.into()))?.json().map_err(Failure::Asked)
}

fn remove(access: &Access, named: &Named) -> Result<(), Failure> {
    let account = named.find(access)?;
    access.call("DELETE", &account.path, None)?;
    done(&account, "is removed");
    Ok(())
}

fn set_password(access: &Access, named: &Named) -> Result<(), Failure> {
    let account = named.find(access)?;
    let body = SecretBody::new(Map::new(), &new_password(account.name())?);
    access.call("PUT", &account.path, Some(body.expose()))?;
    done(&account, "has a new password");
    Ok(())
}

fn set_suspended(access: &Access, named: &Named, suspended: bool) -> Result<(), Failure> {
    let account = named.find(access)?;
    access.call("PUT", &account.path, Some(&json!({"suspended": suspended})))?;
    done(&account, if suspended { "is suspended" } else { "is no longer suspended" });
    Ok(())
}

fn unlock(access: &Access, named: &Named) -> Result<(), Failure> {
    let account = named.find(access)?;
    locks::clear(access, Some(account.name()), None)?;
    done(&account, "is not locked out");
    Ok(())
}

fn done(account: &Account, what: &str) {
    output::line(format_args!("user {} {what}", printable(account.name())));
}

impl Named {
    fn find(&self, access: &Access) -> Result<Account, Failure> {
        Account::find(access, &self.name)
    }
}
