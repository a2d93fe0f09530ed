//! `lodge restore`: replaces the store by a backup.

use std::{
    fs::File,
    path::{Path, PathBuf},
};

use actix_web::rt::System;
use clap::Args;

use super::{Failure, actor, failure::RestoreError};
use crate::{
    audit::{Chain, LogReader, carry_over, directory_in, done},
    backup::{self, Line, Reader, Rebuild, Rebuilt, State},
    clock::{Clock, Timestamp},
    config::DataArguments,
    directory::{DataDirectory, store_in},
    domain::{Action, AffectedResource, ApiKey},
    error_chain::chain,
    output,
    privileges::as_operator,
    secret::RootSecret,
    service::replace::{CACHE_BYTES, replace_store},
    store::{
        DiskReserve, Store, Tables,
        layout::Layout,
        sequences,
        sled::{OpenError, witness},
        used_identifiers,
    },
};

#[derive(Args, Debug)]
pub(super) struct RestoreArguments {
    /// The backup to restore
    file: PathBuf,

    #[command(flatten)]
    pub(super) data: DataArguments,
}

/// The replaced store, and its sequences.
#[derive(Default)]
struct Replaced {
    store: Option<Store>,
    sequences: [u64; 3],
}

/// What was restored.
#[derive(Default)]
struct Restored {
    rebuilt: Rebuilt,
    secret: Option<RootSecret>,
    revived: Vec<ApiKey>,
}

pub(super) fn restore(arguments: &RestoreArguments) -> Result<(), Failure> {
    let (file, _) = backup::open(&arguments.file)?;
    let directory = DataDirectory::take(&arguments.data.data_dir)?;
    let replaced = Replaced::in_directory(&directory)?;
    let could_be_read = replaced.store.is_some() || !store_in(directory.path()).exists();
    let now = Clock::system().now();
    let secret_file = arguments.data.secret_path(directory.path());
    let log = Log { files: LogReader::of(&directory_in(directory.path()))?, secret_file: secret_file.clone(), now };
    let build = |store: Store| async move { rebuild(file, &store, replaced, log).await };
    let (restored, kept) = System::new().block_on(replace_store(&directory, now, build)).map_err(Failure::Restore)?;
    print(&restored, could_be_read);
    if let Some(kept) = kept {
        output::line(format_args!("the old store is kept in {}", kept.display()));
    }
    keep_secret(restored.secret, &secret_file)
}

impl Replaced {
    fn in_directory(directory: &DataDirectory) -> Result<Self, Failure> {
        let path = store_in(directory.path());
        let witnessed = witness::stored_witness(&path).ok().flatten().map_or([0; 3], |witness| witness.sequences);
        let store = match Layout::of(&path) {
            Layout::New => None,
            Layout::Older | Layout::Journaled => {
                match Store::open(&path, CACHE_BYTES, DiskReserve::NONE)
                    .or_else(|error| as_far_as_possible(&path, error))
                {
                    // The lock file was deleted while a server runs, which still writes.
                    Err(error @ OpenError::InUse(_)) => return Err(error.into()),
                    opened => opened.ok(),
                }
            }
        };
        let stored = store.as_ref().and_then(|store| sequences(store).ok()).unwrap_or_default();
        let higher = |place: usize| stored[place].max(witnessed[place]);
        Ok(Self { store, sequences: [higher(0), higher(1), higher(2)] })
    }

    /// Whether the replaced store could be read and does not have the key.
    fn lacks(&self, api_key: &ApiKey) -> bool {
        let had = |store: &Store| store.api_key_by_digest(api_key.digest).ok().flatten().is_some();
        self.store.as_ref().is_some_and(|store| !had(store))
    }
}

/// Opens the rows of a store that cannot be opened as a whole.
fn as_far_as_possible(path: &Path, error: OpenError) -> Result<Store, OpenError> {
    match error {
        OpenError::Damaged { .. } | OpenError::Lost { .. } => Store::open_damaged(path, CACHE_BYTES),
        OpenError::InUse(_) | OpenError::TooNew { .. } | OpenError::Io { .. } => Err(error),
    }
}

/// What the audit log needs to continue in the new store.
struct Log {
    files: LogReader,
    secret_file: PathBuf,
    now: Timestamp,
}

impl Log {
    /// Continues the log in the new store, with the entry of the restore.
    async fn carry_over(
        self,
        replaced: Option<&Store>,
        store: &Store,
        restored: &Restored,
        of: String,
    ) -> Result<(), RestoreError> {
        let event = done(self.now, actor(), Action::RestoreBackup, AffectedResource::details(vec![of]));
        let entry = self.chain(restored.secret.as_ref()).map(|chain| (chain, event));
        Ok(carry_over(replaced, &self.files, store, entry).await?)
    }

    /// The chain under the secret that the restored server will have. Without a secret the entry is left out: under
    /// another one it would break the log once the operator puts the right secret back.
    fn chain(&self, of_backup: Option<&RootSecret>) -> Option<Chain> {
        // The backup's secret is used only if there is no other.
        if let Some(secret) = of_backup.filter(|_| !is_there(&self.secret_file)) {
            return Some(Chain::new(secret));
        }
        let secret = RootSecret::open(&self.secret_file, false);
        let secret = secret.inspect_err(|error| log::warn!("the audit log cannot record this: {}", chain(error)));
        secret.ok().as_ref().map(Chain::new)
    }
}

async fn rebuild(file: File, store: &Store, replaced: Replaced, log: Log) -> Result<Restored, RestoreError> {
    let mut reader = Reader::open(file)?;
    let state: State = reader.state.clone();
    let mut rebuild = Rebuild::of(store);
    let mut restored = Restored::default();
    while let Some(line) = reader.next_line()? {
        match line {
            Line::Secret(digits) => restored.secret = RootSecret::from_hexadecimal(&digits),
            Line::ApiKey(api_key) if replaced.lacks(&api_key) => {
                restored.revived.push(api_key.clone());
                rebuild.add(Line::ApiKey(api_key)).await?;
            }
            line => rebuild.add(line).await?,
        }
    }
    restored.rebuilt = rebuild.finish(state, replaced.sequences).await?;
    if let Some(replaced) = &replaced.store {
        // A failure does not prevent the restore.
        if let Err(error) = used_identifiers::carry_over(replaced, store).await {
            log::warn!("the used names of the replaced store cannot be carried over: {}", chain(&error));
        }
    }
    let of = format!("a backup of {}, commit {}", reader.header.created_at, reader.header.commit);
    log.carry_over(replaced.store.as_ref(), store, &restored, of).await?;
    Ok(restored)
}

fn print(restored: &Restored, could_be_read: bool) {
    let Rebuilt { users, configurations, api_keys, .. } = &restored.rebuilt;
    output::line(format_args!(
        "restored {users} users, {configurations} configurations, {api_keys} API keys; all users have to sign in again"
    ));
    if !could_be_read {
        output::line(format_args!(
            "the replaced store could not be read: API keys that were destroyed since the backup are valid again"
        ));
    }
    if !restored.revived.is_empty() {
        output::line(format_args!("these API keys, which the replaced store did not have, are valid again:"));
    }
    for api_key in &restored.revived {
        let name = api_key.name.as_ref().map_or("", |name| name.as_str());
        output::line(format_args!("  API key {} of user {} {name}", api_key.id, api_key.owner));
    }
}

/// Saves the backup's secret, if there is no other.
fn keep_secret(secret: Option<RootSecret>, path: &Path) -> Result<(), Failure> {
    match secret {
        Some(secret) if !is_there(path) => {
            secret.save(path)?;
            output::line(format_args!("the secret of the backup was saved in {}", path.display()));
        }
        Some(_) => output::line(format_args!("the secret of the backup was ignored: {} exists", path.display())),
        None if !is_there(path) => output::line(format_args!(
            "there is no secret in {}: put it back, or make a new one with `lodge secret rotate`",
            path.display()
        )),
        None => {}
    }
    Ok(())
}

fn is_there(secret_file: &Path) -> bool {
    as_operator(secret_file, || secret_file.exists())
}
