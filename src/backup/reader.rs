//! Reads a backup.

use std::io::{BufRead, BufReader, Read};

use data_encoding::HEXLOWER;
use ring::digest::{Context, SHA256};

use super::container::{BackupError, FORMAT, Footer, Header, Line, State, Summary, VERSION};
use crate::secret::RootSecret;

/// The maximum length of a line. Those of legal records are shorter: 64 KiB of control characters are 393 kB of JSON.
const MAX_LINE: u64 = 1 << 20;
/// The maximum window of the compression, as a power of two: 8 MiB.
const LARGEST_WINDOW_LOG: u32 = 23;

/// Reads a backup line by line. Its records are verified only once the end has been read.
pub struct Reader<R: Read> {
    lines: BufReader<zstd::Decoder<'static, BufReader<R>>>,
    digest: Context,
    number: u64,
    records: u64,
    has_secret: bool,
    has_identifier_key: bool,
    /// The kind and the origin of the backup.
    pub header: Header,
    /// The counters of the store.
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
        let Ok(Line::Header(header)) = reader.read_line() else { return Err(BackupError::Foreign) };
        if header.format != FORMAT {
            return Err(BackupError::Foreign);
        }
        if header.version > VERSION {
            return Err(BackupError::TooNew(header.version));
        }
        let Line::State(state) = reader.read_line()? else { return Err(reader.malformed("is not the state")) };
        Ok(Self { header, state, ..reader })
    }

    /// The next record, or the secret; `None` at the end, once the hash has been verified.
    ///
    /// # Errors
    /// [`BackupError`] if the next line or the hash is wrong.
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

    /// The summary of the backup, once its end has been read.
    #[must_use]
    pub fn summary(&self) -> Summary {
        Summary { commit: self.header.commit, created_at: self.header.created_at.clone(), records: self.records }
    }

    /// The error of the current line.
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
        serde_json::from_slice(&text).map_err(|_| self.malformed("cannot be decoded"))
    }

    fn end(&mut self, footer: &Footer, digest: Context) -> Result<(), BackupError> {
        if footer.records != self.records || footer.sha256 != HEXLOWER.encode(digest.finish().as_ref()) {
            return Err(BackupError::Damaged("its records are not those that were written"));
        }
        let rest = self.lines.fill_buf().map_err(|_| BackupError::Damaged("it cannot be unpacked"))?;
        if rest.is_empty() { Ok(()) } else { Err(BackupError::Damaged("it continues after its end")) }
    }
}
