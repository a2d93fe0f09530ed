//! `lodge completions` and `lodge man`, made from the declarations that `--help` is made from.

use std::path::PathBuf;

use clap::{Args, Command};
use clap_complete::Shell;
use clap_mangen::Man;

use super::{Failure, table::write_all};

#[derive(Args, Debug)]
pub(super) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

#[derive(Args, Debug)]
pub(super) struct ManArguments {
    /// The command whose page is printed, as `user add`
    #[arg(value_name = "COMMAND", conflicts_with = "directory")]
    verbs: Vec<String>,

    /// Writes the pages of all commands into this directory instead
    #[arg(long, value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn completions(arguments: &CompletionsArguments, mut command: Command) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut command, "lodge", &mut script);
    write_all(&script)
}

pub(super) fn man(arguments: &ManArguments, command: Command) -> Result<(), Failure> {
    if let Some(directory) = &arguments.directory {
        return clap_mangen::generate_to(command, directory).map_err(Failure::Output);
    }
    let mut page = Vec::new();
    let found = found(command, &arguments.verbs)?;
    Man::new(found).render(&mut page).map_err(Failure::Output)?;
    write_all(&page)
}

fn found(mut command: Command, verbs: &[String]) -> Result<Command, Failure> {
    command.build();
    let mut found = &command;
    for verb in verbs {
        let next = found.find_subcommand(verb);
        found = next.ok_or_else(|| Failure::Refused(format!("there is no command {}", verbs.join(" "))))?;
    }
    Ok(found.clone())
}
