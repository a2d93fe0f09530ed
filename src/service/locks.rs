//! Locks: accounts and addresses whose tries wait, seen and cleared by administrators.

use serde::{Deserialize, Serialize};

use super::{Administrator, AppState, Forbidden, ServiceError};
use crate::{
    auth::{AuthError, Lockout},
    clock::Timestamp,
    domain::{Action, AffectedResource, Network, Page, Username},
    store::{Slice, StoreError, Tables},
};

/// What waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LockKind {
    /// An account, known or not, from one address.
    AccountFromAddress,
    /// An address, on all accounts that are new to it.
    Address,
    /// An account, from all addresses that are new to it.
    Account,
}

/// An account, an address or both, on which tries wait.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// What waits.
    pub kind: LockKind,
    /// The account's name, if there is such an account: people type passwords into the wrong field.
    pub username: Option<Username>,
    /// The address, or the /64 of an IPv6 address.
    pub address: Option<Network>,
    /// How many failures count.
    pub failures: u32,
    /// From when on another try is admitted.
    pub waits_until: Timestamp,
}

/// Which locks are meant; both members given mean the account from that address.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LockFilter {
    /// Those of this account.
    pub username: Option<String>,
    /// Those of this address.
    pub address: Option<Network>,
}

/// A page of all locks, those that end soonest first.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(administrator: &Administrator, page: Page) -> Result<Slice<Lock>, ServiceError> {
    let state = &administrator.0.state;
    let waiting = state.authenticator.throttle.waiting();
    let offset = usize::try_from(page.offset).unwrap_or(usize::MAX);
    let of_page = waiting.iter().skip(offset).take(page.limit);
    let records = of_page.map(|waiting| lock(state, waiting)).collect::<Result<_, _>>()?;
    Ok(Slice { records, count: waiting.len() as u64 })
}

/// Clears locks, and forgets the failures that have not led to one yet.
///
/// # Errors
/// [`ServiceError::Forbidden`] for a narrow key, unless it clears those of an account that is no administrator's.
pub async fn clear(administrator: &Administrator, filter: &LockFilter) -> Result<(), ServiceError> {
    let caller = &administrator.0;
    if caller.restricted_key().is_some() {
        let username = filter.username.as_deref().ok_or(Forbidden::NEEDS_FULL_ACCESS)?;
        if caller.state.authenticator.user_named(username)?.is_some_and(|user| user.is_admin) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
    }
    clear_all(&caller.state, filter);
    caller.record(Action::DestroyLocks, subject(&caller.state, filter)?).await;
    log::info!("locks were cleared: user_id={}", caller.user.id);
    Ok(())
}

/// All locks, for somebody who needs no leave.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub fn all(state: &AppState) -> Result<Vec<Lock>, StoreError> {
    state.authenticator.throttle.waiting().iter().map(|waiting| lock(state, waiting)).collect()
}

/// Clears locks, for somebody who needs no leave.
pub fn clear_all(state: &AppState, filter: &LockFilter) {
    state.authenticator.throttle.clear(filter.username.as_deref(), filter.address);
}

/// What the audit log says of these locks; the text of a name that no account has is not kept.
///
/// # Errors
/// [`AuthError::Store`] if the store cannot be read.
pub fn subject(state: &AppState, filter: &LockFilter) -> Result<AffectedResource, AuthError> {
    let address = filter.address.map(|address| format!("address = {address}"));
    let Some(username) = &filter.username else { return Ok(AffectedResource::details(address.into_iter().collect())) };
    let user = state.authenticator.user_named(username)?;
    let nobody = user.is_none().then(|| "username of nobody".to_owned());
    let details = nobody.into_iter().chain(address).collect();
    Ok(user.as_ref().map_or_else(AffectedResource::default, AffectedResource::from).with(details))
}

fn lock(state: &AppState, waiting: &Lockout) -> Result<Lock, StoreError> {
    let kind = match (waiting.account, waiting.network) {
        (Some(_), Some(_)) => LockKind::AccountFromAddress,
        (Some(_), None) => LockKind::Account,
        (None, _) => LockKind::Address,
    };
    let user = waiting.user.map(|id| state.store.user(id)).transpose()?.flatten();
    // The user may have another name by now.
    let is_of_user = |username: &Username| {
        waiting.account.is_some_and(|account| state.authenticator.throttle.is_account_of(account, username))
    };
    Ok(Lock {
        kind,
        username: user.map(|user| user.username).filter(is_of_user),
        address: waiting.network,
        failures: waiting.failures,
        waits_until: waiting.until,
    })
}
