//! The program: runs the command line and returns its exit code.

use std::{env, process::ExitCode};

use lodge::service_manager::ServiceManager;

/// The allocator of the packaged binary, which is faster than the C library's; see `decisions.md`.
#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    #[cfg(all(not(feature = "jemalloc"), target_env = "gnu"))]
    bound_allocator();
    lodge::commands::run(&env::args_os().collect::<Vec<_>>(), service_manager())
}

#[expect(unsafe_code, reason = "no thread has been started, and no file has been opened")]
fn service_manager() -> ServiceManager {
    // SAFETY: this is the first that the process does with its environment and its descriptors.
    unsafe { ServiceManager::take() }
}

/// Bounds the freed memory that glibc's allocator keeps: two arenas, at most 64 KiB at the end of each, and no blocks
/// of 32 KiB or more.
///
/// By default it has an arena for each thread, which keeps the memory that its thread once needed.
#[cfg(all(not(feature = "jemalloc"), target_env = "gnu"))]
#[expect(unsafe_code, reason = "no thread has been started that could allocate meanwhile")]
fn bound_allocator() {
    let bounds = [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, 32 << 10), (libc::M_TRIM_THRESHOLD, 64 << 10)];
    for (parameter, value) in bounds {
        // SAFETY: all are parameters of mallopt(3), which takes any value of them.
        unsafe { libc::mallopt(parameter, value) };
    }
}
