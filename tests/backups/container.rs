//! Backup files taken apart and put together, with a right footer whatever is in them.

use std::{fs, path::Path};

use data_encoding::HEXLOWER;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

/// The lines of a backup, without its footer.
pub fn lines(file: &Path) -> Vec<Value> {
    let mut lines: Vec<Value> = text(file).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert!(lines.pop().unwrap().get("footer").is_some());
    lines
}

/// The unpacked text of a backup.
pub fn text(file: &Path) -> String {
    String::from_utf8(zstd::decode_all(fs::read(file).unwrap().as_slice()).unwrap()).unwrap()
}

/// The contents of the lines of that kind.
pub fn of_kind(lines: &[Value], kind: &str) -> Vec<Value> {
    lines.iter().filter_map(|line| line.get(kind).cloned()).collect()
}

/// Compresses this text.
pub fn packed(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 1).unwrap()
}

/// A whole backup of these lines.
pub fn container(lines: &[Value]) -> Vec<u8> {
    packed(&with_footer(&joined(lines)))
}

/// The text of these lines.
pub fn joined(lines: &[Value]) -> String {
    lines.iter().flat_map(|line| [line.to_string(), "\n".to_owned()]).collect()
}

/// The text of a backup, with its footer.
pub fn with_footer(lines: &str) -> String {
    let is_record =
        |line: &&str| ["{\"user\":", "{\"configuration\":", "{\"api_key\":"].iter().any(|k| line.starts_with(k));
    let records = lines.lines().filter(is_record).count();
    let sha256 = HEXLOWER.encode(digest(&SHA256, lines.as_bytes()).as_ref());
    format!("{lines}{}\n", json!({"footer": {"records": records, "sha256": sha256}}))
}
