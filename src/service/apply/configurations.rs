//! Makes configurations what they are to be.

use std::collections::HashSet;

use super::{
    DesiredConfiguration,
    changes::{Changed, Kind, Progress, RecordKind, Work},
};
use crate::{
    domain::{Action, AffectedResource, Configuration, ConfigurationKey, Page, User, Violations},
    service::{ServiceError, beyond_bound, configurations::diff, taken},
    store::{IdSet, Sequence, Tables, Txn},
};

/// How many configurations are looked at together to find those that are not named: a value may have 64 KiB.
const AT_ONCE: usize = 50;

/// Makes, changes and, where that is asked for, removes configurations of the owner.
pub(super) fn apply(
    work: &Work,
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &[DesiredConfiguration]),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    // First, because there is a bound on their number.
    if work.mode.prunes {
        prune(work, txn, (owner, wanted), progress)?;
    }
    for wanted in wanted.iter().filter(|wanted| work.is_sound(&wanted.place)) {
        let Some(key) = wanted.attributes.change.key.value() else { continue };
        match txn.configuration_by_key(owner.id, key.as_str())? {
            Some(current) => update(txn, owner, (wanted, &current), progress)?,
            None => create(work, txn, (owner, wanted), progress)?,
        }
        work.refuse_too_many_rows(txn, progress)?;
    }
    Ok(())
}

fn create(
    work: &Work,
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &DesiredConfiguration),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let beyond = beyond_bound(txn, IdSet::Configurations(owner.id), "configurations", work.policy.max_configurations)?;
    if !beyond.is_empty() {
        progress.wrong.add(&wanted.place, beyond);
        return Ok(());
    }
    let new = wanted.attributes.clone().into_new_configuration(Violations::none())?;
    let id = txn.next_id(Sequence::Configurations)?;
    let configuration = Configuration { id, owner: owner.id, key: new.key, value: new.value };
    txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
    let subject = AffectedResource::from(&configuration);
    progress.note(Action::CreateUserConfiguration, subject, changed(Kind::Create, owner, &configuration));
    Ok(())
}

fn update(
    txn: &mut Txn<'_>,
    owner: &User,
    (wanted, current): (&DesiredConfiguration, &Configuration),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let configuration = wanted.attributes.change.clone().applied_to(current);
    if configuration == *current {
        return Ok(());
    }
    txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
    let subject = diff(current, &configuration);
    progress.note(Action::UpdateUserConfiguration, subject, changed(Kind::Update, owner, &configuration));
    Ok(())
}

/// Removes the owner's configurations that are not named.
fn prune(
    work: &Work,
    txn: &mut Txn<'_>,
    (owner, wanted): (&User, &[DesiredConfiguration]),
    progress: &mut Progress,
) -> Result<(), ServiceError> {
    let keys = wanted.iter().filter_map(|wanted| wanted.attributes.change.key.value());
    let named: HashSet<_> = keys.map(ConfigurationKey::as_str).collect();
    let mut offset = 0;
    loop {
        let page = txn.configurations(owner.id, Page { limit: AT_ONCE, offset })?.records;
        if page.is_empty() {
            return Ok(());
        }
        progress.read_rows += page.len();
        for configuration in page {
            if named.contains(configuration.key.as_str()) {
                offset += 1;
            } else {
                txn.remove(&configuration)?;
                let subject = AffectedResource::from(&configuration);
                progress.note(Action::DestroyUserConfiguration, subject, changed(Kind::Remove, owner, &configuration));
            }
        }
        work.refuse_too_many_rows(txn, progress)?;
    }
}

fn changed(kind: Kind, owner: &User, configuration: &Configuration) -> Changed {
    let name = Some(configuration.key.as_str().to_owned());
    Changed::owned(kind, RecordKind::Configuration, owner, name)
}
