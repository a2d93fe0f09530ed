//! Makes API keys what they are to be.

use std::collections::HashSet;

use uuid::Uuid;

use super::{
    DesiredApiKey,
    changes::{Changed, Kind, Progress, RecordKind, Work},
};
use crate::{
    auth::KeyText,
    domain::{Action, AffectedResource, ApiKey, ApiKeyName, NewApiKey, Page, Problem, User},
    service::{ServiceError, api_keys::diff, beyond_bound, never_taken},
    store::{IdSet, PutError, Sequence, StoreError, Tables, Txn},
};

/// How many keys are read together.
const AT_ONCE: usize = 100;

/// Makes, changes and, where that is asked for, removes API keys of the owner.
pub(super) fn apply(
    work: &Work,
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &[DesiredApiKey]),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let mut stored = all(txn, owner)?;
    progress.read_rows += stored.len();
    // First, because there is a bound on their number.
    if work.mode.prunes {
        stored = prune(txn, (owner, wanted), stored, progress)?;
    }
    for wanted in wanted.iter().filter(|wanted| work.is_sound(&wanted.place)) {
        let named: Vec<_> = stored.iter().filter(|stored| name_of(stored) == wanted.name()).collect();
        match named.as_slice() {
            [] => create(work, txn, (owner, wanted), progress)?,
            [current] => update(txn, owner, (wanted, current), progress)?,
            // Which of them is meant is not known.
            [_, _, ..] => progress.wrong.add_one(&wanted.place, "name", Problem::Taken),
        }
        work.refuse_too_many_rows(txn, progress)?;
    }
    Ok(())
}

fn all(txn: &Txn<'_>, owner: &User) -> Result<Vec<ApiKey>, StoreError> {
    let mut stored = Vec::new();
    loop {
        let page = txn.api_keys(owner.id, Page { limit: AT_ONCE, offset: stored.len() as u64 })?.records;
        if page.is_empty() {
            return Ok(stored);
        }
        stored.extend(page);
    }
}

fn create(
    work: &Work,
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &DesiredApiKey),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let beyond = beyond_bound(txn, IdSet::ApiKeys(owner.id), "API keys", work.policy.max_api_keys)?;
    if !beyond.is_empty() {
        progress.wrong.add(&wanted.place, beyond);
        return Ok(());
    }
    let (identifier, value) = match value(work, wanted) {
        Ok(value) => value,
        Err(problem) => {
            progress.wrong.add_one(&wanted.place, "key", problem);
            return Ok(());
        }
    };
    let NewApiKey { name, scopes, expires_at, allowed_networks } = wanted.attributes.change.clone().into_new_api_key();
    let api_key = ApiKey {
        id: txn.next_id(Sequence::ApiKeys)?,
        owner: owner.id,
        identifier,
        digest: value.digest(),
        last_four: value.last_four(),
        name,
        scopes,
        made_by: None,
        expires_at,
        allowed_networks,
        created_at: Some(work.now),
        former_value: None,
    };
    match txn.put(&api_key) {
        Ok(()) => {}
        Err(PutError::Taken(_)) => {
            // A transaction that has failed to write a record must not go on.
            progress.wrong.add_one(&wanted.place, "key", Problem::Taken);
            return Err(ServiceError::InvalidRecords(std::mem::take(&mut progress.wrong)));
        }
        Err(PutError::Store(error)) => return Err(error.into()),
    }
    let changed = Changed { value: Some(value), ..changed(Kind::Create, owner, &api_key) };
    progress.note(Action::CreateUserApiKey, AffectedResource::from(&api_key), changed);
    Ok(())
}

/// The value of a key that has to be made: that of a dry run, in which it is a new one. So it can be kept before the key is there.
fn value(work: &Work, wanted: &DesiredApiKey) -> Result<(Uuid, KeyText), Problem> {
    let issuer = &work.authenticator.api_keys;
    match &wanted.value {
        Some(value) => issuer.issued(value.expose()).ok_or(Problem::Invalid),
        None if work.mode.is_dry_run => Ok(issuer.issue()),
        None => Err(Problem::Blank),
    }
}

fn update(
    txn: &mut Txn<'_>,
    owner: &User,
    (wanted, current): (&DesiredApiKey, &ApiKey),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let api_key = wanted.attributes.change.clone().applied_to(current);
    if api_key != *current {
        txn.put(&api_key).map_err(never_taken)?;
        progress.note(Action::UpdateUserApiKey, diff(current, &api_key), changed(Kind::Update, owner, &api_key));
    }
    Ok(())
}

/// Removes the owner's keys that are not named, and returns the others.
fn prune(
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &[DesiredApiKey]),
    stored: Vec<ApiKey>,
    progress: &mut Progress,
) -> Result<Vec<ApiKey>, StoreError> {
    let named: HashSet<_> = wanted.iter().filter_map(DesiredApiKey::name).collect();
    let (kept, unnamed): (Vec<_>, Vec<_>) =
        stored.into_iter().partition(|stored| name_of(stored).is_some_and(|name| named.contains(name)));
    for api_key in unnamed {
        txn.remove(&api_key)?;
        let subject = AffectedResource::from(&api_key);
        progress.note(Action::DestroyUserApiKey, subject, changed(Kind::Remove, owner, &api_key));
    }
    Ok(kept)
}

impl DesiredApiKey {
    /// The name by which it is found.
    fn name(&self) -> Option<&str> {
        self.attributes.change.name.value()?.as_ref().map(ApiKeyName::as_str)
    }
}

fn name_of(api_key: &ApiKey) -> Option<&str> {
    api_key.name.as_ref().map(ApiKeyName::as_str)
}

fn changed(kind: Kind, owner: &User, api_key: &ApiKey) -> Changed {
    Changed::owned(kind, RecordKind::ApiKey, owner, name_of(api_key).map(str::to_owned))
}
