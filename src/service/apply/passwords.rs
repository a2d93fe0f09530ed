//! Compares and hashes passwords before the commit, one after another in turns of the server's, and asks for the names of
//! system users.

use std::sync::Arc;

use super::{Desired, DesiredUser, Mode};
use crate::{
    auth::HashRequester,
    domain::{NewPassword, PasswordHash, SystemId, User},
    service::{AppState, ServiceError, users::system_name},
    store::Tables,
};

/// What is known of the accounts beyond what the commit can find out.
#[derive(Default)]
pub(super) enum Prepared {
    /// No password has been looked at.
    #[default]
    Nothing,
    /// An item for each of the wanted accounts.
    All(Vec<PreparedUser>),
}

/// What is known of a wanted account.
#[derive(Clone, Default)]
pub(super) struct PreparedUser {
    /// The hash that the account had, if there was one.
    pub(super) compared: Option<PasswordHash>,
    /// The hash of the wanted password, if the account's is another one; of no password at all in a dry run.
    pub(super) password: Option<PasswordHash>,
    /// The system's name of its wanted uid, if that is another one.
    pub(super) system_name: Option<String>,
}

impl Prepared {
    /// What is known of the wanted account of that index, if passwords have been looked at.
    pub(super) fn of(&self, index: usize) -> Option<&PreparedUser> {
        match self {
            Self::Nothing => None,
            Self::All(users) => users.get(index),
        }
    }
}

/// A hash that no password has, for what is never stored.
pub(super) fn placeholder() -> PasswordHash {
    PasswordHash::new(String::new())
}

pub(super) async fn prepare(state: &Arc<AppState>, desired: &Desired, mode: Mode) -> Result<Prepared, ServiceError> {
    let mut prepared = Vec::new();
    for user in desired.users.iter().flatten() {
        prepared.push(prepared_user(state, user, mode).await?);
        // Many accounts without a password, or with a remembered one, would keep other requests waiting.
        tokio::task::yield_now().await;
    }
    Ok(Prepared::All(prepared))
}

async fn prepared_user(state: &Arc<AppState>, user: &DesiredUser, mode: Mode) -> Result<PreparedUser, ServiceError> {
    let change = &user.attributes.change;
    let Some(username) = change.username.value() else { return Ok(PreparedUser::default()) };
    let current = state.store.user_by_username(&username.folded())?;
    let wanted_id = new_system_id(current.as_ref(), change.user_id.value().copied().flatten());
    let password = match change.password.value() {
        Some(password) => changed_password(state, current.as_ref(), password, mode).await?,
        None => None,
    };
    let compared = current.map(|user| user.password);
    Ok(PreparedUser { compared, password, system_name: system_name(state, wanted_id).await })
}

/// The wanted uid, if it is not the account's.
fn new_system_id(current: Option<&User>, wanted: Option<SystemId>) -> Option<SystemId> {
    wanted.filter(|_| current.is_none_or(|user| user.user_id != wanted))
}

/// The hash of the wanted password, if the account has another one.
async fn changed_password(
    state: &Arc<AppState>,
    current: Option<&User>,
    password: &NewPassword,
    mode: Mode,
) -> Result<Option<PasswordHash>, ServiceError> {
    let (authenticator, presented) = (&state.authenticator, password.as_presented());
    if let Some(user) = current
        && authenticator.is_password_of(user, presented).await?
    {
        return Ok(None);
    }
    if mode.is_dry_run {
        return Ok(Some(placeholder()));
    }
    Ok(Some(authenticator.hasher.hash(HashRequester::server(), presented).await?))
}
