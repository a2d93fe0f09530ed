//! Command line in, exit code out.

use std::{env, process::ExitCode};

/// Half the memory of glibc's for a large store, and faster; see `decisions.md`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    lodge::commands::run(&env::args_os().collect::<Vec<_>>())
}
