//! Makes accounts, configurations and API keys what the operator wants them to be, in one transaction.
//!
//! The same work is done twice: on the committed rows without any consequence, to find everything that is wrong before a
//! password is hashed and for a dry run; and in the commit.

mod api_keys;
mod changes;
mod check;
mod configurations;
mod passwords;
mod users;

use std::sync::Arc;

pub use self::changes::{Changed, Kind, RecordKind};
use self::{
    changes::{Changes, Work},
    passwords::Prepared,
};
use super::{AppState, Local, ServiceError, first_start};
use crate::{
    domain::{Actor, ApiKeyChange, ConfigurationChange, InvalidRecords, Submitted, UserChange},
    secret::Secret,
    store::StoreError,
};

/// The accounts as they are to be.
#[derive(Debug, Default)]
pub struct Desired {
    /// The accounts; `None` if only what is wrong is known.
    pub users: Option<Vec<DesiredUser>>,
    /// What is wrong with the form of the request.
    pub wrong: InvalidRecords,
}

/// An account as it is to be. What it does not have stays as it is.
#[derive(Debug)]
pub struct DesiredUser {
    /// Its place in the request.
    pub place: String,
    /// Its attributes, among them the user name by which it is found.
    pub attributes: Submitted<UserChange>,
    /// Its configurations, each found by its key.
    pub configurations: Option<Vec<DesiredConfiguration>>,
    /// Its API keys, each found by its name.
    pub api_keys: Option<Vec<DesiredApiKey>>,
}

/// A configuration as it is to be.
#[derive(Debug)]
pub struct DesiredConfiguration {
    /// Its place in the request.
    pub place: String,
    /// Its attributes.
    pub attributes: Submitted<ConfigurationChange>,
}

/// An API key as it is to be.
#[derive(Debug)]
pub struct DesiredApiKey {
    /// Its place in the request.
    pub place: String,
    /// Its attributes.
    pub attributes: Submitted<ApiKeyChange>,
    /// The value that it gets if it has to be made: one that a dry run has shown.
    pub value: Option<Secret<String>>,
}

/// How the accounts are changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mode {
    /// Whether nothing is changed.
    pub is_dry_run: bool,
    /// Whether what is not named is removed from the lists that are there.
    pub prunes: bool,
}

/// Accounts that may become so, as far as is known before passwords are looked at.
pub struct Examined(Arc<Desired>);

/// Finds what is wrong with the wanted accounts. Reads each of them, so it must not run where asynchronous work does.
///
/// # Errors
/// [`ServiceError::InvalidRecords`] with everything that is wrong; [`ServiceError::Store`].
pub fn examine(state: &Arc<AppState>, desired: Desired, mode: Mode) -> Result<Examined, ServiceError> {
    let desired = Arc::new(desired);
    check::refuse_too_many_passwords(&desired)?;
    let work = Work::new(state, &desired, mode, Prepared::default()).with_wrong(check::violations(&desired));
    state.store.simulate(|txn| work.run(txn))?;
    Ok(Examined(desired))
}

/// Changes the accounts, and returns what was changed; in a dry run, what would be.
///
/// # Errors
/// [`ServiceError::InvalidRecords`], [`ServiceError::ChangedMeanwhile`] if a password that was compared is no longer the
/// account's, [`ServiceError::Auth`] if passwords cannot be checked now, [`ServiceError::Store`]; then nothing is changed.
pub async fn apply(
    Local { state, uid }: &Local,
    Examined(desired): Examined,
    mode: Mode,
) -> Result<Vec<Changed>, ServiceError> {
    let prepared = passwords::prepare(state, &desired, mode).await?;
    let work = Work::new(state, &desired, mode, prepared);
    if mode.is_dry_run {
        return simulated(state, work).await;
    }
    let Changes { changed, has_ended_initial_password } = state
        .write_all(Actor::local(*uid), move |txn| {
            let mut changes = work.run(txn)?;
            let entries: Vec<_> = changes.changed.iter_mut().filter_map(|changed| changed.entry.take()).collect();
            Ok::<_, ServiceError>((changes, entries))
        })
        .await?;
    if has_ended_initial_password {
        first_start::remove_initial_password(&state.policy.initial_password_file);
    }
    Ok(changed)
}

async fn simulated(state: &Arc<AppState>, work: Work) -> Result<Vec<Changed>, ServiceError> {
    let store = state.store.clone();
    let simulated = tokio::task::spawn_blocking(move || store.simulate(|txn| work.run(txn))).await;
    Ok(simulated.map_err(|_| StoreError::Panicked)??.changed)
}
