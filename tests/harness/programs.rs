//! Programs and libraries beside a test's server.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Compiles that file of `tests/data` into a library in the directory, for `LD_PRELOAD`.
pub fn compile_preloaded(source: &str, directory: &Path) -> PathBuf {
    let library = directory.join(source).with_extension("so");
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(source);
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).status();
    assert!(compiled.unwrap().success());
    library
}

/// Copies `lodge` to that path, for users who cannot enter the directory that it was built in.
///
/// Another process writes the copy: what this one has open for writing is also open in the processes that other tests start
/// meanwhile, and a program that is open for writing cannot be started.
pub fn copy_lodge(to: &Path) {
    let copied = Command::new("cp").arg(env!("CARGO_BIN_EXE_lodge")).arg(to).status();
    assert!(copied.unwrap().success());
}
