//! The build script: compresses the console's files, so that the binary holds and serves them small.

use std::{
    env,
    fmt::Write as _,
    fs, io,
    path::{Path, PathBuf},
};

const ASSETS: &str = "src/console/assets";
/// A gzip member without a name, a time or a system (RFC 1952).
const HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 2, 255];
const BEST: u8 = 10;
/// The module that the page runs.
const FIRST: &str = "main.js";

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-changed={ASSETS}");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    let mut table = String::from("[\n");
    let needed = needed()?;
    for (name, path) in assets()? {
        fs::write(out.join(format!("{name}.gz")), gzip(&fs::read(path)?))?;
        let included = format!(r#"include_bytes!(concat!(env!("OUT_DIR"), "/{name}.gz"))"#);
        writeln!(table, "(\"{name}\", {included}),").expect("a string has room");
    }
    table.push(']');
    fs::write(out.join("needed.rs"), format!("{needed:?}"))?;
    fs::write(out.join("console.rs"), table)
}

/// The files that are served as they are, by their names.
fn assets() -> io::Result<Vec<(String, PathBuf)>> {
    let mut assets = Vec::new();
    for entry in fs::read_dir(ASSETS)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if is_served(&path) {
            assets.push((name, path));
        }
    }
    assets.sort();
    Ok(assets)
}

/// The first module, and those that it imports, directly or not: the page announces them.
fn needed() -> io::Result<Vec<String>> {
    let mut needed = vec![FIRST.to_owned()];
    let mut next = 0;
    while let Some(name) = needed.get(next) {
        let text = fs::read_to_string(Path::new(ASSETS).join(name))?;
        let imported: Vec<_> = imports(&text).filter(|name| !needed.contains(name)).collect();
        needed.extend(imported);
        next += 1;
    }
    Ok(needed)
}

/// The names of the files that a module imports before it runs.
fn imports(text: &str) -> impl Iterator<Item = String> {
    let addresses = text.lines().filter(|line| line.starts_with("import ")).filter_map(|line| line.split('"').nth(1));
    addresses.filter_map(|address| address.strip_prefix("./")).map(str::to_owned)
}

fn is_served(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["js", "css", "svg", "LICENSE"].iter().any(|served| extension == *served))
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let deflated = miniz_oxide::deflate::compress_to_vec(plain, BEST);
    let length = u32::try_from(plain.len()).expect("a file of the console is small");
    [&HEAD[..], &deflated, &crc32fast::hash(plain).to_le_bytes(), &length.to_le_bytes()].concat()
}
