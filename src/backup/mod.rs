//! Backups: a consistent snapshot of the store in one portable file.
//!
//! The file is zstd over lines of JSON, each an object with one member that names what it is:
//!
//! | line | contents |
//! |---|---|
//! | `header` | first: `format` ("lodge backup"), `version`, `created_at`, the store's id and commit number |
//! | `state` | second: the last number of every sequence, and the account that still has the initial password |
//! | `secret` | the server's secret in hexadecimal digits, only if it was asked for |
//! | `identifier_key`, `used_identifier` | the key of the hashes of used identifiers, and each hash |
//! | `user`, `configuration`, `api_key` | a record; owners precede their records |
//! | `footer` | last: how many records there are, and the SHA-256 of all lines before it |
//!
//! Sessions are not in it. Indexes and lists are rebuilt from the records.

mod container;
mod file;
mod reader;
mod rebuild;
pub mod schedule;
mod scheduled_files;
mod writer;

use std::io::Write;

pub use self::{
    container::{BackupError, Header, Line, State, Summary},
    file::{BackupFileError, check, open, save},
    reader::Reader,
    rebuild::{Rebuild, RebuildError, Rebuilt},
    writer::write,
};
use crate::{
    audit::done,
    clock::Timestamp,
    domain::{Action, Actor, AffectedResource, Event},
    service::AppState,
};

/// The audit log's event of a backup. It is usually recorded after the backup. A backup with the server's secret, or
/// for a client of the local socket, is recorded before any of it is written, so that neither a kill nor a broken
/// connection can leave it unrecorded.
#[must_use]
pub fn event(now: Timestamp, actor: Actor, with_secret: bool) -> Event {
    done(now, actor, Action::CreateBackup, subject(with_secret))
}

/// What the audit log records of a backup.
#[must_use]
pub fn subject(with_secret: bool) -> AffectedResource {
    let details = if with_secret { vec!["with the server's secret".to_owned()] } else { Vec::new() };
    AffectedResource::details(details)
}

/// Writes a backup of the store as it is now. Blocks, so it must not be called on an asynchronous thread.
///
/// # Errors
/// [`BackupError`] if the store cannot be read or `out` cannot be written.
pub fn of(state: &AppState, with_secret: bool, out: impl Write) -> Result<Summary, BackupError> {
    let secret = with_secret.then(|| state.secret.to_hexadecimal());
    write(&state.store.snapshot()?, secret, state.clock.now(), out)
}
