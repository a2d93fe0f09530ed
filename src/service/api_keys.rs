//! A user's own API keys. A key never yields more than its scopes.

use super::{Caller, Forbidden, ServiceError, never_taken};
use crate::{
    auth::KeyText,
    domain::{
        Action, AffectedResource, ApiKey, ApiKeyChange, Id, NewApiKey, Page, Problem, Scope, Submitted, Violations,
    },
    store::{IdSet, Sequence, Slice, Tables, id_set},
};

/// A page of the caller's API keys.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(caller: &Caller, page: Page) -> Result<Slice<ApiKey>, ServiceError> {
    Ok(caller.store().api_keys(caller.user.id, page)?)
}

/// How many API keys a page of the caller's has.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn count(caller: &Caller, page: Page) -> Result<usize, ServiceError> {
    let count = id_set::count(caller.store(), IdSet::ApiKeys(caller.user.id))?;
    let number = count.saturating_sub(page.offset).min(page.limit as u64);
    Ok(usize::try_from(number).unwrap_or(usize::MAX))
}

/// One of the caller's API keys.
///
/// # Errors
/// [`ServiceError::NotFound`] if the caller has none of that id.
pub fn show(caller: &Caller, id: Id) -> Result<ApiKey, ServiceError> {
    caller.store().api_key(caller.user.id, id)?.ok_or(ServiceError::NotFound)
}

/// The key as the caller may see it: in the clear, unless the caller's own credential is a restricted key.
#[must_use]
pub fn shown_key(caller: &Caller, api_key: &ApiKey) -> String {
    caller.state.authenticator.api_keys.shown_key(api_key, caller.restricted_key().is_none())
}

/// Makes an API key of the caller's, and returns it with its text.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations, among them scopes beyond those of a restricted key.
pub async fn create(caller: &Caller, submitted: Submitted<ApiKeyChange>) -> Result<(ApiKey, KeyText), ServiceError> {
    let beyond = beyond(caller.restricted_key(), None, &submitted.change);
    let NewApiKey { name, scopes } = submitted.accept(beyond)?.into_new_api_key();
    let (identifier, key) = caller.state.authenticator.api_keys.issue();
    let (digest, last_four) = (key.digest(), key.last_four());
    let (made_by, expires_at) = caller.api_key().map_or((None, None), |own| (Some(own.id), own.expires_at));
    let max = caller.state.policy.max_api_keys;
    let api_key = caller
        .write(Action::CreateApiKey, move |txn, owner| {
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

/// Changes an API key of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] if a restricted key does not cover that key,
/// [`ServiceError::Invalid`] with all violations; among them scopes beyond those of a restricted key, and new scopes for a
/// key that outlives it.
pub async fn update(caller: &Caller, id: Id, submitted: Submitted<ApiKeyChange>) -> Result<ApiKey, ServiceError> {
    let restricted_key = caller.restricted_key().cloned();
    caller
        .write(Action::UpdateApiKey, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(restricted_key.as_ref(), &current)?;
            let beyond = beyond(restricted_key.as_ref(), Some(&current), &submitted.change);
            let api_key = submitted.accept(beyond)?.applied_to(&current);
            if api_key != current {
                txn.put(&api_key).map_err(never_taken)?;
            }
            let subject = diff(&current, &api_key);
            Ok((api_key, subject))
        })
        .await
}

/// Removes an API key of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`], or [`ServiceError::Forbidden`] if a restricted key does not cover that key.
pub async fn destroy(caller: &Caller, id: Id) -> Result<(), ServiceError> {
    let restricted_key = caller.restricted_key().cloned();
    caller
        .write(Action::DestroyApiKey, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(restricted_key.as_ref(), &current)?;
            txn.remove(&current)?;
            Ok(((), AffectedResource::from(&current)))
        })
        .await
}

/// The first scope that the restricted key may not give to a new key or, as a change, to the current one.
fn beyond(restricted_key: Option<&ApiKey>, current: Option<&ApiKey>, change: &ApiKeyChange) -> Violations {
    let (Some(own), Some(wanted)) = (restricted_key, change.scopes.value()) else { return Violations::none() };
    // A key that outlives this one would keep what it is given after this one's end.
    let outliving = current.filter(|current| outlives(current, own));
    let may_be_given = |scope: &Scope| {
        let permits = |key: &ApiKey| key.scopes.permit(scope.controller(), scope.action());
        permits(own) && outliving.is_none_or(permits)
    };
    let beyond = wanted.iter().find(|scope| !may_be_given(scope));
    let violation = |scope: &Scope| Violations::one("api_key_scopes", Problem::Invalid, Some(scope.to_string()));
    beyond.map_or_else(Violations::none, violation)
}

/// The key with the attributes that differ, as the audit log records them: their names alone.
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
