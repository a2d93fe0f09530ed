//! The seal of the entries before a new key: an HMAC of each of their lines, in the file `seal` beside those of the log.
//!
//! The key that these entries are chained under may be known to others by now, which is why it was replaced, or to nobody.
//! So a rotation of the secret seals their lines once more, as they are, under the new key; each can then be verified by
//! itself. An entry's 32 bytes are in the file at 32 times its id; what is no longer kept takes no room there.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
};

use super::{AuditError, Chain, files::create_directory};
use crate::files::{create_private, ignore_not_found, open_file, sync_directory};

const NAME: &str = "seal";
const UNFINISHED: &str = "seal.new";

/// The seal of some entries.
#[derive(Debug)]
pub(super) struct Seal(File);

/// A seal that is durable, and not in force before it is put in its place.
#[must_use]
pub struct PreparedSeal {
    directory: PathBuf,
    file: File,
}

impl Seal {
    /// The seal in a log's directory, if there is one.
    pub(super) fn open(directory: &Path) -> Result<Option<Self>, AuditError> {
        match open_file(&directory.join(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            file => file.map(|file| Some(Self(file))).map_err(failed(directory, NAME)),
        }
    }

    /// Whether the line is what was sealed as that of this entry.
    pub(super) fn verify(&self, chain: &Chain, id: u64, line: &[u8]) -> bool {
        let mut sealed = [0; 32];
        let is_read = offset(id).is_some_and(|offset| self.0.read_exact_at(&mut sealed, offset).is_ok());
        is_read && chain.verify_sealed(id, line, &sealed)
    }
}

impl PreparedSeal {
    /// Begins a seal beside the one that is in force.
    pub(super) fn begin(directory: &Path) -> Result<Self, AuditError> {
        let file = create_directory(directory).and_then(|()| create_private(&directory.join(UNFINISHED)));
        Ok(Self { directory: directory.to_owned(), file: file.map_err(failed(directory, UNFINISHED))? })
    }

    /// Seals a line as that of an entry.
    pub(super) fn add(&self, chain: &Chain, id: u64, line: &[u8]) -> Result<(), AuditError> {
        let Some(offset) = offset(id) else { return Ok(()) };
        let written = self.file.write_all_at(&chain.seal_line(id, line), offset);
        written.map_err(failed(&self.directory, UNFINISHED))
    }

    /// Makes it durable.
    pub(super) fn finish(self) -> Result<Self, AuditError> {
        self.file.sync_all().map_err(failed(&self.directory, UNFINISHED))?;
        Ok(self)
    }

    /// Puts it in place of the one before; that is durable when this returns.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn put_in_place(self) -> Result<(), AuditError> {
        let put = fs::rename(self.directory.join(UNFINISHED), self.directory.join(NAME));
        put.and_then(|()| sync_directory(&self.directory)).map_err(failed(&self.directory, NAME))
    }
}

/// Removes the seal in a log's directory, of which no entry is kept any more.
pub(super) fn remove(directory: &Path) -> Result<(), AuditError> {
    ignore_not_found(fs::remove_file(directory.join(NAME))).map_err(failed(directory, NAME))
}

/// Where the bytes of an entry are.
fn offset(id: u64) -> Option<u64> {
    id.checked_mul(32)
}

fn failed(directory: &Path, name: &str) -> impl FnOnce(io::Error) -> AuditError {
    let path = directory.join(name);
    |source| AuditError::Io { path, source }
}
