//! `lodge backup`: a consistent snapshot of the store in one file.

use std::{
    io::{self, Write},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
};

use clap::Args;
use serde_json::json;

use super::{Failure, actor, failure::asked, on_stopped_store};
use crate::{
    admin_socket::{self, AdminSocketError},
    api::operations::PREFIX,
    audit::Chain,
    backup::{self, BackupError, Summary},
    clock::Clock,
    config::DataArguments,
    error_chain::chain,
    output,
    secret::RootSecret,
    store::{Store, Tables, schema::FORMAT},
};

#[derive(Args, Debug)]
pub(super) struct BackupArguments {
    /// The file to write; an older one of that name is replaced once the new one is whole
    file: PathBuf,

    #[command(flatten)]
    pub(super) data: DataArguments,

    /// Puts the server's secret into the backup, with which every session and API key can be forged
    #[arg(long)]
    with_secret: bool,
}

pub(super) fn backup(arguments: &BackupArguments) -> Result<(), Failure> {
    let summary = match admin_socket::connect(&arguments.data.data_dir).map_err(asked)? {
        Some(server) => backup::save(&arguments.file, |out| of_running_server(server, arguments.with_secret, out))?,
        None => of_stopped_server(arguments)?,
    };
    let Summary { commit, created_at, records } = summary;
    output::line(format_args!(
        "backed up {records} records as of commit {commit}, {created_at}, to {}",
        arguments.file.display()
    ));
    Ok(())
}

fn of_running_server(server: UnixStream, with_secret: bool, out: &mut dyn Write) -> Result<(), BackupError> {
    let (path, body) = (format!("{PREFIX}/backups"), json!({"with_secret": with_secret}));
    let made = admin_socket::send(server, "POST", &path, Some(&body))
        .and_then(|response| response.lines::<Summary>(out, &mut |_| {}));
    made.map(|_| ()).map_err(|error: AdminSocketError| BackupError::Io(io::Error::other(error)))
}

fn of_stopped_server(arguments: &BackupArguments) -> Result<Summary, Failure> {
    on_stopped_store(&arguments.data.data_dir, |directory, store| {
        let secret_file = arguments.data.secret_path(directory.path());
        let secret = if arguments.with_secret { Some(RootSecret::open(&secret_file, false)?) } else { None };
        let secret = secret.map(|secret| secret.to_hexadecimal());
        if arguments.with_secret {
            record(store, &secret_file, true)?;
        }
        let snapshot = store.snapshot()?;
        let write = |out: &mut dyn Write| backup::write(&snapshot, secret, Clock::system().now(), out).map(|_| ());
        let summary = backup::save(&arguments.file, write)?;
        if !arguments.with_secret {
            record(store, &secret_file, false)?;
        }
        Ok(summary)
    })
}

/// Records the backup in the audit log, unless the store is older than the log. A full disk or a missing secret only
/// causes a warning; without the secret nothing is recorded, because an entry under another one would break the log.
fn record(store: &Store, secret_file: &Path, with_secret: bool) -> Result<(), Failure> {
    if store.format()? != Some(FORMAT) {
        return Ok(());
    }
    let event = backup::event(Clock::system().now(), actor(), with_secret);
    let secret = RootSecret::open(secret_file, false).map_err(Failure::from);
    if let Err(error) = secret.and_then(|secret| Ok(Chain::new(&secret).record(store, event)?)) {
        log::warn!("the audit log cannot record this: {}", chain(&error));
    }
    Ok(())
}
