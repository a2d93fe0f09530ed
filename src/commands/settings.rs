//! `lodge settings`: an example of the file, and a check of what is set.

use std::env;

use clap::Subcommand;

use super::{Failure, table::write_all};
use crate::{
    config::{self, ADMIN_PASSWORD, ServeArguments},
    output,
};

#[derive(Debug, Subcommand)]
pub(super) enum SettingsVerb {
    /// Prints a file with every setting, its description and its default, commented out
    #[command(after_help = "Examples:\n  lodge settings example > lodge.toml")]
    Example,
    /// Checks the settings as `serve` does, from flags, environment and file, and opens nothing
    #[command(
        after_help = "Examples:\n  lodge settings check --config lodge.toml\n  lodge settings check --listen 0.0.0.0:443"
    )]
    Check(Box<ServeArguments>),
}

pub(super) fn settings(verb: &SettingsVerb) -> Result<(), Failure> {
    match verb {
        SettingsVerb::Example => write_all(config::example().as_bytes()),
        SettingsVerb::Check(arguments) => {
            arguments.settings(env::var(ADMIN_PASSWORD).ok()).map_err(Failure::Settings)?;
            output::line(format_args!("the settings can be used"));
            Ok(())
        }
    }
}
