//! What is wrong with the wanted records whatever is stored.

use std::collections::HashSet;

use super::{Desired, DesiredApiKey, DesiredConfiguration, DesiredUser};
use crate::{
    domain::{Change, InvalidRecords, Problem, Violations},
    service::{ServiceError, users::password_conflicts},
};

/// How many passwords may be given at once: each takes some tenths of a second.
const MAX_PASSWORDS: usize = 1_000;

/// Everything that is wrong with the records by themselves or with each other.
pub(super) fn violations(desired: &Desired) -> InvalidRecords {
    let mut wrong = desired.wrong.clone();
    let mut names = HashSet::new();
    for user in desired.users.iter().flatten() {
        wrong.add(&user.place, of_user(user, &mut names));
        add_configurations(&mut wrong, user.configurations.as_deref().unwrap_or_default());
        add_api_keys(&mut wrong, user.api_keys.as_deref().unwrap_or_default());
    }
    wrong
}

/// Refuses more passwords than can be looked at in minutes.
///
/// # Errors
/// [`ServiceError::InvalidRecords`].
pub(super) fn refuse_too_many_passwords(desired: &Desired) -> Result<(), ServiceError> {
    let users = desired.users.iter().flatten();
    if users.filter(|user| user.attributes.change.password.value().is_some()).count() <= MAX_PASSWORDS {
        return Ok(());
    }
    let mut wrong = InvalidRecords::default();
    wrong.add("users", Violations::too_many("passwords", MAX_PASSWORDS));
    Err(ServiceError::InvalidRecords(wrong))
}

fn of_user(user: &DesiredUser, names: &mut HashSet<String>) -> Violations {
    let mut violations = user.attributes.violations.clone();
    let username = user.attributes.change.username.clone().required("username", &mut violations);
    if let Some(username) = username
        && !names.insert(username.folded())
    {
        violations.add("username", Problem::Taken, Some(username.as_str().to_owned()));
    }
    violations.and(password_conflicts(None, &user.attributes.change))
}

fn add_configurations(wrong: &mut InvalidRecords, configurations: &[DesiredConfiguration]) {
    let mut keys = HashSet::new();
    for DesiredConfiguration { place, attributes } in configurations {
        let mut violations = attributes.violations.clone();
        let key = attributes.change.key.clone().required("key", &mut violations);
        if let Some(key) = key
            && !keys.insert(key.as_str().to_owned())
        {
            violations.add("key", Problem::Taken, Some(key.as_str().to_owned()));
        }
        wrong.add(place, violations);
    }
}

fn add_api_keys(wrong: &mut InvalidRecords, api_keys: &[DesiredApiKey]) {
    let mut names = HashSet::new();
    for api_key in api_keys {
        let mut violations = api_key.attributes.violations.clone();
        let name = match &api_key.attributes.change.name {
            Change::Set(Some(name)) => Change::Set(name.as_str().to_owned()),
            Change::Set(None) | Change::Keep => Change::Keep,
        };
        let name = name.required("name", &mut violations);
        if let Some(name) = name.filter(|name| !names.insert(name.clone())) {
            violations.add("name", Problem::Taken, Some(name));
        }
        wrong.add(&api_key.place, violations);
    }
}
