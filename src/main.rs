//! Command line in, exit code out.

use std::{env, process::ExitCode};

use tikv_jemallocator::Jemalloc;

/// Half the memory of glibc's for a large store, and faster; see `decisions.md`.
#[global_allocator]
static ALLOCATOR: Jemalloc = Jemalloc;

fn main() -> ExitCode {
    lodge::commands::run(&env::args_os().collect::<Vec<_>>())
}
