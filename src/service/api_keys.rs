//! A user's own API keys. A key never yields more than its scopes.

use super::{Caller, Forbidden, ServiceError, never_taken, refuse_invalid};
use crate::{
    auth::KeyText,
    domain::{Action, AffectedResource, ApiKey, ApiKeyName, Field, Id, Page, Problem, Scope, Scopes, Violations},
    store::{IdSet, Sequence, Slice, Tables, id_set},
};

/// What a request says of an API key, with everything that is wrong in it.
#[derive(Clone, Debug)]
pub struct ApiKeyDraft {
    /// Its name, `None` to clear it.
    pub name: Field<Option<ApiKeyName>>,
    /// What it may do.
    pub scopes: Field<Scopes>,
    /// What is wrong with the members themselves.
    pub violations: Violations,
}

/// A page of the caller's API keys.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(caller: &Caller, page: Page) -> Result<Slice<ApiKey>, ServiceError> {
    Ok(caller.store().api_keys(caller.user.id, page)?)
}

/// One of the caller's API keys.
///
/// # Errors
/// [`ServiceError::NotFound`] if the caller has none of that id.
pub fn show(caller: &Caller, id: Id) -> Result<ApiKey, ServiceError> {
    caller.store().api_key(caller.user.id, id)?.ok_or(ServiceError::NotFound)
}

/// The key as the caller may see it: whole, unless the caller came in by a narrow key.
#[must_use]
pub fn shown_key(caller: &Caller, api_key: &ApiKey) -> String {
    caller.state.authenticator.api_keys.shown_key(api_key, caller.restricted_key().is_none())
}

/// Makes an API key of the caller's; the key itself is in the answer.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations, scopes beyond those of a narrow key among them.
pub async fn create(caller: &Caller, draft: ApiKeyDraft) -> Result<(ApiKey, KeyText), ServiceError> {
    refuse_invalid(draft.violations_beside(None, caller.restricted_key()))?;
    let (identifier, key) = caller.state.authenticator.api_keys.issue();
    let (digest, last_four) = (key.digest(), key.last_four());
    let maker = caller.api_key().cloned();
    let most = caller.state.policy.max_api_keys;
    let api_key = caller
        .write(Action::CreateApiKey, move |txn, owner| {
            if id_set::count(txn, IdSet::ApiKeys(owner.id))? >= most as u64 {
                return Err(ServiceError::Invalid(Violations::too_many("API keys", most)));
            }
            let api_key = ApiKey {
                id: txn.next_id(Sequence::ApiKeys)?,
                owner: owner.id,
                identifier,
                digest,
                last_four,
                name: draft.name.or(None),
                scopes: draft.scopes.or(Scopes::default()),
                made_by: maker.as_ref().map(|maker| maker.id),
                expires_at: maker.and_then(|maker| maker.expires_at),
            };
            txn.put(&api_key).map_err(never_taken)?;
            let subject = AffectedResource::from(&api_key);
            Ok::<_, ServiceError>((api_key, subject))
        })
        .await?;
    Ok((api_key, key))
}

/// Changes an API key of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] if a narrow key does not cover that key,
/// [`ServiceError::Invalid`] with all violations; among them scopes beyond those of a narrow key, and new ones for a key
/// that outlives it.
pub async fn update(caller: &Caller, id: Id, draft: ApiKeyDraft) -> Result<ApiKey, ServiceError> {
    let restricted_key = caller.restricted_key().cloned();
    caller
        .write(Action::UpdateApiKey, move |txn, owner| {
            let present = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(restricted_key.as_ref(), &present)?;
            refuse_invalid(draft.violations_beside(Some(&present), restricted_key.as_ref()))?;
            let api_key = ApiKey {
                name: draft.name.or(present.name.clone()),
                scopes: draft.scopes.or(present.scopes.clone()),
                ..present.clone()
            };
            if api_key != present {
                txn.put(&api_key).map_err(never_taken)?;
            }
            let subject = told(&present, &api_key);
            Ok((api_key, subject))
        })
        .await
}

/// Removes an API key of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`], or [`ServiceError::Forbidden`] if a narrow key does not cover that key.
pub async fn destroy(caller: &Caller, id: Id) -> Result<(), ServiceError> {
    let restricted_key = caller.restricted_key().cloned();
    caller
        .write(Action::DestroyApiKey, move |txn, owner| {
            let present = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(restricted_key.as_ref(), &present)?;
            txn.remove(&present)?;
            Ok(((), AffectedResource::from(&present)))
        })
        .await
}

impl ApiKeyDraft {
    /// Everything that is wrong with the draft, for a new key or as a change of the present one, when that narrow key asks
    /// for it.
    fn violations_beside(&self, present: Option<&ApiKey>, restricted_key: Option<&ApiKey>) -> Violations {
        let mut violations = self.violations.clone();
        let (Some(own), Some(wanted)) = (restricted_key, self.scopes.given()) else { return violations };
        // A key that outlives this one would keep what it is given beyond this one's end.
        let outliving = present.filter(|present| outlives(present, own));
        let may_be_given = |scope: &Scope| {
            let permits = |key: &ApiKey| key.scopes.permit(scope.controller(), scope.action());
            permits(own) && outliving.is_none_or(permits)
        };
        if let Some(beyond) = wanted.iter().find(|scope| !may_be_given(scope)) {
            violations.add("api_key_scopes", Problem::Invalid, Some(beyond.to_string()));
        }
        violations
    }
}

/// What the audit log says of a change.
fn told(before: &ApiKey, after: &ApiKey) -> AffectedResource {
    let members = [("name", before.name != after.name), ("api_key_scopes", before.scopes != after.scopes)];
    AffectedResource::from(before)
        .with(members.iter().filter(|(_, is_new)| *is_new).map(|(name, _)| (*name).to_owned()).collect())
}

fn outlives(key: &ApiKey, other: &ApiKey) -> bool {
    other.expires_at.is_some_and(|end| key.expires_at.is_none_or(|later| end < later))
}

fn refuse_uncovered(restricted_key: Option<&ApiKey>, present: &ApiKey) -> Result<(), ServiceError> {
    let is_covered = restricted_key.is_none_or(|own| own.scopes.cover(&present.scopes));
    if is_covered { Ok(()) } else { Err(Forbidden::Escalation.into()) }
}
