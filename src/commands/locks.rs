//! `lodge locks`: lists and clears the lockouts of a running server.

use clap::{Args, Subcommand};
use serde::Deserialize;

use super::{Failure, access::Access, list::query};
use crate::{
    config::DataArguments,
    domain::{Network, Page},
    logging::printable,
    output,
    service::locks::LockKind,
};

#[derive(Args, Debug)]
pub(super) struct LocksArguments {
    #[command(subcommand)]
    verb: Option<LocksVerb>,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

#[derive(Debug, Subcommand)]
enum LocksVerb {
    /// Clears all locks, or those of a user, of an address, or of a user from an address
    Clear {
        /// Only those of this user
        #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: Option<String>,

        /// Only those of this IP address, or of the /64 that it is in
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        address: Option<String>,
    },
}

/// A lock as the API lists it.
#[derive(Deserialize)]
struct Lock {
    kind: LockKind,
    username: Option<String>,
    address: Option<String>,
    failures: u32,
    waits_until: String,
}

#[derive(Deserialize)]
struct Locks {
    locks: Vec<Lock>,
}

pub(super) fn locks(arguments: &LocksArguments) -> Result<(), Failure> {
    let access = of_running_server(&arguments.data)?;
    match &arguments.verb {
        None => list(&access),
        Some(LocksVerb::Clear { user, address }) => clear(&access, user.as_deref(), address.as_deref()),
    }
}

/// The way to a running server, which alone has locks.
///
/// # Errors
/// [`Failure::Refused`] if none runs; as [`Access::to_running`].
pub(super) fn of_running_server(data: &DataArguments) -> Result<Access, Failure> {
    let not_running = || format!("no server is running on {}; locks exist only in its memory", data.data_dir.display());
    Access::to_running(&data.data_dir)?.ok_or_else(|| Failure::Refused(not_running()))
}

/// Clears the locks of that user, of that address, of the one from the other, or all.
///
/// # Errors
/// As [`Access::call`].
pub(super) fn clear(access: &Access, user: Option<&str>, address: Option<&str>) -> Result<(), Failure> {
    let given = [("username", user), ("address", address)];
    let given: Vec<_> = given.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    access.call("DELETE", &format!("/locks?{}", query(&given)), None).map(|_| ())
}

/// Prints a line for each lock.
fn list(access: &Access) -> Result<(), Failure> {
    let mut offset = 0;
    loop {
        let response = access.request("GET", &format!("/locks?limit={}&offset={offset}", Page::MAX), None)?;
        let Locks { locks } = response.json().map_err(Failure::Asked)?;
        for lock in &locks {
            output::line(format_args!("{}", printable(&line(lock))));
        }
        offset += locks.len();
        if locks.len() < Page::MAX {
            return Ok(());
        }
    }
}

fn line(lock: &Lock) -> String {
    let address = lock.address.as_deref().unwrap_or_default();
    let username = lock.username.as_deref().unwrap_or("an unknown name");
    let what = match lock.kind {
        LockKind::AccountFromAddress => format!("{username} from {address}"),
        LockKind::Address => format!("{address}, on accounts that are new to it"),
        LockKind::Account => format!("{username}, from addresses that are new to it"),
    };
    format!("{what}: {} failures, waits until {}", lock.failures, lock.waits_until)
}

fn address(text: &str) -> Result<String, String> {
    Network::parse(text).map(|_| text.to_owned()).ok_or_else(|| "not an IP address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_describes_a_lock_and_names_only_existing_users() {
        let line_of = |kind, username: Option<&str>, address: Option<&str>| {
            let [username, address] = [username, address].map(|text| text.map(str::to_owned));
            line(&Lock { kind, username, address, failures: 7, waits_until: "1970-01-01T00:00:00.000Z".to_owned() })
        };
        let end = "7 failures, waits until 1970-01-01T00:00:00.000Z";
        for (text, what) in [
            (line_of(LockKind::AccountFromAddress, Some("ann"), Some("192.0.2.1")), "ann from 192.0.2.1"),
            (line_of(LockKind::AccountFromAddress, None, Some("::/64")), "an unknown name from ::/64"),
            (line_of(LockKind::Address, None, Some("192.0.2.1")), "192.0.2.1, on accounts that are new to it"),
            (line_of(LockKind::Account, Some("ann"), None), "ann, from addresses that are new to it"),
        ] {
            assert_eq!(text, format!("{what}: {end}"));
        }
    }
}
