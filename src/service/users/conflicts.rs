//! What a valid change of an account may conflict with.

use crate::{
    domain::{Problem, User, UserChange, Username, Violations},
    store::{IdSet, StoreError, Tables, id_set},
};

/// The violations of a valid change that conflict with stored records: a password that is the user name, the user name
/// of another account, or the end of the last administrator's role or account, a suspension included. `target` is `None` for
/// a new account.
pub(super) fn conflicts(
    rows: &impl Tables,
    target: Option<&User>,
    change: &UserChange,
) -> Result<Violations, StoreError> {
    let mut violations = password_conflicts(target, change);
    if let Some(username) = change.username.value()
        && is_taken(rows, target, username)?
    {
        violations.add("username", Problem::Taken, Some(username.as_str().to_owned()));
    }
    let ending = what_ends_administration(change);
    if let Some(target) = target
        && !ending.is_empty()
        && is_last_administrator(rows, target)?
    {
        for attribute in ending {
            violations.add(attribute, Problem::Frozen, None);
        }
    }
    Ok(violations)
}

/// The violation of a password that is the user name.
pub(in crate::service) fn password_conflicts(target: Option<&User>, change: &UserChange) -> Violations {
    let username = change.username.value().or(target.map(|target| &target.username));
    match (change.password.value(), username) {
        (Some(password), Some(username)) if password.is_username(username) => {
            Violations::one("password", Problem::Invalid, None)
        }
        _ => Violations::none(),
    }
}

/// The attributes that the last administrator may not be given.
pub(in crate::service) fn what_ends_administration(change: &UserChange) -> Vec<&'static str> {
    let ends_role = change.is_admin.value() == Some(&false);
    let suspends = change.suspended.value() == Some(&true);
    let expires = change.expired_at.value().is_some_and(Option::is_some);
    let ending = [("is_admin", ends_role), ("suspended", suspends), ("expired_at", expires)];
    ending.into_iter().filter(|(_, is_asked)| *is_asked).map(|(attribute, _)| attribute).collect()
}

/// Whether another account has that name. The target's own name is not looked up.
fn is_taken(rows: &impl Tables, target: Option<&User>, username: &Username) -> Result<bool, StoreError> {
    let folded = username.folded();
    let is_own = target.is_some_and(|target| target.username.folded() == folded);
    Ok(!is_own && rows.user_by_username(&folded)?.is_some())
}

/// Whether the account is the only administrator that is neither suspended nor ever expires.
pub(super) fn is_last_administrator(rows: &impl Tables, user: &User) -> Result<bool, StoreError> {
    Ok(user.is_lasting_administrator() && id_set::count(rows, IdSet::Administrators)? == 1)
}
