//! Locks: accounts and addresses that are locked out, listed and cleared by administrators.

use serde::{Deserialize, Serialize};

use super::{Administrator, AppState, Forbidden, ServiceError};
use crate::{
    auth::{AuthError, Lockout},
    clock::Timestamp,
    domain::{Action, AffectedResource, Network, Page, Username},
    store::{Slice, StoreError, Tables},
};

/// What is locked out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// An account, existing or not, from one address.
    AccountFromAddress,
    /// An address, for all accounts that have not signed in from it recently.
    Address,
    /// An account, from all addresses that it has not signed in from recently.
    Account,
}

/// An account, an address or both, for which attempts are refused for a while.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What is locked out.
    pub kind: LockKind,
    /// The account's name; `None` for an unknown one, which may be a password in the wrong field.
    pub username: Option<Username>,
    /// The address, or the /64 of an IPv6 address.
    pub address: Option<Network>,
    /// The number of failures that count.
    pub failures: u32,
    /// When the next attempt is admitted.
    pub waits_until: Timestamp,
}

/// Selects locks; both members together select those of the account from that address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFilter {
    /// Those of this account.
    pub username: Option<String>,
    /// Those of this address.
    pub address: Option<Network>,
}

/// A page of all locks, in the order of their ends.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(administrator: &Administrator, page: Page) -> Result<Slice<Lock>, ServiceError> {
    let state = &administrator.0.state;
    let lockouts = state.authenticator.throttle.lockouts();
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let of_page = lockouts.iter().skip(offset).take(page.limit);
    let records = of_page.map(|lockout| lock(state, lockout)).collect::<Result<_, _>>()?;
    Ok(Slice { records, count: lockouts.len() as u64 })
}

/// Clears locks, and the failures that have not led to one yet.
///
/// # Errors
/// [`ServiceError::Forbidden`] for a restricted key, unless the filter names an account that is no administrator's.
pub async fn clear(administrator: &Administrator, filter: &LockFilter) -> Result<(), ServiceError> {
    let requester = &administrator.0;
    if requester.restricted_key().is_some() {
        let username = filter.username.as_deref().ok_or(Forbidden::NEEDS_FULL_ACCESS)?;
        if requester.state.authenticator.user_named(username)?.is_some_and(|user| user.is_admin) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
    }
    requester.state.authenticator.throttle.clear(filter.username.as_deref(), filter.address);
    requester.record(Action::DestroyLocks, subject(&requester.state, filter)?).await;
    log::info!("locks were cleared: {}", requester.principal);
    Ok(())
}

/// The selected locks, for the audit log. A name that no account has is not recorded.
///
/// # Errors
/// [`AuthError::Store`] if the store cannot be read.
fn subject(state: &AppState, filter: &LockFilter) -> Result<AffectedResource, AuthError> {
    let address = filter.address.map(|address| format!("address = {address}"));
    let Some(username) = &filter.username else { return Ok(AffectedResource::details(address.into_iter().collect())) };
    let user = state.authenticator.user_named(username)?;
    let unknown = user.is_none().then(|| "unknown username".to_owned());
    let details = unknown.into_iter().chain(address).collect();
    Ok(user.as_ref().map_or_else(AffectedResource::default, AffectedResource::from).with(details))
}

fn lock(state: &AppState, lockout: &Lockout) -> Result<Lock, StoreError> {
    let kind = match (lockout.account, lockout.network) {
        (Some(_), Some(_)) => LockKind::AccountFromAddress,
        (Some(_), None) => LockKind::Account,
        (None, _) => LockKind::Address,
    };
    let user = lockout.user.map(|id| state.store.user(id)).transpose()?.flatten();
    // The user may have been renamed since.
    let is_of_user = |username: &Username| {
        lockout.account.is_some_and(|account| state.authenticator.throttle.is_account_of(account, username))
    };
    Ok(Lock {
        kind,
        username: user.map(|user| user.username).filter(is_of_user),
        address: lockout.network,
        failures: lockout.failures,
        waits_until: lockout.until,
    })
}
