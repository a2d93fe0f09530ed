//! `lodge status`: what a running server is doing, and what is wrong where it runs.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use super::{Failure, access::Access, doctor::print};
use crate::{admin_socket::AdminSocketError, config::DataArguments, doctor::Finding, output};

pub(super) const EXAMPLES: &str = "Examples:
  lodge status --data-dir /var/lib/lodge
  lodge status --json | jq .records.users

Exit codes:
   0  done, whatever was found: `lodge doctor` has exit codes for that
   1  no server is running, or it refuses the request";

#[derive(Args, Debug)]
pub(super) struct StatusArguments {
    #[command(flatten)]
    pub(super) data: DataArguments,

    /// Prints the server's answer as it is, one JSON object
    #[arg(long)]
    json: bool,
}

/// The status as the API shows it.
#[derive(Deserialize)]
struct Status {
    version: String,
    addresses: Vec<String>,
    #[serde(default)]
    started_at: String,
    uptime_secs: u64,
    records: Records,
    last_backup: Option<LastBackup>,
    locks: u64,
    store_bytes: u64,
    findings: Vec<Finding>,
}

#[derive(Deserialize)]
struct Records {
    users: u64,
    configurations: u64,
    api_keys: u64,
    sessions: u64,
}

#[derive(Deserialize)]
struct LastBackup {
    at: String,
    succeeded: bool,
}

pub(super) fn status(arguments: &StatusArguments) -> Result<(), Failure> {
    let data_dir = &arguments.data.data_dir;
    let not_running = || Failure::Refused(format!("no server is running on {}", data_dir.display()));
    let access = Access::to_running(data_dir)?.ok_or_else(not_running)?;
    let answer: Value = access.request("GET", "/status", None)?.json().map_err(Failure::Asked)?;
    if arguments.json {
        output::line(format_args!("{answer}"));
        return Ok(());
    }
    let status: Status = serde_json::from_value(answer).map_err(|_| Failure::Asked(AdminSocketError::Unreadable))?;
    for (name, value) in lines(&status) {
        output::line(format_args!("{name:<15} {value}"));
    }
    print(&status.findings);
    Ok(())
}

/// The lines of the table, each with its name.
fn lines(status: &Status) -> [(&'static str, String); 10] {
    let uptime = humantime::format_duration(std::time::Duration::from_secs(status.uptime_secs));
    let backup = status.last_backup.as_ref().map_or_else(
        || "none by schedule since the start".to_owned(),
        |LastBackup { at, succeeded }| format!("{at}, {}", if *succeeded { "sound" } else { "failed or deleted" }),
    );
    let Records { users, configurations, api_keys, sessions } = &status.records;
    [
        ("version", status.version.clone()),
        ("addresses", status.addresses.join(", ")),
        ("serving since", format!("{} ({uptime})", status.started_at)),
        ("users", users.to_string()),
        ("configurations", configurations.to_string()),
        ("API keys", api_keys.to_string()),
        ("sessions", sessions.to_string()),
        ("last backup", backup),
        ("locks", status.locks.to_string()),
        ("store", bytesize::ByteSize(status.store_bytes).to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_fact() {
        let answer = json!({
            "version": "0.4.0", "addresses": ["http://127.0.0.1:3000", "http://[::1]:3000"],
            "started_at": "2026-11-27T00:00:00.000Z", "uptime_secs": 90_061,
            "records": {"users": 3, "configurations": 4, "api_keys": 5, "sessions": 6},
            "last_backup": {"at": "2026-11-27T01:00:00.000Z", "succeeded": false},
            "locks": 1, "store_bytes": 1_048_576, "findings": [],
        });

        let lines = lines(&serde_json::from_value(answer).unwrap());

        let expected = [
            ("version", "0.4.0"),
            ("addresses", "http://127.0.0.1:3000, http://[::1]:3000"),
            ("serving since", "2026-11-27T00:00:00.000Z (1day 1h 1m 1s)"),
            ("users", "3"),
            ("configurations", "4"),
            ("API keys", "5"),
            ("sessions", "6"),
            ("last backup", "2026-11-27T01:00:00.000Z, failed or deleted"),
            ("locks", "1"),
            ("store", "1.0 MiB"),
        ];
        assert_eq!(lines, expected.map(|(name, value)| (name, value.to_owned())));
    }
}
