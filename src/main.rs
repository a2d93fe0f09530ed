//! Command line in, exit code out.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    lodge::commands::run(&env::args_os().collect::<Vec<_>>())
}
