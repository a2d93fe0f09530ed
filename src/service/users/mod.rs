//! Accounts: lists, shows, creates, changes and removes them, with the rights to do so.

mod conflicts;
mod current_password;
mod rights;
pub mod search;

use std::sync::Arc;

pub(super) use self::conflicts::{password_conflicts, what_ends_administration};
use self::{
    conflicts::{conflicts, is_last_administrator},
    current_password::CurrentPassword,
    rights::{Rights, changes_password},
};
use super::{
    Administrator, AppState, Author, Caller, Requester, ServiceError, first_start, refuse_invalid,
    refuse_restricted_key, taken,
};
use crate::{
    auth::Principal,
    clock::Timestamp,
    domain::{
        Action, ActivitySubject, AffectedResource, Change, Id, NewPassword, NewUser, Page, PasswordHash, Problem,
        Session, Submitted, SystemId, User, UserChange, Violations,
    },
    store::{Sequence, Slice, StoreError, Tables, Txn},
};

/// A page of all accounts.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(administrator: &Administrator, page: Page) -> Result<Slice<User>, ServiceError> {
    Ok(administrator.0.store().users(page)?)
}

/// The account of that id.
///
/// # Errors
/// [`ServiceError::NotFound`] if there is none.
pub fn show(requester: &Requester, id: Id) -> Result<User, ServiceError> {
    requester.store().user(id)?.ok_or(ServiceError::NotFound)
}

/// When the user of that id last signed in, to the minute; `None` if that is not known.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn last_sign_in(requester: &Requester, id: Id) -> Result<Option<Timestamp>, ServiceError> {
    let activity = requester.state.activity.last(requester.store(), ActivitySubject::SignIn(id))?;
    Ok(activity.map(|activity| activity.at))
}

/// Whether the caller's account still has the password that the first start generated.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn has_initial_password(caller: &Caller) -> Result<bool, ServiceError> {
    Ok(caller.store().initial_administrator()? == Some(caller.user.id))
}

/// Creates an account.
///
/// # Errors
/// [`ServiceError::Forbidden`] for what a restricted key may not give, [`ServiceError::Invalid`] with all violations.
pub async fn create(administrator: &Administrator, submitted: Submitted<UserChange>) -> Result<User, ServiceError> {
    let requester = &administrator.0;
    refuse_restricted_key(requester, is_privileged(&submitted.change))?;
    let rights = Rights::of(requester);
    rights.refuse_lasting(is_privileged(&submitted.change))?;
    let conflicts = conflicts(requester.store(), None, &submitted.change)?;
    let conflicts = conflicts.and(rights.conflicts_of_new(requester.store(), &submitted.change)?);
    let new = submitted.into_new_user(conflicts)?;
    let password = hashed(requester, &new.password).await?;
    let system_name = system_name(&requester.state, new.user_id).await;
    let now = requester.state.clock.now();
    requester
        .write(Action::CreateUser, move |txn, _| {
            // Other writes may have come in between.
            refuse_invalid(rights.used(txn, Some(&new.username), new.user_id)?)?;
            let user = insert(txn, new, password, system_name, now)?;
            let subject = created(&user);
            Ok((user, subject))
        })
        .await
}

/// Changes an account.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] for what the caller may not change there,
/// [`ServiceError::Invalid`] with all violations.
pub async fn update(requester: &Requester, id: Id, submitted: Submitted<UserChange>) -> Result<User, ServiceError> {
    let rights = Rights::of(requester);
    let current_password = CurrentPassword::of(requester);
    refuse_early(requester, id, &submitted, &rights, &current_password)?;
    let current_password = current_password.confirmed(requester, id, &submitted).await?;
    let password = match submitted.change.password.value() {
        Some(password) => Some(hashed(requester, password).await?),
        None => None,
    };
    let system_name = system_name(&requester.state, submitted.change.user_id.value().copied().flatten()).await;
    let prepared = Prepared { password, system_name };
    let now = requester.state.clock.now();
    let (user, has_ended_initial_password) = requester
        .write(Action::UpdateUser, move |txn, by| {
            let target = match by {
                Author::Account(user) if user.id == id => user.clone(),
                Author::Account(_) | Author::Local => txn.user(id)?.ok_or(ServiceError::NotFound)?,
            };
            rights.permit(by, &target, &submitted)?;
            // Other writes may have happened in between.
            let conflicts = conflicts(txn, Some(&target), &submitted.change)?;
            let conflicts = conflicts.and(current_password.violations(by, &target, &submitted));
            let change = submitted.accept(conflicts)?;
            let (user, has_ended_initial_password) = replace(txn, &target, change, prepared, now)?;
            let subject = diff(&target, &user);
            Ok(((user, has_ended_initial_password), subject))
        })
        .await?;
    if has_ended_initial_password {
        first_start::remove_initial_password(&requester.state.policy.initial_password_file);
    }
    Ok(user)
}

/// Removes an account with all its records.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] for a restricted key on an administrator's account,
/// [`ServiceError::Invalid`] for the last administrator.
pub async fn destroy(administrator: &Administrator, id: Id) -> Result<(), ServiceError> {
    let requester = &administrator.0;
    let rights = Rights::of(requester);
    let has_ended_initial_password = requester
        .write(Action::DestroyUser, move |txn, _| {
            let user = txn.user(id)?.ok_or(ServiceError::NotFound)?;
            rights.touch(&user)?;
            if is_last_administrator(txn, &user)? {
                return Err(ServiceError::Invalid(Violations::one("is_admin", Problem::Frozen, None)));
            }
            txn.remove_user(&user)?;
            Ok((end_initial_password(txn, id)?, AffectedResource::from(&user)))
        })
        .await?;
    if has_ended_initial_password {
        first_start::remove_initial_password(&requester.state.policy.initial_password_file);
    }
    Ok(())
}

/// Refuses an invalid change before a password is hashed and a write is queued. The commit checks everything again,
/// after it has confirmed the caller. The caller's own account is not read again.
fn refuse_early(
    requester: &Requester,
    id: Id,
    submitted: &Submitted<UserChange>,
    rights: &Rights,
    current_password: &CurrentPassword,
) -> Result<(), ServiceError> {
    let target = match &requester.principal {
        Principal::Account(identity) if identity.user.id == id => Arc::clone(&identity.user),
        Principal::Account(_) | Principal::Local(_) => Arc::new(show(requester, id)?),
    };
    rights.permit(requester.author(), &target, submitted)?;
    if changes_password(submitted) || current_password.is_needed(requester.author(), &target, submitted) {
        let conflicts = conflicts(requester.store(), Some(&target), &submitted.change)?;
        let missing = current_password.missing(requester.author(), &target, submitted);
        refuse_invalid(submitted.violations.clone().and(conflicts).and(missing))?;
    }
    Ok(())
}

/// Whether the change gives a new account a privilege that a restricted key may not give.
fn is_privileged(change: &UserChange) -> bool {
    let is_root = |id: &Change<Option<SystemId>>| id.value() == Some(&Some(SystemId::ROOT));
    change.is_admin.value() == Some(&true) || is_root(&change.user_id) || is_root(&change.group_id)
}

async fn hashed(requester: &Requester, password: &NewPassword) -> Result<PasswordHash, ServiceError> {
    let hasher = &requester.state.authenticator.hasher;
    Ok(hasher.hash(requester.hash_requester(), password.as_presented()).await?)
}

/// The system's present name of that uid, by which the account is recognised; `None` if the name service has none.
pub(super) async fn system_name(state: &AppState, uid: Option<SystemId>) -> Option<String> {
    let name = state.names.user_name(uid?.get()).await;
    name.inspect_err(|error| log::warn!("the name of a system user is not known: {error}")).ok().flatten()
}

/// What a change needs that takes too long for a write.
pub(super) struct Prepared {
    pub(super) password: Option<PasswordHash>,
    pub(super) system_name: Option<String>,
}

pub(super) fn insert(
    txn: &mut Txn<'_>,
    new: NewUser,
    password: PasswordHash,
    system_name: Option<String>,
    now: Timestamp,
) -> Result<User, ServiceError> {
    let user = User {
        id: txn.next_id(Sequence::Users)?,
        username: new.username,
        password,
        email: new.email,
        user_id: new.user_id,
        group_id: new.group_id,
        is_admin: new.is_admin,
        suspended: new.suspended,
        expired_at: new.expired_at,
        source_type: new.source_type,
        created_at: now,
        updated_at: now,
        system_name,
    };
    txn.put(&user).map_err(taken("username", user.username.as_str()))?;
    Ok(user)
}

/// Replaces the account by the changed one. The flag is whether that ended the initial random password.
pub(super) fn replace(
    txn: &mut Txn<'_>,
    target: &User,
    change: UserChange,
    Prepared { password, system_name }: Prepared,
    now: Timestamp,
) -> Result<(User, bool), ServiceError> {
    let mut user = change.applied_to(target);
    let changes_password = password.is_some();
    user.password = password.unwrap_or(user.password);
    if user.user_id != target.user_id {
        user.system_name = system_name;
    }
    if user == *target {
        return Ok((user, false));
    }
    user.updated_at = now;
    txn.put(&user).map_err(taken("username", user.username.as_str()))?;
    if !changes_password {
        return Ok((user, false));
    }
    txn.remove_owned::<Session>(user.id)?;
    let has_ended = end_initial_password(txn, user.id)?;
    Ok((user, has_ended))
}

/// The new account and its role, for the audit log.
pub(super) fn created(user: &User) -> AffectedResource {
    let role = user.is_admin.then(|| "is_admin = true".to_owned());
    AffectedResource::from(user).with(role.into_iter().collect())
}

/// The account and its changed attributes, for the audit log: user name, role and suspension with their new values, the
/// others by name.
pub(super) fn diff(old: &User, new: &User) -> AffectedResource {
    let name = || format!("username = {}", new.username.as_str());
    let role = || format!("is_admin = {}", new.is_admin);
    let suspension = || format!("suspended = {}", new.suspended);
    let changes = [
        (old.username != new.username).then(name),
        (old.password != new.password).then(|| "password".to_owned()),
        (old.email != new.email).then(|| "email".to_owned()),
        (old.user_id != new.user_id).then(|| "user_id".to_owned()),
        (old.group_id != new.group_id).then(|| "group_id".to_owned()),
        (old.is_admin != new.is_admin).then(role),
        (old.suspended != new.suspended).then(suspension),
        (old.expired_at != new.expired_at).then(|| "expired_at".to_owned()),
        (old.source_type != new.source_type).then(|| "source_type".to_owned()),
    ];
    AffectedResource::from(old).with(changes.into_iter().flatten().collect())
}

/// Records that this account no longer has the initial random password, and returns whether it had.
pub(super) fn end_initial_password(txn: &mut Txn<'_>, id: Id) -> Result<bool, StoreError> {
    let had = txn.initial_administrator()? == Some(id);
    if had {
        txn.set_initial_administrator(None);
    }
    Ok(had)
}

/// Whether the requester is the account itself, or an administrator.
#[must_use]
pub fn is_self_or_administrator(requester: &Requester, id: Option<Id>) -> bool {
    requester.is_administrator() || id.is_some_and(|id| requester.is_account(id))
}
