//! The command line, with one file for each command.

mod access;
mod audit;
mod backup;
mod doctor;
mod failure;
mod health;
mod locks;
mod memory;
mod restore;
mod rotate;
mod salvage;
mod serve;
mod verify;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{Parser, Subcommand};
use rustix::process::getuid;

use self::failure::Failure;
use crate::{
    config::{self, DataArguments, ServeArguments},
    directory::{DataDirectory, store_in, work_as_owner},
    domain::Actor,
    logging,
    service::replace::CACHE_BYTES,
    store::{DiskReserve, Store},
};

/// Users, sessions, settings and scoped API keys for an appliance, in one binary with its own store.
///
/// Without a verb it serves. Every flag can be given as an environment variable too, or in a file (--config).
#[derive(Debug, Parser)]
#[command(name = "lodge", version, args_conflicts_with_subcommands = true, after_help = EXIT_CODES)]
struct CommandLine {
    #[command(subcommand)]
    verb: Option<Verb>,

    #[command(flatten)]
    serve: ServeArguments,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Serves the API until SIGTERM or SIGINT
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArguments>),
    /// Makes a backup, also of a running server, and reads it back to check it
    Backup(backup::BackupArguments),
    /// Replaces the store by a backup, and keeps the old store beside it; no server may be running
    Restore(restore::RestoreArguments),
    /// Reads the whole store, also of a running server, and checks that it is consistent
    Verify(DataArguments),
    /// Prints or verifies the audit log, also of a running server
    Audit(audit::AuditArguments),
    /// Replaces the server's secret
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Lists locked-out accounts and addresses, and clears locks
    Locks(locks::LocksArguments),
    /// Checks that a running server with these settings of `serve` is ready, for the health check of a container; exits
    /// with 0 if it is
    Health(Box<ServeArguments>),
    /// Examines where a server with these settings of `serve` runs, whether it runs or not: data directory, file system, room,
    /// clock, certificate, secrets, memory, system users and accounts; changes nothing
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Box<doctor::DoctorArguments>),
}

#[derive(Debug, Subcommand)]
enum SecretVerb {
    /// Creates a new secret after the old one was leaked or lost; lists first what that ends; no server may be running
    Rotate(rotate::RotateArguments),
}

const EXIT_CODES: &str = "Exit codes:
   0  done
   1  the running server refuses the request; `health`: the server is not ready; `locks`: none is running; `verify`: the store
      is inconsistent; `audit --verify`: the log was changed, or is not vouched for
   2  a flag, a setting or the first administrator's password is wrong, or the memory is not enough
   3  `doctor`: there are warnings
   4  `doctor`: there are errors
  10  the data directory cannot be used, or is not a directory
  11  another lodge is using the data directory
  12  the store is damaged, has lost something, or is from a newer lodge
  13  the secret, or the key of the certificate, is missing or not safe
  14  the address cannot be listened on
  15  the storage failed while serving; start again once it is sound
  16  the data directory belongs to another user
  17  the data directory cannot be written to, or its disk has too little room
  18  the backup cannot be made, or is not a sound one";

/// Runs the command line and returns the exit code.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    let command_line = match config::parse::<CommandLine>(arguments) {
        Ok(command_line) => command_line,
        Err(error) => error.exit(),
    };
    let Some(verb) = command_line.verb else { return exit(serve::serve(&command_line.serve)) };
    exit(match verb {
        Verb::Serve(arguments) => serve::serve(&arguments),
        Verb::Backup(arguments) => quietly(&arguments.data, || backup::backup(&arguments)),
        Verb::Restore(arguments) => quietly(&arguments.data, || restore::restore(&arguments)),
        Verb::Verify(data) => quietly(&data, || verify::verify(&data)),
        Verb::Audit(arguments) => quietly(&arguments.data, || audit::audit(&arguments)),
        Verb::Secret(SecretVerb::Rotate(arguments)) => quietly(&arguments.data, || rotate::rotate(&arguments)),
        Verb::Locks(arguments) => quietly(&arguments.data, || locks::locks(&arguments)),
        Verb::Health(arguments) => health::health(&arguments),
        Verb::Doctor(arguments) => quietly_in(&arguments.serve.data_dir(), || doctor::doctor(&arguments)),
    })
}

/// Runs a command that prints its result, with warnings on standard error. If root runs it, it has the rights of the
/// data directory's owner.
fn quietly(data: &DataArguments, command: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    quietly_in(&data.data_dir, command)
}

fn quietly_in(data_dir: &Path, command: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    // No thread may have been started before, because it would keep root's rights.
    work_as_owner(data_dir)?;
    logging::start("warn");
    serve::harden_process();
    command()
}

/// Runs a command on the store of a server that does not run.
fn on_stopped_store<T>(
    data_dir: &Path,
    work: impl FnOnce(&DataDirectory, &Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let directory = DataDirectory::take_existing(data_dir)?;
    on_store_of(&directory, |store| work(&directory, store))
}

/// Runs a command on the store of a directory that is taken.
fn on_store_of<T>(directory: &DataDirectory, work: impl FnOnce(&Store) -> Result<T, Failure>) -> Result<T, Failure> {
    let path = store_in(directory.path());
    if !path.exists() {
        return Err(Failure::Refused(format!("there is no store in {}", directory.path().display())));
    }
    let store = Store::open(&path, CACHE_BYTES, DiskReserve::NONE)?;
    let done = work(&store);
    store.finish();
    done
}

/// The user who runs this command, as an actor of the audit log.
fn actor() -> Actor {
    Actor::local(getuid().as_raw())
}

fn exit(done: Result<(), Failure>) -> ExitCode {
    logging::finish();
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.report();
            ExitCode::from(failure.exit_code())
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{Command, CommandFactory};

    use super::*;

    #[test]
    fn every_command_finds_the_data_and_the_secret_as_serve_does() {
        let command = CommandLine::command();
        let rotate = command.find_subcommand("secret").and_then(|secret| secret.find_subcommand("rotate"));
        for verb in command.get_subcommands().filter(|verb| verb.get_name() != "secret").chain(rotate) {
            for name in ["data_dir", "secret_file"] {
                let declared = |command: &Command| {
                    let argument = command.get_arguments().find(|argument| argument.get_id() == name)?;
                    let help = argument.get_help()?.to_string();
                    Some((argument.get_long()?.to_owned(), argument.get_env()?.to_owned(), help))
                };
                assert_eq!(declared(verb), declared(&command), "{} {name}", verb.get_name());
                assert!(declared(verb).is_some());
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }
}
