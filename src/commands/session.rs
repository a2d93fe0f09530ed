//! `lodge session`: who is signed in.

use clap::{Args, Subcommand};
use serde_json::Value;

use super::{
    Failure,
    access::Access,
    list::{Account, List, OfUser, encoded},
    table::OutputArguments,
};
use crate::config::DataArguments;

/// The columns of the table of sessions.
const COLUMNS: [&str; 5] = ["username", "id", "address", "created_at", "expires_at"];

#[derive(Args, Debug)]
pub(super) struct SessionArguments {
    #[command(subcommand)]
    verb: SessionVerb,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

#[derive(Debug, Subcommand)]
enum SessionVerb {
    /// Lists the sessions of a user, or of all users
    #[command(after_help = "Examples:\n  lodge session list\n  lodge session list --user ann --json")]
    List {
        /// Only those of this user
        #[arg(long, value_name = "NAME")]
        user: Option<String>,
        #[command(flatten)]
        output: OutputArguments,
    },
    /// Ends a session of a user, or all of them
    #[command(
        after_help = "Examples:\n  lodge session end --user ann 6f1c0d0e-3c1b-4b7e-9a55-6f0f0a1d2c3b\n  lodge session end --user ann --all"
    )]
    End {
        /// The session's id
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all")]
        id: Option<String>,
        #[command(flatten)]
        of: OfUser,
        /// Ends all sessions of the user
        #[arg(long)]
        all: bool,
    },
}

pub(super) fn session(SessionArguments { verb, data }: &SessionArguments) -> Result<(), Failure> {
    let access = Access::to(data)?;
    match verb {
        SessionVerb::List { user: Some(name), output } => {
            output.print(sessions(&access, Account::find(&access, name)?), &COLUMNS)
        }
        SessionVerb::List { user: None, output } => {
            let users = List::of(&access, "/users", "users");
            output.print(users.flat_map(|user| each(user.map(|user| sessions(&access, user.into())))), &COLUMNS)
        }
        SessionVerb::End { of, id, all: _ } => end(&access, &of.find(&access)?, id.as_deref()),
    }
}

/// The sessions of a user, each with the user's name.
fn sessions(access: &Access, account: Account) -> impl Iterator<Item = Result<Value, Failure>> {
    let path = format!("{}/sessions", account.path);
    List::of(access, &path, "sessions").map(move |session| {
        let mut session = session?;
        session["username"] = account.name().into();
        Ok(session)
    })
}

/// The items of a list, or the failure in its place.
fn each<I: Iterator<Item = Result<Value, Failure>>>(list: Result<I, Failure>) -> impl Iterator<Item = I::Item> {
    let (items, failure) = match list {
        Ok(items) => (Some(items), None),
        Err(failure) => (None, Some(Err(failure))),
    };
    items.into_iter().flatten().chain(failure)
}

/// Ends the session with that id, or all.
fn end(access: &Access, account: &Account, id: Option<&str>) -> Result<(), Failure> {
    let path = format!("{}/sessions", account.path);
    let ended = match id {
        None => access.call("DELETE", &path, None),
        Some(id) => {
            let what = format!("session {id} of {}", account.name());
            access.call_about(&what, ("DELETE", &format!("{path}/{}", encoded(id))), None)
        }
    };
    ended.map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_whose_sessions_cannot_be_listed_is_a_failure_and_not_left_out() {
        let of_users = [Ok(vec![Ok(1), Ok(2)]), Err(Failure::Refused("no".to_owned())), Ok(vec![Ok(3)])];
        let of_users =
            of_users.map(|list| list.map(|numbers| numbers.into_iter().map(|number| number.map(Value::from))));
        let listed: Vec<_> = of_users.into_iter().flat_map(each).map(Result::ok).collect();
        assert_eq!(listed, [Some(1.into()), Some(2.into()), None, Some(3.into())]);
    }
}
