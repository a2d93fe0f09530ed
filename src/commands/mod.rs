//! The command line, with one file for each command.

mod access;
mod apply;
mod attributes;
mod audit;
mod backup;
mod configuration;
mod doctor;
mod explain;
mod failure;
mod generated;
mod health;
mod key;
mod list;
mod locks;
mod memory;
mod opening;
mod password;
mod proxy_config;
mod restore;
mod rotate;
mod salvage;
mod serve;
mod session;
mod settings;
mod status;
mod table;
mod terminal;
mod user;
mod verify;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::{CommandFactory, Parser, Subcommand};
use rustix::process::getuid;

use self::failure::Failure;
use crate::{
    config::{self, DataArguments, ServeArguments},
    directory::{DataDirectory, store_in, work_as_owner},
    domain::Actor,
    logging,
    service::replace::CACHE_BYTES,
    service_manager::ServiceManager,
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
    /// Lists, shows and changes accounts, also without a running server; `lodge user password admin` replaces a lost
    /// password
    User(user::UserArguments),
    /// Lists and ends sessions: who is signed in
    Session(session::SessionArguments),
    /// Lists, adds, rotates and removes API keys
    Key(key::KeyArguments),
    /// Lists, reads and changes what is stored for users
    Configuration(configuration::ConfigurationArguments),
    /// Makes accounts, configurations and API keys what a file has, in one transaction, also without a running server
    #[command(after_help = apply::EXAMPLES)]
    Apply(apply::ApplyArguments),
    /// Makes a backup, also of a running server, and reads it back to check it
    Backup(backup::BackupArguments),
    /// Replaces the store by a backup, and keeps the old store beside it; no server may be running
    Restore(restore::RestoreArguments),
    /// Reads the whole store, also of a running server, and checks that it is consistent; changes nothing
    ///
    /// Without a server, the journal, the checkpoints and the index are compared with each other. The index is copied to the directory for
    /// temporary files (TMPDIR); where it has no room, the rows are not read.
    Verify(DataArguments),
    /// Prints or verifies the audit log, also of a running server
    Audit(audit::AuditArguments),
    /// Replaces the server's secret
    #[command(subcommand)]
    Secret(SecretVerb),
    /// Lists locked-out accounts and addresses, and clears locks
    Locks(locks::LocksArguments),
    /// Prints an example of the file with settings, or checks settings without serving
    #[command(subcommand)]
    Settings(settings::SettingsVerb),
    /// Prints the configuration of a proxy that passes on only what Lodge admits
    #[command(after_help = proxy_config::EXAMPLES)]
    ProxyConfig(proxy_config::ProxyConfigArguments),
    /// Explains who an API key or a session stands for, and why it passes or not where a service demands scopes
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::ExplainArguments),
    /// Prints the completions of commands and flags for a shell
    #[command(after_help = "Examples:\n  lodge completions bash > /usr/share/bash-completion/completions/lodge")]
    Completions(generated::CompletionsArguments),
    /// Prints the manual page of a command, or writes those of all
    #[command(after_help = "Examples:\n  lodge man user add\n  lodge man --directory /usr/share/man/man1")]
    Man(generated::ManArguments),
    /// Checks that a running server with these settings of `serve` is ready, for the health check of a container; exits
    /// with 0 if it is
    Health(Box<ServeArguments>),
    /// Examines where a server with these settings of `serve` runs, whether it runs or not: data directory, file system, room,
    /// clock, certificate, secrets, memory, system users and accounts; changes nothing
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(Box<doctor::DoctorArguments>),
    /// Shows what a running server is doing: version, addresses, records, last backup, locks, size, and the doctor's findings
    #[command(after_help = status::EXAMPLES)]
    Status(status::StatusArguments),
}

#[derive(Debug, Subcommand)]
enum SecretVerb {
    /// Creates a new secret after the old one was leaked or lost; lists first what that ends; no server may be running
    Rotate(rotate::RotateArguments),
}

const EXIT_CODES: &str = "Exit codes:
   0  done
   1  the request is refused, or what it is about does not exist; `health`: the server is not ready; `locks`,
      `status`: none is running; `verify`: the store is inconsistent; `audit --verify`: the log was changed, or is not vouched for
   2  a flag, a setting or the first administrator's password is wrong, or the memory is not enough;
      `apply --dry-run`: something differs
   3  `doctor`: there are warnings
   4  `doctor`: there are errors
   5  `explain`: the credential does not pass
  10  the data directory cannot be used, or is not a directory; standard input or output cannot be used
  11  another lodge is using the data directory
  12  the store is damaged, has lost something, or is from a newer lodge
  13  the secret, or the key of the certificate, is missing or not safe
  14  an address, or a socket that the service manager passes, cannot be listened on
  15  the storage failed while serving; start again once it is sound
  16  the data directory belongs to another user
  17  the data directory cannot be written to, or its disk has too little room
  18  the backup cannot be made, or is not a sound one";

/// Runs the command line and returns the exit code; a server notifies the service manager.
#[must_use]
pub fn run(arguments: &[OsString], manager: ServiceManager) -> ExitCode {
    let command_line = match config::parse::<CommandLine>(arguments) {
        Ok(command_line) => command_line,
        Err(error) => error.exit(),
    };
    let Some(verb) = command_line.verb else { return exit(serve::serve(&command_line.serve, manager)) };
    exit(match verb {
        Verb::Serve(arguments) => serve::serve(&arguments, manager),
        Verb::User(arguments) => quietly(&arguments.data, || user::user(&arguments)),
        Verb::Session(arguments) => quietly(&arguments.data, || session::session(&arguments)),
        Verb::Key(arguments) => quietly(&arguments.data, || key::key(&arguments)),
        Verb::Configuration(arguments) => quietly(&arguments.data, || configuration::configuration(&arguments)),
        Verb::Apply(arguments) => quietly(&arguments.data, || apply::apply(&arguments)),
        Verb::Backup(arguments) => quietly(&arguments.data, || backup::backup(&arguments)),
        Verb::Restore(arguments) => quietly(&arguments.data, || restore::restore(&arguments)),
        Verb::Verify(data) => quietly(&data, || verify::verify(&data)),
        Verb::Audit(arguments) => quietly(&arguments.data, || audit::audit(&arguments)),
        Verb::Secret(SecretVerb::Rotate(arguments)) => quietly(&arguments.data, || rotate::rotate(&arguments)),
        Verb::Locks(arguments) => quietly(&arguments.data, || locks::locks(&arguments)),
        Verb::Settings(verb) => settings::settings(&verb),
        Verb::ProxyConfig(arguments) => proxy_config::proxy_config(&arguments),
        Verb::Explain(arguments) => quietly(&arguments.data, || explain::explain(&arguments)),
        Verb::Completions(arguments) => generated::completions(&arguments, CommandLine::command()),
        Verb::Man(arguments) => generated::man(&arguments, CommandLine::command()),
        Verb::Health(arguments) => health::health(&arguments),
        Verb::Doctor(arguments) => quietly_in(&arguments.serve.data_dir(), || doctor::doctor(&arguments)),
        Verb::Status(arguments) => quietly(&arguments.data, || status::status(&arguments)),
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
    use clap::Command;

    use super::*;

    #[test]
    fn every_command_finds_the_data_and_the_secret_as_serve_does() {
        let command = CommandLine::command();
        let rotate = command.find_subcommand("secret").and_then(|secret| secret.find_subcommand("rotate"));
        let without_data = ["secret", "settings", "proxy-config", "completions", "man"];
        for verb in command.get_subcommands().filter(|verb| !without_data.contains(&verb.get_name())).chain(rotate) {
            for name in ["config", "data_dir", "secret_file"] {
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

    /// The commands that are shown after "Examples:" in the help of a command and of those below it.
    fn examples(command: &Command) -> Vec<String> {
        let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let own = help.strip_prefix("Examples:\n").into_iter().flat_map(str::lines).map(|line| line.trim().to_owned());
        own.chain(command.get_subcommands().flat_map(examples)).collect()
    }

    /// The words of a command as a shell hands them over.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(['<', '>']).next().unwrap();
        let parts = line.split('\'').enumerate();
        parts
            .flat_map(|(at, part)| if at % 2 == 1 { vec![part] } else { part.split_whitespace().collect() })
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn every_verb_of_a_resource_has_examples_that_can_be_typed() {
        let command = CommandLine::command();
        for noun in
            ["user", "session", "key", "configuration", "settings"].map(|noun| command.find_subcommand(noun).unwrap())
        {
            for verb in noun.get_subcommands() {
                let (examples, begin) = (examples(verb), format!("lodge {} {} ", noun.get_name(), verb.get_name()));
                assert!(!examples.is_empty(), "{begin}");
                for example in examples {
                    assert!(format!("{example} ").starts_with(&begin), "{example}");
                    assert!(command.clone().try_get_matches_from(words(&example)).is_ok(), "{example}");
                }
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }
}
