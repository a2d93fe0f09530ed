//! Opens the store of a data directory, and upgrades one of an older format.

use actix_web::rt::System;

use super::{Failure, salvage::accept_loss};
use crate::{
    backup,
    clock::{Clock, Timestamp},
    config::Settings,
    directory::{DataDirectory, store_in},
    domain::Action,
    service::replace::CACHE_BYTES,
    store::{DiskReserve, Store, Tables, schema::FORMAT, sled::OpenError},
};

/// The events for the audit log before the server serves.
pub(super) type Events = Vec<(Action, Vec<String>)>;

/// Opens the store and upgrades it if it is of an older format, with what the audit log is to have of that.
pub(super) fn open_and_upgrade(directory: &DataDirectory, settings: &Settings) -> Result<(Store, Events), Failure> {
    let (store, accepted) = open(directory, settings)?;
    let again = || Store::open(&store_in(directory.path()), settings.cache_size, settings.into());
    let (store, upgraded) = upgrade(directory, store, again)?;
    let events = [(Action::AcceptLoss, accepted), (Action::UpgradeStore, upgraded)];
    Ok((store, events.into_iter().filter_map(|(action, details)| Some((action, details?))).collect()))
}

/// Opens the store; if a loss was accepted, the details for the audit log come with it.
fn open(directory: &DataDirectory, settings: &Settings) -> Result<(Store, Option<Vec<String>>), Failure> {
    let open = || Store::open(&store_in(directory.path()), settings.cache_size, settings.into());
    match open() {
        Err(loss @ (OpenError::Damaged { .. } | OpenError::Lost { .. })) if settings.accept_loss => {
            let details = accept_loss(directory, &loss, &settings.secret_path())?;
            Ok((open()?, details))
        }
        opened => Ok((opened?, None)),
    }
}

/// Upgrades a store of an older format after a backup, begins its journal if it has none, and opens it anew; an
/// interrupted upgrade is repeated. Returns the details for the audit log if it upgraded.
pub(super) fn upgrade(
    directory: &DataDirectory,
    store: Store,
    open_again: impl FnOnce() -> Result<Store, OpenError>,
) -> Result<(Store, Option<Vec<String>>), Failure> {
    let Some(format) = store.format()?.filter(|format| *format < FORMAT) else { return Ok((store, None)) };
    let now = Clock::system().now();
    let name = format!("before-format-{FORMAT}-{}.backup", now.in_file_name());
    let backups = directory.path().join("backups");
    std::fs::create_dir_all(&backups).map_err(Failure::File)?;
    let file = backups.join(name);
    let snapshot = store.snapshot()?;
    backup::save(&file, |out| backup::write(&snapshot, None, now, out).map(|_| ()))?;
    drop(snapshot);
    log::warn!("upgrading the store from format {format} to {FORMAT}; a backup of it is in {}", file.display());
    System::new().block_on(store.initialise())?;
    let store = if store.is_older() { begin_journal(directory, store, now, open_again)? } else { store };
    Ok((store, Some(vec![format!("from format {format} to {FORMAT}")])))
}

fn begin_journal(
    directory: &DataDirectory,
    store: Store,
    now: Timestamp,
    open_again: impl FnOnce() -> Result<Store, OpenError>,
) -> Result<Store, Failure> {
    store.begin_journal(&store_in(directory.path()), now)?;
    drop(store);
    let store = open_again()?;
    System::new().block_on(store.initialise())?;
    Ok(store)
}

/// Runs a command on the store of a directory that is taken, once it has the current format.
pub(super) fn on_upgraded_store<T>(
    directory: &DataDirectory,
    work: impl FnOnce(&Store) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let open = || Store::open(&store_in(directory.path()), CACHE_BYTES, DiskReserve::NONE);
    let (store, _) = upgrade(directory, open()?, open)?;
    let done = work(&store);
    store.finish();
    done
}
