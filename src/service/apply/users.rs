//! Makes accounts what they are to be.

use std::collections::HashSet;

use super::{
    DesiredUser,
    changes::{Changed, Kind, Progress, Work},
    passwords::placeholder,
};
use crate::{
    domain::{Action, AffectedResource, Id, Page, PasswordHash, User, Violations},
    service::{
        ServiceError,
        users::{self, Prepared as PreparedChange},
    },
    store::{IdSet, Tables, Txn, id_set},
};

/// How many accounts are looked at together to find those that are not named.
const AT_ONCE: usize = 100;

/// Makes or changes the account of that index, and returns it; `None` if it cannot be made.
pub(super) fn apply(
    work: &Work,
    txn: &mut Txn<'_>,
    (index, user): (usize, &DesiredUser),
    progress: &mut Progress,
) -> Result<Option<User>, ServiceError> {
    let Some(username) = user.attributes.change.username.value() else { return Ok(None) };
    let target = txn.user_by_username(&username.folded())?;
    if !work.is_sound(&user.place) {
        return Ok(target);
    }
    let (password, system_name) = prepared(work, index, user, target.as_ref())?;
    match target {
        Some(target) => {
            let prepared = PreparedChange { password, system_name };
            update(work, txn, (user, &target), prepared, progress).map(Some)
        }
        None => create(work, txn, user, (password, system_name), progress),
    }
}

/// The hash of a changed password, and the system's name of a changed uid.
fn prepared(
    work: &Work,
    index: usize,
    user: &DesiredUser,
    target: Option<&User>,
) -> Result<(Option<PasswordHash>, Option<String>), ServiceError> {
    let Some(prepared) = work.prepared.of(index) else { return Ok((None, None)) };
    let has_password = user.attributes.change.password.value().is_some();
    if has_password && prepared.compared.as_ref() != target.map(|target| &target.password) {
        return Err(ServiceError::ChangedMeanwhile);
    }
    Ok((prepared.password.clone(), prepared.system_name.clone()))
}

fn create(
    work: &Work,
    txn: &mut Txn<'_>,
    user: &DesiredUser,
    (password, system_name): (Option<PasswordHash>, Option<String>),
    progress: &mut Progress,
) -> Result<Option<User>, ServiceError> {
    let new = match user.attributes.clone().into_new_user(Violations::none()) {
        Ok(new) => new,
        Err(violations) => {
            progress.wrong.add(&user.place, violations);
            return Ok(None);
        }
    };
    // Without a hash this is no commit.
    let user = users::insert(txn, new, password.unwrap_or_else(placeholder), system_name, work.now)?;
    progress.note(Action::CreateUser, users::created(&user), Changed::user(Kind::Create, &user));
    Ok(Some(user))
}

fn update(
    work: &Work,
    txn: &mut Txn<'_>,
    (wanted, target): (&DesiredUser, &User),
    prepared: PreparedChange,
    progress: &mut Progress,
) -> Result<User, ServiceError> {
    let (user, has_ended) = users::replace(txn, target, wanted.attributes.change.clone(), prepared, work.now)?;
    progress.changes.has_ended_initial_password |= has_ended;
    if user != *target {
        progress.note(Action::UpdateUser, users::diff(target, &user), Changed::user(Kind::Update, &user));
    }
    if target.is_lasting_administrator() && !user.is_lasting_administrator() {
        let attributes = users::what_ends_administration(&wanted.attributes.change);
        let ended = attributes.into_iter().map(|attribute| (wanted.place.clone(), attribute));
        progress.ended_administrators.extend(ended);
    }
    Ok(user)
}

/// Removes the accounts that are not named.
pub(super) fn prune(work: &Work, txn: &mut Txn<'_>, named: &[Id], progress: &mut Progress) -> Result<(), ServiceError> {
    let named: HashSet<_> = named.iter().collect();
    let mut offset = 0;
    loop {
        let (ids, _) = id_set::page(txn, IdSet::Users, Page { limit: AT_ONCE, offset })?;
        if ids.is_empty() {
            return Ok(());
        }
        for id in ids {
            if named.contains(&id) {
                offset += 1;
            } else {
                remove(txn, id, progress)?;
                work.refuse_too_many_rows(txn, progress)?;
            }
        }
    }
}

fn remove(txn: &mut Txn<'_>, id: Id, progress: &mut Progress) -> Result<(), ServiceError> {
    let user = txn.user(id)?.ok_or(ServiceError::NotFound)?;
    txn.remove_user(&user)?;
    progress.changes.has_ended_initial_password |= users::end_initial_password(txn, id)?;
    if user.is_lasting_administrator() {
        progress.ended_administrators.push((format!("user {}", user.username.as_str()), "is_admin"));
    }
    progress.note(Action::DestroyUser, AffectedResource::from(&user), Changed::user(Kind::Remove, &user));
    Ok(())
}
