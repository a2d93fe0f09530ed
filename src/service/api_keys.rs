//! A user's API keys. A key never yields more than its scopes.

use super::{Forbidden, ResourceAccess, ResourceAction, ServiceError, never_taken};
use crate::{
    auth::KeyText,
    domain::{
        Action, AffectedResource, ApiKey, ApiKeyChange, Id, NewApiKey, Page, Problem, Scope, Scopes, Submitted,
        Violations,
    },
    store::{IdSet, Sequence, Slice, Tables, id_set},
};

const CREATE: ResourceAction = ResourceAction { own: Action::CreateApiKey, of_user: Action::CreateUserApiKey };
const UPDATE: ResourceAction = ResourceAction { own: Action::UpdateApiKey, of_user: Action::UpdateUserApiKey };
const DESTROY: ResourceAction = ResourceAction { own: Action::DestroyApiKey, of_user: Action::DestroyUserApiKey };

/// A page of the owner's API keys.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(access: &ResourceAccess, page: Page) -> Result<Slice<ApiKey>, ServiceError> {
    Ok(access.store().api_keys(access.owner, page)?)
}

/// How many API keys a page of the owner's has.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn count(access: &ResourceAccess, page: Page) -> Result<usize, ServiceError> {
    let count = id_set::count(access.store(), IdSet::ApiKeys(access.owner))?;
    let number = count.saturating_sub(page.offset).min(page.limit as u64);
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// One of the owner's API keys.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that id.
pub fn show(access: &ResourceAccess, id: Id) -> Result<ApiKey, ServiceError> {
    access.store().api_key(access.owner, id)?.ok_or(ServiceError::NotFound)
}

/// The key as the caller may see it: in the clear, unless it is another account's or the caller's own credential is a
/// restricted key.
#[must_use]
pub fn shown_key(access: &ResourceAccess, api_key: &ApiKey) -> String {
    access.state.authenticator.api_keys.shown_key(api_key, access.is_own && access.restricted_key().is_none())
}

/// Makes an API key of the owner's, and returns it with its text.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations, among them scopes beyond those of a restricted key.
pub async fn create(
    access: &ResourceAccess,
    submitted: Submitted<ApiKeyChange>,
) -> Result<(ApiKey, KeyText), ServiceError> {
    let beyond = beyond(limiting_key(access).as_ref(), None, &submitted.change);
    let NewApiKey { name, scopes } = submitted.accept(beyond)?.into_new_api_key();
    let (identifier, key) = access.state.authenticator.api_keys.issue();
    let (digest, last_four) = (key.digest(), key.last_four());
    let (made_by, expires_at) = access.api_key().map_or((None, None), |own| (Some(own.id), own.expires_at));
    let max = access.state.policy.max_api_keys;
    let api_key = access
        .write(CREATE, move |txn, owner| {
            if id_set::count(txn, IdSet::ApiKeys(owner.id))? >= max as u64 {
                return Err(Violations::too_many("API keys", max).into());
            }
            let (id, owner) = (txn.next_id(Sequence::ApiKeys)?, owner.id);
            let api_key = ApiKey { id, owner, identifier, digest, last_four, name, scopes, made_by, expires_at };
            txn.put(&api_key).map_err(never_taken)?;
            let subject = AffectedResource::from(&api_key);
            Ok((api_key, subject))
        })
        .await?;
    Ok((api_key, key))
}

/// Changes an API key of the owner's.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] if a restricted key does not cover that key,
/// [`ServiceError::Invalid`] with all violations; among them scopes beyond those of a restricted key, and new scopes for a
/// key that outlives it.
pub async fn update(
    access: &ResourceAccess,
    id: Id,
    submitted: Submitted<ApiKeyChange>,
) -> Result<ApiKey, ServiceError> {
    let limiting_key = limiting_key(access);
    access
        .write(UPDATE, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(limiting_key.as_ref(), &current)?;
            let beyond = beyond(limiting_key.as_ref(), Some(&current), &submitted.change);
            let api_key = submitted.accept(beyond)?.applied_to(&current);
            if api_key != current {
                txn.put(&api_key).map_err(never_taken)?;
            }
            let subject = diff(&current, &api_key);
            Ok((api_key, subject))
        })
        .await
}

/// Removes an API key of the owner's. A restricted key that may remove those of other users need not cover them: it may
/// remove a standard account altogether.
///
/// # Errors
/// [`ServiceError::NotFound`], or [`ServiceError::Forbidden`] if a restricted key does not cover that key.
pub async fn destroy(access: &ResourceAccess, id: Id) -> Result<(), ServiceError> {
    let limiting_key = limiting_key(access).filter(|_| access.is_own);
    access
        .write(DESTROY, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(limiting_key.as_ref(), &current)?;
            txn.remove(&current)?;
            Ok(((), AffectedResource::from(&current)))
        })
        .await
}

/// The restricted key that bounds what the request may give to keys. On another account's keys its scopes cover nothing: what
/// those keys may do is done as that account.
fn limiting_key(access: &ResourceAccess) -> Option<ApiKey> {
    let own = access.restricted_key()?.clone();
    Some(if access.is_own { own } else { ApiKey { scopes: Scopes::default(), ..own } })
}

/// The first scope that the restricted key may not give to a new key or, as a change, to the current one.
fn beyond(restricted_key: Option<&ApiKey>, current: Option<&ApiKey>, change: &ApiKeyChange) -> Violations {
    let (Some(own), Some(wanted)) = (restricted_key, change.scopes.value()) else { return Violations::none() };
    // A key that outlives the restricted key would keep the new scopes after its end.
    let outliving = current.filter(|current| outlives(current, own));
    let may_be_given = |scope: &Scope| {
        let permits = |key: &ApiKey| key.scopes.permit(scope.controller(), scope.action());
        permits(own) && outliving.is_none_or(permits)
    };
    let beyond = wanted.iter().find(|scope| !may_be_given(scope));
    let violation = |scope: &Scope| Violations::one("api_key_scopes", Problem::Invalid, Some(scope.to_string()));
    beyond.map_or_else(Violations::none, violation)
}

/// The key and the names of the changed attributes, for the audit log.
fn diff(old: &ApiKey, new: &ApiKey) -> AffectedResource {
    let name = (old.name != new.name).then(|| "name".to_owned());
    let scopes = (old.scopes != new.scopes).then(|| "api_key_scopes".to_owned());
    AffectedResource::from(old).with(name.into_iter().chain(scopes).collect())
}

fn outlives(key: &ApiKey, other: &ApiKey) -> bool {
    other.expires_at.is_some_and(|end| key.expires_at.is_none_or(|later| end < later))
}

fn refuse_uncovered(restricted_key: Option<&ApiKey>, current: &ApiKey) -> Result<(), ServiceError> {
    let is_covered = restricted_key.is_none_or(|own| own.scopes.cover(&current.scopes));
    if is_covered { Ok(()) } else { Err(Forbidden::Escalation.into()) }
}
