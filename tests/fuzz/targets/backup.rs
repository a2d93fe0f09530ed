//! A backup: a file as it is if it begins as a compressed one does, else lines that are given a right footer and packed.
#![no_main]

use std::sync::Arc;

use data_encoding::HEXLOWER;
use libfuzzer_sys::fuzz_target;
use lodge::{
    backup::{BackupError, Line, Reader, Rebuild, RebuildError},
    store::{Store, memory::Memory, verify::verify},
};
use ring::digest::{SHA256, digest};
use serde_json::json;

const COMPRESSED: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

fuzz_target!(|bytes: &[u8]| {
    let file = if bytes.starts_with(COMPRESSED) { bytes.to_vec() } else { packed(bytes) };
    if let Ok((reader, lines)) = read(&file) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime starts");
        runtime.block_on(rebuild(&reader, &lines));
    }
});

fn packed(lines: &[u8]) -> Vec<u8> {
    let is_record = |line: &&[u8]| {
        let line = serde_json::from_slice(line);
        matches!(line, Ok(Line::User(_) | Line::Configuration(_) | Line::ApiKey(_)))
    };
    let mut text = lines.to_vec();
    text.push(b'\n');
    let records = text.split(|byte| *byte == b'\n').filter(is_record).count();
    let sha256 = HEXLOWER.encode(digest(&SHA256, &text).as_ref());
    text.extend(json!({"footer": {"records": records, "sha256": sha256}}).to_string().bytes());
    text.push(b'\n');
    zstd::encode_all(text.as_slice(), 1).expect("memory is written")
}

fn read(file: &[u8]) -> Result<(Reader<&[u8]>, Vec<Line>), BackupError> {
    let mut reader = Reader::open(file)?;
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line()? {
        lines.push(line);
    }
    Ok((reader, lines))
}

/// What a rebuild accepts is a sound store; what salvaging leaves of the rest is one too.
async fn rebuild(reader: &Reader<&[u8]>, lines: &[Line]) {
    for salvages in [false, true] {
        let store = Store::over(Arc::new(Memory::default()));
        store.initialise().await.expect("memory is written");
        let mut rebuild = if salvages { Rebuild::salvaging(&store) } else { Rebuild::of(&store) };
        for line in lines {
            if rebuild.add(line.clone()).await.is_err() {
                break;
            }
        }
        let built = rebuild.finish(reader.state.clone(), [0; 3]).await;
        // What has no administrator is not served, whatever else is left of it.
        let may_fail = !salvages || matches!(built, Err(RebuildError::NoAdministrator));
        assert!(built.is_ok() || may_fail, "salvaging has failed: {:?}", built.err());
        if built.is_ok() {
            let findings = verify(&store, &mut |_| {}).expect("memory is read");
            assert_eq!(findings.faults, [""; 0]);
        }
    }
}
