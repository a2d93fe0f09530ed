//! `lodge locks`: accounts and addresses on which tries wait, in the memory of a running server.

use std::io;

use clap::{Args, Subcommand};

use super::Failure;
use crate::{
    admin_socket::{AdminSocket, AdminSocketError, Question},
    config::DataArguments,
    domain::Network,
    logging::printable,
    output,
    service::locks::{Lock, LockFilter, LockKind},
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
    /// Clears all locks, or those of a user, of an address, or of the one from the other
    Clear {
        /// Only those of this user
        #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
        user: Option<String>,

        /// Only those of this IP address, or of the /64 that it is in
        #[arg(long, value_name = "ADDRESS", value_parser = address)]
        address: Option<Network>,
    },
}

pub(super) fn locks(arguments: &LocksArguments) -> Result<(), Failure> {
    let admin_socket = AdminSocket::of(&arguments.data.data_dir).map_err(|error| Failure::Asked(error.into()))?;
    let nobody =
        || format!("no server is running on {}, and locks live no longer than it", arguments.data.data_dir.display());
    let admin_socket = admin_socket.ok_or_else(|| Failure::Refused(nobody()))?;
    match &arguments.verb {
        None => list(admin_socket).map_err(Failure::Asked),
        Some(LocksVerb::Clear { user, address }) => {
            let question = Question::ClearLocks(LockFilter { username: user.clone(), address: *address });
            admin_socket.ask::<()>(&question, &mut io::sink(), &mut |_| {}).map_err(Failure::Asked)
        }
    }
}

/// Prints a line for each lock.
fn list(admin_socket: AdminSocket) -> Result<(), AdminSocketError> {
    let mut lines = Vec::new();
    let () = admin_socket.ask(&Question::Locks, &mut lines, &mut |_| {})?;
    for lock in serde_json::Deserializer::from_slice(&lines).into_iter::<Lock>() {
        output::line(format_args!("{}", printable(&line(&lock.map_err(io::Error::from)?))));
    }
    Ok(())
}

fn line(lock: &Lock) -> String {
    let address = lock.address.map(|address| address.to_string()).unwrap_or_default();
    let username = lock.username.as_ref().map_or("a name that nobody has", |username| username.as_str());
    let what = match lock.kind {
        LockKind::AccountFromAddress => format!("{username} from {address}"),
        LockKind::Address => format!("{address}, on accounts that are new to it"),
        LockKind::Account => format!("{username}, from addresses that are new to it"),
    };
    format!("{what}: {} failures, waits until {}", lock.failures, lock.waits_until)
}

fn address(text: &str) -> Result<Network, String> {
    Network::parse(text).ok_or_else(|| "not an IP address".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::Timestamp, domain::Username};

    #[test]
    fn a_line_tells_what_waits_and_a_name_only_where_somebody_has_it() {
        let said = |kind, username, address: Option<&str>| {
            let username = Option::map(username, |username| Username::parse(username).unwrap());
            let address = address.and_then(Network::parse);
            line(&Lock { kind, username, address, failures: 7, waits_until: Timestamp::from_secs(0) })
        };
        let end = "7 failures, waits until 1970-01-01T00:00:00.000Z";
        for (said, what) in [
            (said(LockKind::AccountFromAddress, Some("ann"), Some("192.0.2.1")), "ann from 192.0.2.1"),
            (said(LockKind::AccountFromAddress, None, Some("::1")), "a name that nobody has from ::/64"),
            (said(LockKind::Address, None, Some("192.0.2.1")), "192.0.2.1, on accounts that are new to it"),
            (said(LockKind::Account, Some("ann"), None), "ann, from addresses that are new to it"),
        ] {
            assert_eq!(said, format!("{what}: {end}"));
        }
    }
}
