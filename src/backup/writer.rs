//! Writes a backup.

use std::io::{self, Write};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::container::{BackupError, FORMAT, Footer, Header, Line, State, Summary, VERSION};
use crate::{
    clock::Timestamp,
    secret::Secret,
    store::{
        Sequence, Snapshot, Tables,
        engine::KeyRange,
        integrity::Integrity,
        table::{Record, decode, visit_rows},
        used_identifiers,
    },
};

const COMPRESSION_LEVEL: i32 = 3;

/// Writes a backup of the snapshot, with the secret if it is given.
///
/// # Errors
/// [`BackupError`] if the store cannot be read or `out` not be written.
pub fn write(
    snapshot: &Snapshot,
    secret: Option<Secret<String>>,
    now: Timestamp,
    out: impl Write,
) -> Result<Summary, BackupError> {
    let commit = Integrity::stored(snapshot)?.map_or(0, |integrity| integrity.commit);
    let store = snapshot.store_id()?.unwrap_or_default();
    let header = Header { format: FORMAT.to_owned(), version: VERSION, created_at: now.to_string(), store, commit };
    let state = State {
        users: Sequence::Users.last(snapshot)?,
        configurations: Sequence::Configurations.last(snapshot)?,
        api_keys: Sequence::ApiKeys.last(snapshot)?,
        initial_administrator: snapshot.initial_administrator()?,
    };
    let created_at = header.created_at.clone();
    let mut writer = Writer::new(out)?;
    writer.line(&Line::Header(header))?;
    writer.line(&Line::State(state))?;
    if let Some(secret) = secret {
        writer.line(&Line::Secret(secret))?;
    }
    if let Some(key) = used_identifiers::key(snapshot)? {
        writer.line(&Line::IdentifierKey(key))?;
        writer.used_identifiers(snapshot)?;
    }
    writer.records(snapshot, Line::User)?;
    writer.records(snapshot, Line::Configuration)?;
    writer.records(snapshot, Line::ApiKey)?;
    let records = writer.end()?;
    Ok(Summary { commit, created_at, records })
}

struct Writer<W: Write> {
    out: zstd::Encoder<'static, W>,
    digest: Context,
    records: u64,
}

impl<W: Write> Writer<W> {
    fn new(out: W) -> io::Result<Self> {
        Ok(Self { out: zstd::Encoder::new(out, COMPRESSION_LEVEL)?, digest: Context::new(&SHA256), records: 0 })
    }

    fn line(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.digest.update(&text);
        self.out.write_all(&text)
    }

    fn records<R: Record>(&mut self, snapshot: &Snapshot, line: fn(R) -> Line) -> Result<(), BackupError> {
        visit_rows(snapshot, R::TREE, &KeyRange::all(), |_, bytes| {
            self.records += 1;
            Ok(self.line(&line(decode(bytes)?))?)
        })
    }

    fn used_identifiers(&mut self, snapshot: &Snapshot) -> Result<(), BackupError> {
        used_identifiers::visit(snapshot, |hash| Ok(self.line(&Line::UsedIdentifier(hash))?))
    }

    fn end(mut self) -> io::Result<u64> {
        let sha256 = HEXLOWER.encode(self.digest.finish().as_ref());
        let mut text = serde_json::to_vec(&Line::Footer(Footer { records: self.records, sha256 }))?;
        text.push(b'\n');
        self.out.write_all(&text)?;
        self.out.finish()?.flush()?;
        Ok(self.records)
    }
}
