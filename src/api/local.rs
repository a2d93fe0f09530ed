//! What the operator alone may do, over the local socket: backups, verification, the whole audit log.

use std::{io::Write, sync::Arc};

use schemars::JsonSchema;

use super::{
    error::ApiError,
    input::{Body, FromObject},
    json_object::JsonObject,
    lines::{Line, LineWriter, Lines},
};
use crate::{
    audit::{self, Filter},
    backup::{self, Summary},
    domain::{Action, Actor},
    error_chain::chain,
    service::{AppState, Local, Policy},
    store::verify::{Findings, verify},
};

/// Progress is reported every so many rows.
const PROGRESS_EVERY: u64 = 10_000;

/// Which backup is asked for.
#[derive(JsonSchema)]
pub(super) struct BackupRequest {
    /// Whether the server's secret is to be in it.
    #[schemars(with = "bool")]
    with_secret: Option<bool>,
}

impl FromObject for BackupRequest {
    type Schema = Self;

    const MAY_BE_INVALID: bool = false;

    fn from_object(mut object: JsonObject, _: &Policy) -> Self {
        let with_secret = object.truth("with_secret").value().copied().unwrap_or(false);
        Self { with_secret: Some(with_secret).filter(|_| object.violations.is_empty()) }
    }
}

pub(super) async fn create_backup(
    Local { state, uid }: Local,
    Body(BackupRequest { with_secret }): Body<BackupRequest>,
) -> Result<Lines, ApiError> {
    let malformed = || ApiError::Malformed("The member with_secret is neither true nor false.".to_owned());
    let with_secret = with_secret.ok_or_else(malformed)?;
    // Before any of it can be taken.
    state.record(Actor::local(uid), Action::CreateBackup, backup::subject(with_secret)).await;
    Lines::start(move |lines| write_backup(&state, with_secret, lines))
}

fn write_backup(state: &AppState, with_secret: bool, lines: &LineWriter) -> Result<Summary, String> {
    let mut data = lines.data();
    let written = backup::of(state, with_secret, &mut data).map_err(|error| chain(&error));
    let written = written.and_then(|summary| data.flush().map(|()| summary).map_err(|error| error.to_string()));
    match &written {
        Ok(summary) => log::info!("a backup of commit {} was taken through the local socket", summary.commit),
        Err(error) => log::error!("a backup through the local socket failed: {error}"),
    }
    written
}

pub(super) async fn verify_store(Local { state, .. }: Local) -> Result<Lines, ApiError> {
    Lines::start(move |lines| {
        let snapshot = state.store.snapshot().map_err(|error| chain(&error))?;
        let mut report = |rows| {
            if rows % PROGRESS_EVERY == 0 {
                // A client that is gone is noticed at the end.
                let _ = lines.write(&Line::Progress(rows));
            }
        };
        verify(&snapshot, &mut report).map_err(|error| chain(&error)) as Result<Findings, String>
    })
}

pub(super) async fn export_audit(Local { state, .. }: Local, filter: Filter) -> Result<Lines, ApiError> {
    Lines::start(move |lines| {
        let (log_reader, snapshot) = log_reader(&state)?;
        let mut write = |line: &str| lines.write(&Line::Text(line.to_owned()));
        log_reader.print(&snapshot, &filter, &mut write).map_err(|error| chain(&error))
    })
}

pub(super) async fn verify_audit(Local { state, .. }: Local) -> Result<Lines, ApiError> {
    Lines::start(move |_| {
        let (log_reader, snapshot) = log_reader(&state)?;
        audit::verify(&state.audit.chain, &log_reader, &snapshot).map_err(|error| chain(&error))
    })
}

fn log_reader(state: &Arc<AppState>) -> Result<(audit::LogReader, crate::store::Snapshot), String> {
    state.audit.log_reader(&state.store).map_err(|error| chain(&error))
}
