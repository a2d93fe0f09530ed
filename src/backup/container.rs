//! The lines of a backup, how they are written and how they are read.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    ops::ControlFlow,
};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use uuid::Uuid;

use crate::{
    clock::Timestamp,
    domain::{ApiKey, Configuration, Id, User},
    secret::{RootSecret, Secret},
    store::{
        Sequence, Snapshot, StoreError, Tables,
        engine::KeyRange,
        integrity::Integrity,
        table::{ReadRows, Record, decode},
        used_identifiers::{self, IdentifierHash, IdentifierKey},
    },
};

const FORMAT: &str = "lodge backup";
const VERSION: u32 = 2;
/// Longer than the line of any legal record: 64 KiB of control characters are 393 kB of JSON.
const MAX_LINE: u64 = 1 << 20;
/// The window that a reader grants the compression, as a power of two: 8 MiB.
const LARGEST_WINDOW_LOG: u32 = 23;
const COMPRESSION_LEVEL: i32 = 3;

/// One line of a backup.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// What this file is.
    Header(Header),
    /// What continues after the records.
    State(State),
    /// The server's secret, in hexadecimal digits.
    Secret(#[serde(with = "exposed")] Secret<String>),
    /// The key of the hashes of used identifiers.
    IdentifierKey(IdentifierKey),
    /// The hash of an identifier that an account has or had.
    UsedIdentifier(IdentifierHash),
    /// An account.
    User(User),
    /// A setting.
    Configuration(Configuration),
    /// An API key, without what it could be computed from.
    ApiKey(ApiKey),
    /// The end.
    Footer(Footer),
}

/// What a backup is, and of what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Header {
    format: String,
    version: u32,
    /// When it was made.
    pub created_at: String,
    /// Of which store.
    pub store: Uuid,
    /// As of which commit.
    pub commit: u64,
}

/// What continues after the records of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// The last id of a user.
    pub users: u64,
    /// The last id of a configuration.
    pub configurations: u64,
    /// The last id of an API key.
    pub api_keys: u64,
    /// The administrator who still has the password of the first start.
    pub initial_administrator: Option<Id>,
}

/// The end of a backup. Its own hash does not cover it, so that nothing else may be in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Footer {
    records: u64,
    sha256: String,
}

/// What a whole backup has in it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// As of which commit.
    pub commit: u64,
    /// When it was made.
    pub created_at: String,
    /// How many records it has.
    pub records: u64,
}

/// A file that is not a sound backup.
#[derive(Debug, Error)]
pub enum BackupError {
    /// It is something else.
    #[error("it is not a backup of lodge")]
    Foreign,
    /// It has the name that a backup was to have.
    #[error("something that is no backup has that name")]
    InTheWay,
    /// A newer server made it.
    #[error("it is a backup of version {0}; this lodge reads up to {VERSION}")]
    TooNew(u32),
    /// Its lines make no sense.
    #[error("line {line} {what}")]
    Malformed {
        /// The line's number, from 1 up.
        line: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// It ends too early, or is not what was written.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read or written.
    #[error("it cannot be read or written: {0}")]
    Io(#[from] io::Error),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

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
        let mut written = Ok(());
        snapshot.scan(R::TREE, &KeyRange::all(), &mut |_, bytes| {
            written = decode(bytes).map_err(BackupError::from).and_then(|record| Ok(self.line(&line(record))?));
            self.records += 1;
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        written
    }

    fn used_identifiers(&mut self, snapshot: &Snapshot) -> Result<(), BackupError> {
        let mut written = Ok(());
        used_identifiers::visit(snapshot, &mut |hash| {
            written = self.line(&Line::UsedIdentifier(hash));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        Ok(written?)
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

/// Reads a backup line by line. What it has given is to be believed only once it has come to its end.
pub struct Reader<R: Read> {
    lines: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    digest: Context,
    number: u64,
    records: u64,
    has_secret: bool,
    has_identifier_key: bool,
    /// What the backup is.
    pub header: Header,
    /// What continues after its records.
    pub state: State,
}

impl<R: Read> Reader<R> {
    /// Reads the beginning of a backup.
    ///
    /// # Errors
    /// [`BackupError`] if it is not one, or one that this server cannot read.
    pub fn open(file: R) -> Result<Self, BackupError> {
        let mut decoder = zstd::Decoder::new(file)?;
        decoder.window_log_max(LARGEST_WINDOW_LOG)?;
        let (header, state) = (Header::nothing(), State::default());
        let (lines, digest) = (BufReader::new(decoder), Context::new(&SHA256));
        let mut reader =
            Self { lines, digest, number: 0, records: 0, has_secret: false, has_identifier_key: false, header, state };
        match reader.read_line().map_err(|_| BackupError::Foreign)? {
            Line::Header(header) if header.format != FORMAT => return Err(BackupError::Foreign),
            Line::Header(header) if header.version > VERSION => return Err(BackupError::TooNew(header.version)),
            Line::Header(header) => reader.header = header,
            _ => return Err(BackupError::Foreign),
        }
        match reader.read_line()? {
            Line::State(state) => reader.state = state,
            _ => return Err(reader.malformed("is not the state")),
        }
        Ok(reader)
    }

    /// The next record, or the secret; `None` at the end, which has then been found to be the right one.
    ///
    /// # Errors
    /// [`BackupError`] if the rest is not sound.
    pub fn next_line(&mut self) -> Result<Option<Line>, BackupError> {
        let so_far = self.digest.clone();
        let line = self.read_line()?;
        match line {
            Line::Header(_) | Line::State(_) => Err(self.malformed("does not belong there")),
            Line::Secret(_) if self.records > 0 => Err(self.malformed("does not belong there")),
            Line::Footer(footer) => self.end(&footer, so_far).map(|()| None),
            Line::Secret(ref digits) if RootSecret::from_hexadecimal(digits).is_none() => {
                Err(self.malformed("is not a secret"))
            }
            Line::Secret(_) if self.has_secret => Err(self.malformed("is a second secret")),
            Line::Secret(_) => {
                self.has_secret = true;
                Ok(Some(line))
            }
            Line::IdentifierKey(_) if self.has_identifier_key || self.records > 0 => {
                Err(self.malformed("does not belong there"))
            }
            Line::IdentifierKey(_) => {
                self.has_identifier_key = true;
                Ok(Some(line))
            }
            Line::UsedIdentifier(_) if !self.has_identifier_key => Err(self.malformed("does not belong there")),
            Line::UsedIdentifier(_) => Ok(Some(line)),
            Line::User(_) | Line::Configuration(_) | Line::ApiKey(_) => {
                self.records += 1;
                Ok(Some(line))
            }
        }
    }

    /// What the backup has in it, once it has come to its end.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary { commit: self.header.commit, created_at: self.header.created_at.clone(), records: self.records }
    }

    /// The line's number in the file, for messages about it.
    pub(super) fn malformed(&self, what: &'static str) -> BackupError {
        BackupError::Malformed { line: self.number, what }
    }

    fn read_line(&mut self) -> Result<Line, BackupError> {
        self.number += 1;
        let mut text = Vec::new();
        let length = (&mut self.lines).take(MAX_LINE).read_until(b'\n', &mut text);
        let length = length.map_err(|_| BackupError::Damaged("it cannot be unpacked"))?;
        if text.last() != Some(&b'\n') {
            let is_end = (length as u64) < MAX_LINE;
            return Err(if is_end { BackupError::Damaged("it ends too early") } else { self.malformed("is too long") });
        }
        self.digest.update(&text);
        serde_json::from_slice(&text).map_err(|_| self.malformed("makes no sense"))
    }

    fn end(&mut self, footer: &Footer, digest: Context) -> Result<(), BackupError> {
        if footer.records != self.records || footer.sha256 != HEXLOWER.encode(digest.finish().as_ref()) {
            return Err(BackupError::Damaged("its records are not those that were written"));
        }
        let rest = self.lines.fill_buf().map_err(|_| BackupError::Damaged("it cannot be unpacked"))?;
        if rest.is_empty() { Ok(()) } else { Err(BackupError::Damaged("it goes on after its end")) }
    }
}

/// How a secret is written and read where it is asked for.
mod exposed {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::secret::Secret;

    pub(super) fn serialize<S: Serializer>(secret: &Secret<String>, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(secret.expose())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Secret<String>, D::Error> {
        String::deserialize(from).map(Secret::new)
    }
}

impl Header {
    fn nothing() -> Self {
        Self { format: String::new(), version: 0, created_at: String::new(), store: Uuid::nil(), commit: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_secret_has_it_in_the_file_and_nowhere_else() {
        let line: Line = serde_json::from_str(r#"{"secret":"00ff"}"#).unwrap();

        assert_eq!(serde_json::to_string(&line).unwrap(), r#"{"secret":"00ff"}"#);
        assert_eq!(format!("{line:?}"), "Secret(***)");
    }
}
