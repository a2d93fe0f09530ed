//! The command line: one file a verb.

mod health;
mod serve;

use std::{ffi::OsString, path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};
use thiserror::Error;

use crate::{
    config::{self, ServeArguments, SettingsError},
    secret::SecretError,
    service::first_start::FirstStartError,
    store::{StoreError, engine::EngineError, sled::OpenError},
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
    /// Serves the API until it is told to stop (SIGTERM or SIGINT)
    #[command(after_help = EXIT_CODES)]
    Serve(Box<ServeArguments>),
    /// Asks a running server whether it is ready; exits with 0 if it is, for the health check of a container
    Health(health::HealthArguments),
}

const EXIT_CODES: &str = "Exit codes:
   0  done
   1  `health`: the server is not ready
   2  a flag, a setting or the first administrator's password is wrong
  10  the data directory cannot be used
  11  another lodge is using the data directory
  12  the store is damaged, or from a newer lodge
  13  the secret is missing or not safe
  14  the address cannot be listened on
  15  the storage failed while serving; start again once it is sound";

/// Why a command ended early; each kind has its exit code.
#[derive(Debug, Error)]
enum Failure {
    #[error("these settings cannot be used:\n{0}")]
    Settings(SettingsError),
    #[error("the data directory {} cannot be used: {why}", path.display())]
    DataDirectory { path: PathBuf, why: String },
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Secret(#[from] SecretError),
    #[error("the first administrator cannot be made")]
    FirstStart(#[from] FirstStartError),
    #[error("the address {address} cannot be listened on")]
    Address {
        address: String,
        #[source]
        source: std::io::Error,
    },
    #[error("the storage has failed, and nothing more can be written")]
    StorageFailed(#[source] EngineError),
    #[error("the server at {address} is not ready: {why}")]
    NotReady { address: String, why: String },
}

impl Failure {
    fn exit_code(&self) -> u8 {
        match self {
            Self::NotReady { .. } => 1,
            Self::Settings(_) | Self::FirstStart(FirstStartError::Password(_)) => 2,
            Self::DataDirectory { .. }
            | Self::Open(OpenError::Io { .. })
            | Self::FirstStart(FirstStartError::File { .. }) => 10,
            Self::Open(OpenError::InUse(_)) => 11,
            Self::Open(OpenError::Damaged { .. }) | Self::Store(_) => 12,
            Self::Secret(_) => 13,
            Self::Address { .. } => 14,
            Self::StorageFailed(_) | Self::FirstStart(FirstStartError::Service(_) | FirstStartError::Store(_)) => 15,
        }
    }
}

/// Runs the command line and tells the exit code.
#[must_use]
pub fn run(arguments: &[OsString]) -> ExitCode {
    let command_line = match config::parse::<CommandLine>(arguments) {
        Ok(command_line) => command_line,
        Err(error) => error.exit(),
    };
    let done = match command_line.verb {
        None => serve::serve(command_line.serve),
        Some(Verb::Serve(arguments)) => serve::serve(*arguments),
        Some(Verb::Health(arguments)) => health::health(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            tell(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

/// Tells a failure and its causes on standard error.
fn tell(failure: &Failure) {
    let causes = std::iter::successors(Some(failure as &dyn std::error::Error), |error| error.source());
    let mut chain: Vec<_> = causes.map(ToString::to_string).collect();
    chain.dedup();
    eprintln!("lodge: {}", chain.join(": "));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        CommandLine::command().debug_assert();
    }
}
