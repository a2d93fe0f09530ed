//! A user's own settings.

use super::{Caller, ServiceError, refuse_invalid, taken};
use crate::{
    domain::{
        Action, AffectedResource, Configuration, ConfigurationKey, ConfigurationValue, Field, Id, Page, Problem,
        Violations,
    },
    store::{IdSet, Sequence, Slice, StoreError, Tables, id_set},
};

/// What a request says of a configuration, with everything that is wrong in it.
#[derive(Clone, Debug)]
pub struct ConfigurationDraft {
    /// Its name.
    pub key: Field<ConfigurationKey>,
    /// Its value.
    pub value: Field<ConfigurationValue>,
    /// What is wrong with the members themselves.
    pub violations: Violations,
}

/// How a request names a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigurationName {
    /// By its id.
    Id(Id),
    /// By its key.
    Key(String),
}

/// A page of the caller's configurations.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(caller: &Caller, page: Page) -> Result<Slice<Configuration>, ServiceError> {
    Ok(caller.store().configurations(caller.user.id, page)?)
}

/// How many bytes a page of the caller's configurations has at most; nothing of them is read.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn max_bytes(caller: &Caller, page: Page) -> Result<usize, ServiceError> {
    let count = id_set::count(caller.store(), IdSet::Configurations(caller.user.id))?;
    let number = count.saturating_sub(page.offset).min(page.limit as u64);
    // A character has four bytes of UTF-8 at most.
    let of_one = ConfigurationKey::MAX * 4 + ConfigurationValue::MAX_BYTES;
    Ok(usize::try_from(number).unwrap_or(usize::MAX).saturating_mul(of_one))
}

/// One of the caller's configurations.
///
/// # Errors
/// [`ServiceError::NotFound`] if the caller has none of that name.
pub fn show(caller: &Caller, name: &ConfigurationName) -> Result<Configuration, ServiceError> {
    find(caller.store(), caller.user.id, name)
}

/// Makes a configuration of the caller's.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations.
pub async fn create(caller: &Caller, draft: ConfigurationDraft) -> Result<Configuration, ServiceError> {
    let most = caller.state.policy.max_configurations;
    caller
        .write(Action::CreateConfiguration, move |txn, owner| {
            let Some(key) = draft.key.given().cloned() else {
                return Err(ServiceError::Invalid(draft.violations_beside(txn, owner.id, None)?));
            };
            refuse_invalid(draft.violations_beside(txn, owner.id, None)?)?;
            if id_set::count(txn, IdSet::Configurations(owner.id))? >= most as u64 {
                return Err(ServiceError::Invalid(Violations::too_many("configurations", most)));
            }
            let id = txn.next_id(Sequence::Configurations)?;
            let value = draft.value.or(ConfigurationValue::default());
            let configuration = Configuration { id, owner: owner.id, key, value };
            txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
            let subject = AffectedResource::from(&configuration);
            Ok((configuration, subject))
        })
        .await
}

/// Changes a configuration of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`], or [`ServiceError::Invalid`] with all violations.
pub async fn update(
    caller: &Caller,
    name: ConfigurationName,
    draft: ConfigurationDraft,
) -> Result<Configuration, ServiceError> {
    caller
        .write(Action::UpdateConfiguration, move |txn, owner| {
            let present = find(txn, owner.id, &name)?;
            refuse_invalid(draft.violations_beside(txn, owner.id, Some(present.id))?)?;
            let key = draft.key.or(present.key.clone());
            let value = draft.value.or(present.value.clone());
            let configuration = Configuration { key, value, ..present.clone() };
            if configuration != present {
                txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
            }
            let subject = told(&present, &configuration);
            Ok((configuration, subject))
        })
        .await
}

/// Removes a configuration of the caller's.
///
/// # Errors
/// [`ServiceError::NotFound`] if the caller has none of that name.
pub async fn destroy(caller: &Caller, name: ConfigurationName) -> Result<(), ServiceError> {
    caller
        .write(Action::DestroyConfiguration, move |txn, owner| {
            let configuration = find(txn, owner.id, &name)?;
            txn.remove(&configuration)?;
            Ok(((), AffectedResource::from(&configuration)))
        })
        .await
}

impl ConfigurationDraft {
    /// Everything that is wrong with the draft, for a new configuration or as a change of the present one.
    fn violations_beside(&self, rows: &impl Tables, owner: Id, present: Option<Id>) -> Result<Violations, StoreError> {
        let mut violations = self.violations.clone();
        if present.is_none() && !self.key.is_present() {
            violations.add("key", Problem::Blank, None);
        }
        if let Some(key) = self.key.given() {
            let holder = rows.configuration_by_key(owner, key.as_str())?.map(|holder| holder.id);
            if holder.is_some() && holder != present {
                violations.add("key", Problem::Taken, Some(key.as_str().to_owned()));
            }
        }
        Ok(violations)
    }
}

/// What the audit log says of a change: both keys, but neither value.
fn told(before: &Configuration, after: &Configuration) -> AffectedResource {
    let key = (before.key != after.key).then(|| format!("key = {}", after.key.as_str()));
    let value = (before.value != after.value).then(|| "value".to_owned());
    AffectedResource::from(before).with(key.into_iter().chain(value).collect())
}

fn find(rows: &impl Tables, owner: Id, name: &ConfigurationName) -> Result<Configuration, ServiceError> {
    let found = match name {
        ConfigurationName::Id(id) => rows.configuration(owner, *id)?,
        ConfigurationName::Key(key) => rows.configuration_by_key(owner, key)?,
    };
    found.ok_or(ServiceError::NotFound)
}
