//! `lodge audit`: prints or verifies the audit log.

use std::{
    io::{self, BufWriter, Write},
    os::unix::net::UnixStream,
};

use clap::Args;
use serde::de::DeserializeOwned;

use super::{Failure, failure::asked, on_stopped_store};
use crate::{
    admin_socket::{self, AdminSocketError},
    api::operations::PREFIX,
    audit::{self, AuditError, Chain, Filter, LogReader, Report, directory_in},
    clock::{Clock, Timestamp},
    config::DataArguments,
    logging::printable,
    output,
    secret::RootSecret,
};

#[derive(Args, Debug)]
pub(super) struct AuditArguments {
    #[command(flatten)]
    pub(super) data: DataArguments,

    /// Only entries from that time on: RFC 3339, or how long ago (24h)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<Timestamp>,

    /// Only entries before that time: RFC 3339, or how long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<Timestamp>,

    /// Only entries by or about the user of that name or id
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// Only entries of that action: `users / create`, `users / *`
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,

    /// Verifies that the log is what the server wrote, and names the first entry that is not, instead of printing
    /// entries
    #[arg(long, conflicts_with_all = ["since", "until", "user", "action"])]
    verify: bool,
}

pub(super) fn audit(arguments: &AuditArguments) -> Result<(), Failure> {
    let server = admin_socket::connect(&arguments.data.data_dir).map_err(asked)?;
    if !arguments.verify {
        return unless_pipe_closed(print(arguments, server));
    }
    let Report { first, last, key_since, fault } = match server {
        Some(server) => ask(server, "/audit/verification", &mut io::sink())?,
        None => verify_stopped(arguments)?,
    };
    if let Some(fault) = fault {
        return Err(Failure::Tampered(fault));
    }
    output::line(format_args!("the audit log is what was written: entries {first} to {last}"));
    if key_since > first {
        output::line(format_args!(
            "entries before {key_since} are as they were when entry {key_since} sealed them; earlier changes cannot be detected"
        ));
    }
    Ok(())
}

fn print(arguments: &AuditArguments, server: Option<UnixStream>) -> Result<(), Failure> {
    let filter = Filter {
        since: arguments.since,
        until: arguments.until,
        user: arguments.user.clone(),
        action: arguments.action.clone(),
    };
    let mut out = Printable::new(BufWriter::new(io::stdout()));
    match server {
        Some(server) => ask::<()>(server, &format!("/audit/export?{}", query(&filter)), &mut out)?,
        None => on_stopped_store(&arguments.data.data_dir, |directory, store| {
            let log_reader = LogReader::of(&directory_in(directory.path()))?;
            Ok(log_reader.print(store, &filter, &mut |line| writeln!(out, "{line}"))?)
        })?,
    }
    out.flush().map_err(|error| AuditError::Out(error).into())
}

/// Writes lines with control characters escaped: they may come from another process than the server.
struct Printable<W: Write> {
    out: W,
    line: Vec<u8>,
}

impl<W: Write> Printable<W> {
    fn new(out: W) -> Self {
        Self { out, line: Vec::new() }
    }
}

impl<W: Write> Write for Printable<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if let Some(line) = self.line.strip_suffix(b"\n") {
                writeln!(self.out, "{}", printable(&String::from_utf8_lossy(line)))?;
                self.line.clear();
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Ignores a closed pipe, as `head` leaves one.
fn unless_pipe_closed(printed: Result<(), Failure>) -> Result<(), Failure> {
    let is_enough = |error: &io::Error| error.kind() == io::ErrorKind::BrokenPipe;
    match printed {
        Err(Failure::Audit(AuditError::Out(error)) | Failure::Asked(AdminSocketError::Io(error)))
            if is_enough(&error) =>
        {
            Ok(())
        }
        printed => printed,
    }
}

fn ask<T: DeserializeOwned>(server: UnixStream, path: &str, out: &mut dyn Write) -> Result<T, Failure> {
    let response = admin_socket::send(server, "GET", &format!("{PREFIX}{path}"), None);
    response.and_then(|response| response.lines(out, &mut |_| {})).map_err(Failure::Asked)
}

fn query(filter: &Filter) -> String {
    let Filter { since, until, user, action } = filter.clone();
    let time = |time: Option<Timestamp>| time.map(|time| time.to_string());
    let given = [("since", time(since)), ("until", time(until)), ("user", user), ("action", action)];
    let given = given.into_iter().filter_map(|(name, value)| Some((name, value?)));
    form_urlencoded::Serializer::new(String::new()).extend_pairs(given).finish()
}

fn verify_stopped(arguments: &AuditArguments) -> Result<Report, Failure> {
    on_stopped_store(&arguments.data.data_dir, |directory, store| {
        let secret_file = arguments.data.secret_path(directory.path());
        let chain = Chain::new(&RootSecret::open(&secret_file, false)?);
        Ok(audit::verify(&chain, &LogReader::of(&directory_in(directory.path()))?, store)?)
    })
}

fn moment(text: &str) -> Result<Timestamp, String> {
    Filter::moment(text, Clock::system().now())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_closes_the_connection_is_no_closed_output() {
        let (server, client) = UnixStream::pair().unwrap();
        drop(server);

        let printed = unless_pipe_closed(ask(client, "/audit/export", &mut io::sink()));

        assert!(matches!(printed, Err(Failure::Asked(AdminSocketError::Io(_)))), "{printed:?}");
    }

    #[test]
    fn control_characters_of_any_line_are_escaped() {
        let mut out = Printable::new(Vec::new());
        for piece in ["{\"id\":1}\n{\"id", "\":2,\u{1b}]0;owned\u{7}\u{9b}31m}\n", "a piece"] {
            out.write_all(piece.as_bytes()).unwrap();
        }
        let printed = String::from_utf8(out.out).unwrap();
        assert_eq!(printed, "{\"id\":1}\n{\"id\":2,\\u001b]0;owned\\u0007\\u009b31m}\n");
    }
}
