//! The seal of the entries before a new key: an HMAC of each of their lines, in the file `seal` beside those of the
//! log.
//!
//! The secret was replaced because it leaked or was lost, so the key of these entries proves nothing or is unknown. The
//! rotation therefore seals their lines again under the new key, and each can then be verified by itself. The 32 bytes
//! of an entry are at offset 32 times its id. The file is sparse: entries that no longer exist take no space.

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

/// The seal of the entries before a key.
#[derive(Debug)]
pub(super) struct Seal(File);

/// A durable seal, which is not in force until it is put in place.
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

    /// Whether the line is the one that was sealed for this entry.
    pub(super) fn verify(&self, chain: &Chain, id: u64, line: &[u8]) -> bool {
        let mut sealed = [0; 32];
        let is_read = offset(id).is_some_and(|offset| self.0.read_exact_at(&mut sealed, offset).is_ok());
        is_read && chain.verify_sealed(id, line, &sealed)
    }
}

impl PreparedSeal {
    /// Creates a seal beside the one that is in force.
    pub(super) fn begin(directory: &Path) -> Result<Self, AuditError> {
        let file = create_directory(directory).and_then(|()| create_private(&directory.join(UNFINISHED)));
        Ok(Self { directory: directory.to_owned(), file: file.map_err(failed(directory, UNFINISHED))? })
    }

    /// Seals the line of an entry.
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

    /// Replaces the seal that is in force; durable when this returns.
    ///
    /// # Errors
    /// [`AuditError::Io`].
    pub fn put_in_place(self) -> Result<(), AuditError> {
        let put = fs::rename(self.directory.join(UNFINISHED), self.directory.join(NAME));
        put.and_then(|()| sync_directory(&self.directory)).map_err(failed(&self.directory, NAME))
    }
}

/// Removes the seal in a log's directory, once none of its entries exists any more.
pub(super) fn remove(directory: &Path) -> Result<(), AuditError> {
    ignore_not_found(fs::remove_file(directory.join(NAME))).map_err(failed(directory, NAME))
}

/// The offset of an entry's bytes.
fn offset(id: u64) -> Option<u64> {
    id.checked_mul(32)
}

fn failed(directory: &Path, name: &str) -> impl FnOnce(io::Error) -> AuditError {
    let path = directory.join(name);
    |source| AuditError::Io { path, source }
}
