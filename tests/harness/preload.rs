//! Libraries that take the place of the system's.

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
