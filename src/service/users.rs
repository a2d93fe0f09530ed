//! Accounts: who may see, make, change and remove which.

use super::{
    Administrator, Caller, Forbidden, ServiceError, first_start, refuse_invalid, refuse_restricted_key, taken,
};
use crate::{
    auth::HashRequester,
    clock::Timestamp,
    domain::{
        Action, AffectedResource, Email, Field, Id, NewPassword, Page, PasswordHash, Problem, Session, SystemId, User,
        Username, Violations,
    },
    store::{IdSet, Sequence, Slice, StoreError, Tables, Txn, id_set},
};

/// What a request says of an account, with everything that is wrong in it.
#[derive(Clone, Debug)]
pub struct UserDraft {
    /// The name.
    pub username: Field<Username>,
    /// The password, in the clear.
    pub password: Field<NewPassword>,
    /// The e-mail address, `None` to clear it.
    pub email: Field<Option<Email>>,
    /// The system user, `None` to clear it.
    pub user_id: Field<Option<SystemId>>,
    /// The system group, `None` to clear it.
    pub group_id: Field<Option<SystemId>>,
    /// Whether it is an administrator.
    pub is_admin: Field<bool>,
    /// What is wrong with the members themselves.
    pub violations: Violations,
}

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
pub fn show(caller: &Caller, id: Id) -> Result<User, ServiceError> {
    caller.store().user(id)?.ok_or(ServiceError::NotFound)
}

/// Makes an account.
///
/// # Errors
/// [`ServiceError::Forbidden`] for what a narrow key may not give, [`ServiceError::Invalid`] with all violations.
pub async fn create(administrator: &Administrator, draft: UserDraft) -> Result<User, ServiceError> {
    let caller = &administrator.0;
    let is_root = |id: &Field<Option<SystemId>>| id.given() == Some(&Some(SystemId::ROOT));
    let is_beyond_a_restricted_key =
        draft.is_admin.given() == Some(&true) || is_root(&draft.user_id) || is_root(&draft.group_id);
    refuse_restricted_key(caller, is_beyond_a_restricted_key)?;
    refuse_invalid(draft.violations_beside(caller.store(), None)?)?;
    let password = draft.hashed_password(caller).await?;
    let now = caller.state.clock.now();
    caller
        .write(Action::CreateUser, move |txn, _| {
            let user = insert(txn, draft, password, now)?;
            let role = user.is_admin.then(|| "is_admin = true".to_owned());
            let subject = AffectedResource::from(&user).with(role.into_iter().collect());
            Ok((user, subject))
        })
        .await
}

/// Changes an account.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] for what the caller may not change there,
/// [`ServiceError::Invalid`] with all violations.
pub async fn update(caller: &Caller, id: Id, draft: UserDraft) -> Result<User, ServiceError> {
    let present = show(caller, id)?;
    let rights = Rights::of(caller);
    rights.permit(&caller.user, &present, &draft)?;
    if draft.password.is_present() {
        // Not worth a hash if it is refused anyway.
        refuse_invalid(draft.violations_beside(caller.store(), Some(&present))?)?;
    }
    let password = draft.hashed_password(caller).await?;
    let now = caller.state.clock.now();
    let (user, ended_initial_password) = caller
        .write(Action::UpdateUser, move |txn, by| {
            let present = txn.user(id)?.ok_or(ServiceError::NotFound)?;
            rights.permit(&by, &present, &draft)?;
            refuse_invalid(draft.violations_beside(txn, Some(&present))?)?;
            let (user, ended_initial_password) = replace(txn, &present, draft, password, now)?;
            let subject = told(&present, &user);
            Ok::<_, ServiceError>(((user, ended_initial_password), subject))
        })
        .await?;
    if ended_initial_password {
        first_start::remove_initial_password(&caller.state.policy.initial_password_file);
    }
    Ok(user)
}

/// Removes an account with everything that is its own.
///
/// # Errors
/// [`ServiceError::NotFound`], [`ServiceError::Forbidden`] for an administrator's account and a narrow key,
/// [`ServiceError::Invalid`] for the last administrator.
pub async fn destroy(administrator: &Administrator, id: Id) -> Result<(), ServiceError> {
    let caller = &administrator.0;
    let rights = Rights::of(caller);
    let ended_initial_password = caller
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
    if ended_initial_password {
        first_start::remove_initial_password(&caller.state.policy.initial_password_file);
    }
    Ok(())
}

impl UserDraft {
    /// Everything that is wrong with the draft, for a new account or as a change of the present one.
    fn violations_beside(&self, rows: &impl Tables, present: Option<&User>) -> Result<Violations, StoreError> {
        let mut violations = self.violations.clone();
        if present.is_none() {
            self.require(&mut violations);
        }
        let username = self.username.given().or(present.map(|present| &present.username));
        if let (Some(password), Some(username)) = (self.password.given(), username)
            && password.is_username(username)
        {
            violations.add("password", Problem::Invalid, None);
        }
        if let Some(username) = self.username.given() {
            let holder = rows.user_by_username(&username.folded())?.map(|holder| holder.id);
            if holder.is_some() && holder != present.map(|present| present.id) {
                violations.add("username", Problem::Taken, Some(username.as_str().to_owned()));
            }
        }
        if let Some(present) = present
            && self.is_admin.given() == Some(&false)
            && is_last_administrator(rows, present)?
        {
            violations.add("is_admin", Problem::Frozen, None);
        }
        Ok(violations)
    }

    fn require(&self, violations: &mut Violations) {
        if !self.username.is_present() {
            violations.add("username", Problem::Blank, None);
        }
        if !self.password.is_present() {
            violations.add("password", Problem::Blank, None);
        }
    }

    async fn hashed_password(&self, caller: &Caller) -> Result<Option<PasswordHash>, ServiceError> {
        let requester = HashRequester::signed_in(caller.address);
        match self.password.given() {
            Some(password) => {
                Ok(Some(caller.state.authenticator.hasher.hash(requester, password.as_presented()).await?))
            }
            None => Ok(None),
        }
    }
}

/// What somebody may change of accounts.
#[derive(Clone)]
struct Rights {
    is_restricted: bool,
}

impl Rights {
    fn of(caller: &Caller) -> Self {
        Self { is_restricted: caller.restricted_key().is_some() }
    }

    /// Refuses a narrow key on an administrator's account.
    fn touch(&self, target: &User) -> Result<(), ServiceError> {
        if self.is_restricted && target.is_admin { Err(Forbidden::NEEDS_FULL_ACCESS.into()) } else { Ok(()) }
    }

    /// Refuses a change that `by` may not make to the target, whether or not it would be valid.
    fn permit(&self, by: &User, target: &User, draft: &UserDraft) -> Result<(), ServiceError> {
        self.touch(target)?;
        let changes_ids = draft.user_id.differs_from(&target.user_id) || draft.group_id.differs_from(&target.group_id);
        let changes_role = draft.is_admin.differs_from(&target.is_admin);
        if self.is_restricted && (changes_ids || changes_role || draft.password.is_present()) {
            return Err(Forbidden::NEEDS_FULL_ACCESS.into());
        }
        if !by.is_admin && by.id != target.id {
            return Err(Forbidden::Role.into());
        }
        if !by.is_admin && (changes_ids || changes_role || draft.username.differs_from(&target.username)) {
            return Err(Forbidden::Role.into());
        }
        Ok(())
    }
}

fn insert(
    txn: &mut Txn<'_>,
    draft: UserDraft,
    password: Option<PasswordHash>,
    now: Timestamp,
) -> Result<User, ServiceError> {
    let (Some(username), Some(password)) = (draft.username.given().cloned(), password) else {
        return Err(ServiceError::Invalid(draft.violations_beside(txn, None)?));
    };
    let user = User {
        id: txn.next_id(Sequence::Users)?,
        username,
        password,
        email: draft.email.or(None),
        user_id: draft.user_id.or(None),
        group_id: draft.group_id.or(None),
        is_admin: draft.is_admin.or(false),
        created_at: now,
        updated_at: now,
    };
    txn.put(&user).map_err(taken("username", user.username.as_str()))?;
    Ok(user)
}

/// Puts the changed account in place of the present one; tells whether the first start's random password is gone by it.
fn replace(
    txn: &mut Txn<'_>,
    present: &User,
    draft: UserDraft,
    password: Option<PasswordHash>,
    now: Timestamp,
) -> Result<(User, bool), ServiceError> {
    let mut user = User {
        username: draft.username.or(present.username.clone()),
        email: draft.email.or(present.email.clone()),
        user_id: draft.user_id.or(present.user_id),
        group_id: draft.group_id.or(present.group_id),
        is_admin: draft.is_admin.or(present.is_admin),
        ..present.clone()
    };
    let changes_password = password.is_some();
    user.password = password.unwrap_or(user.password);
    if user == *present {
        return Ok((user, false));
    }
    user.updated_at = now;
    txn.put(&user).map_err(taken("username", user.username.as_str()))?;
    if !changes_password {
        return Ok((user, false));
    }
    txn.remove_owned::<Session>(user.id)?;
    let ended = end_initial_password(txn, user.id)?;
    Ok((user, ended))
}

/// What the audit log says of a change: which members, and of names and roles what they became.
fn told(before: &User, after: &User) -> AffectedResource {
    let name = || format!("username = {}", after.username.as_str());
    let role = || format!("is_admin = {}", after.is_admin);
    let changes = [
        (before.username != after.username).then(name),
        (before.password != after.password).then(|| "password".to_owned()),
        (before.email != after.email).then(|| "email".to_owned()),
        (before.user_id != after.user_id).then(|| "user_id".to_owned()),
        (before.group_id != after.group_id).then(|| "group_id".to_owned()),
        (before.is_admin != after.is_admin).then(role),
    ];
    AffectedResource::from(before).with(changes.into_iter().flatten().collect())
}

fn is_last_administrator(rows: &impl Tables, user: &User) -> Result<bool, StoreError> {
    Ok(user.is_admin && id_set::count(rows, IdSet::Administrators)? == 1)
}

/// Forgets that this account has the first start's random password; tells whether it had.
fn end_initial_password(txn: &mut Txn<'_>, id: Id) -> Result<bool, StoreError> {
    let had = txn.initial_administrator()? == Some(id);
    if had {
        txn.set_initial_administrator(None);
    }
    Ok(had)
}

/// Whether the caller is the account itself, or an administrator.
#[must_use]
pub fn is_self_or_administrator(caller: &Caller, id: Option<Id>) -> bool {
    caller.user.is_admin || id == Some(caller.user.id)
}
