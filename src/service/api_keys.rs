//! A user's API keys. A key never yields more than its scopes.

mod rights;

use std::time::Duration;

use self::rights::{beyond_of_change, beyond_of_new, refuse_rotation, refuse_uncovered};
use super::{Caller, ResourceAccess, ResourceAction, ServiceError, beyond_bound, never_taken, refuse_invalid};
use crate::{
    auth::KeyText,
    clock::Timestamp,
    domain::{
        Action, Activity, ActivitySubject, AffectedResource, ApiKey, ApiKeyChange, FormerValue, Id, NewApiKey, Page,
        Rotation, Scope, Scopes, Submitted, Violations,
    },
    store::{IdSet, Sequence, Slice, Tables, activity, id_set},
};

const CREATE: ResourceAction = ResourceAction { own: Action::CreateApiKey, of_user: Action::CreateUserApiKey };
const UPDATE: ResourceAction = ResourceAction { own: Action::UpdateApiKey, of_user: Action::UpdateUserApiKey };
const DESTROY: ResourceAction = ResourceAction { own: Action::DestroyApiKey, of_user: Action::DestroyUserApiKey };
const ROTATE: ResourceAction = ResourceAction { own: Action::RotateApiKey, of_user: Action::RotateUserApiKey };

const DESTROY_FORMER_VALUE: ResourceAction =
    ResourceAction { own: Action::DestroyFormerValue, of_user: Action::DestroyUserFormerValue };

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
    Ok(page.len_of(id_set::count(access.store(), IdSet::ApiKeys(access.owner))?))
}

/// One of the owner's API keys.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that id.
pub fn show(access: &ResourceAccess, id: Id) -> Result<ApiKey, ServiceError> {
    access.store().api_key(access.owner, id)?.ok_or(ServiceError::NotFound)
}

/// The key as the caller may see it: in the clear, unless it is another account's, or the caller's own credential is a
/// restricted key or one that the key would outlive or reach beyond.
#[must_use]
pub fn shown_key(access: &ResourceAccess, api_key: &ApiKey) -> String {
    let may_see =
        access.is_own && access.restricted_key().is_none() && access.api_key().is_none_or(|own| api_key.is_within(own));
    access.state.authenticator.api_keys.shown_key(api_key, may_see)
}

/// What an API key has been used for.
pub struct Usage {
    /// Since when its use is recorded; what is missing was not used since.
    pub observed_since: Option<Timestamp>,
    /// The minute of its last use, and from where.
    pub last: Option<Activity>,
    /// The scopes that it has used, each with the minute of the last use.
    pub scopes: Vec<(Scope, Timestamp)>,
}

/// The minute in which an API key was last used, and from where; `None` if that has not been recorded.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn last_use(access: &ResourceAccess, api_key: &ApiKey) -> Result<Option<Activity>, ServiceError> {
    let subject = ActivitySubject::ApiKey(api_key.owner, api_key.id);
    Ok(access.state.activity.last(access.store(), subject)?)
}

/// What one of the owner's API keys has been used for.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that id.
pub fn usage(access: &ResourceAccess, id: Id) -> Result<Usage, ServiceError> {
    let api_key = show(access, id)?;
    let recorded_since = activity::since(access.store())?;
    let scopes = access.state.activity.scopes_of_key(access.store(), api_key.owner, id)?;
    Ok(Usage {
        observed_since: recorded_since.max(api_key.created_at),
        last: last_use(access, &api_key)?,
        scopes: scopes.into_iter().map(|(scope, activity)| (scope, activity.at)).collect(),
    })
}

/// The API key that the request was made with, as the presented value proves it.
///
/// # Errors
/// [`ServiceError::NotFound`] for another credential.
pub fn presented(caller: &Caller) -> Result<&ApiKey, ServiceError> {
    caller.api_key().ok_or(ServiceError::NotFound)
}

/// Makes an API key of the owner's, and returns it with its text. One that is made by a key ends no later than that key and
/// may be used from nowhere else.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations, among them what lies beyond the key that makes it.
pub async fn create(
    access: &ResourceAccess,
    submitted: Submitted<ApiKeyChange>,
) -> Result<(ApiKey, KeyText), ServiceError> {
    let maker = limiting_key(access).or_else(|| access.api_key().cloned());
    let beyond = beyond_of_new(maker.as_ref(), &submitted.change);
    let NewApiKey { name, scopes, expires_at, allowed_networks } = submitted.accept(beyond)?.into_new_api_key();
    let (identifier, key) = access.state.authenticator.api_keys.issue();
    let (digest, last_four) = (key.digest(), key.last_four());
    let (owner, made_by, created_at) =
        (access.owner, maker.as_ref().map(|maker| maker.id), Some(access.state.clock.now()));
    let expires_at = expires_at.or_else(|| maker.as_ref()?.expires_at);
    let allowed_networks = allowed_networks.or_else(|| maker?.allowed_networks);
    let new = move |id| ApiKey {
        id,
        owner,
        identifier,
        digest,
        last_four,
        name,
        scopes,
        made_by,
        expires_at,
        allowed_networks,
        created_at,
        former_value: None,
    };
    Ok((insert(access, new).await?, key))
}

/// Stores a new API key under the next id.
async fn insert(
    access: &ResourceAccess,
    new: impl FnOnce(Id) -> ApiKey + Send + 'static,
) -> Result<ApiKey, ServiceError> {
    let max = access.state.policy.max_api_keys;
    access
        .write(CREATE, move |txn, owner| {
            refuse_invalid(beyond_bound(txn, IdSet::ApiKeys(owner.id), "API keys", max)?)?;
            let api_key = new(txn.next_id(Sequence::ApiKeys)?);
            txn.put(&api_key).map_err(never_taken)?;
            let subject = AffectedResource::from(&api_key);
            Ok((api_key, subject))
        })
        .await
}

/// Changes an API key of the owner's.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] if a restricted key does not cover that key,
/// [`ServiceError::Invalid`] with all violations, among them what the key of the request may not give.
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
            let beyond = beyond_of_change(limiting_key.as_ref(), &current, &submitted.change);
            let api_key = submitted.accept(beyond)?.applied_to(&current);
            if api_key != current {
                txn.put(&api_key).map_err(never_taken)?;
            }
            let subject = diff(&current, &api_key);
            Ok((api_key, subject))
        })
        .await
}

/// Gives an API key of the owner's a new value, and returns it with its text. The value that it has had stays valid for the
/// overlap; the one before that ends at once.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] if that key reaches beyond the key of the request,
/// [`ServiceError::Invalid`] with all violations.
pub async fn rotate(
    access: &ResourceAccess,
    id: Id,
    submitted: Submitted<Rotation>,
) -> Result<(ApiKey, KeyText), ServiceError> {
    let limiting_key = limiting_key(access);
    let (identifier, key) = access.state.authenticator.api_keys.issue();
    let (digest, last_four, now) = (key.digest(), key.last_four(), access.state.clock.now());
    let api_key = access
        .write(ROTATE, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_rotation(limiting_key.as_ref(), &current)?;
            let Rotation { overlap } = submitted.accept(Violations::none())?;
            let former_value = former_value(&current, overlap, now);
            let subject = AffectedResource::from(&current).with(vec![format!("overlap = {} s", overlap.as_secs())]);
            let rotated = ApiKey { identifier, digest, last_four, former_value, ..current };
            txn.put(&rotated).map_err(never_taken)?;
            Ok((rotated, subject))
        })
        .await?;
    Ok((api_key, key))
}

/// The text of a rotated key as the caller may see it: a restricted key sees none of another account's.
#[must_use]
pub fn rotated_key(access: &ResourceAccess, api_key: &ApiKey, key: &KeyText) -> String {
    let may_see = access.is_own || access.restricted_key().is_none();
    if may_see { key.expose().to_owned() } else { access.state.authenticator.api_keys.shown_key(api_key, false) }
}

/// The value that the key has had until now, if it is to stay valid.
fn former_value(current: &ApiKey, overlap: Duration, now: Timestamp) -> Option<FormerValue> {
    let former = FormerValue { digest: current.digest, last_four: current.last_four, ends: now.after(overlap) };
    (!overlap.is_zero()).then_some(former)
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

/// Ends the value that an API key of the owner's had before its rotation, if it is still valid. Who may remove a key may do
/// this.
///
/// # Errors
/// Those of [`destroy`].
pub async fn destroy_former_value(access: &ResourceAccess, id: Id) -> Result<(), ServiceError> {
    let limiting_key = limiting_key(access).filter(|_| access.is_own);
    access
        .write(DESTROY_FORMER_VALUE, move |txn, owner| {
            let current = txn.api_key(owner.id, id)?.ok_or(ServiceError::NotFound)?;
            refuse_uncovered(limiting_key.as_ref(), &current)?;
            let subject = AffectedResource::from(&current);
            if current.former_value.is_some() {
                txn.put(&ApiKey { former_value: None, ..current }).map_err(never_taken)?;
            }
            Ok(((), subject))
        })
        .await
}

/// The API key that bounds what the request may give to keys: one that is restricted, ends or is bound to networks. On another
/// account's keys the scopes of a restricted one cover nothing: what those keys may do is done as that account.
fn limiting_key(access: &ResourceAccess) -> Option<ApiKey> {
    let own = access.limited_key()?.clone();
    let has_its_scopes = access.is_own || access.restricted_key().is_none();
    Some(if has_its_scopes { own } else { ApiKey { scopes: Scopes::default(), ..own } })
}

/// The key and the names of the changed attributes, for the audit log.
pub(super) fn diff(old: &ApiKey, new: &ApiKey) -> AffectedResource {
    let changes = [
        (old.name != new.name).then_some("name"),
        (old.scopes != new.scopes).then_some("api_key_scopes"),
        (old.expires_at != new.expires_at).then_some("expires_at"),
        (old.allowed_networks != new.allowed_networks).then_some("allowed_networks"),
    ];
    AffectedResource::from(old).with(changes.into_iter().flatten().map(str::to_owned).collect())
}
