//! A user's settings.

use super::{ResourceAccess, ResourceAction, ServiceError, beyond_bound, refuse_invalid, taken};
use crate::{
    domain::{
        Action, AffectedResource, Configuration, ConfigurationChange, ConfigurationKey, ConfigurationValue, Id,
        NewConfiguration, Page, Problem, Submitted, Violations,
    },
    store::{IdSet, Sequence, Slice, StoreError, Tables, id_set},
};

const CREATE: ResourceAction =
    ResourceAction { own: Action::CreateConfiguration, of_user: Action::CreateUserConfiguration };
const UPDATE: ResourceAction =
    ResourceAction { own: Action::UpdateConfiguration, of_user: Action::UpdateUserConfiguration };
const DESTROY: ResourceAction =
    ResourceAction { own: Action::DestroyConfiguration, of_user: Action::DestroyUserConfiguration };

/// How a request identifies a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigurationName {
    /// By its id.
    Id(Id),
    /// By its key.
    Key(String),
}

/// A page of the owner's configurations.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(access: &ResourceAccess, page: Page) -> Result<Slice<Configuration>, ServiceError> {
    Ok(access.store().configurations(access.owner, page)?)
}

/// The maximum size in bytes of a page of the owner's configurations, from their number alone.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn max_bytes(access: &ResourceAccess, page: Page) -> Result<usize, ServiceError> {
    let count = id_set::count(access.store(), IdSet::Configurations(access.owner))?;
    // A character has at most four bytes in UTF-8.
    let of_one = ConfigurationKey::MAX * 4 + ConfigurationValue::MAX_BYTES;
    Ok(page.len_of(count).saturating_mul(of_one))
}

/// One of the owner's configurations.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that name.
pub fn show(access: &ResourceAccess, name: &ConfigurationName) -> Result<Configuration, ServiceError> {
    find(access.store(), access.owner, name)
}

/// Makes a configuration of the owner's.
///
/// # Errors
/// [`ServiceError::Invalid`] with all violations.
pub async fn create(
    access: &ResourceAccess,
    submitted: Submitted<ConfigurationChange>,
) -> Result<Configuration, ServiceError> {
    let max = access.state.policy.max_configurations;
    access
        .write(CREATE, move |txn, owner| {
            let conflicts = conflicts(txn, owner.id, None, &submitted.change)?;
            let NewConfiguration { key, value } = submitted.into_new_configuration(conflicts)?;
            refuse_invalid(beyond_bound(txn, IdSet::Configurations(owner.id), "configurations", max)?)?;
            let id = txn.next_id(Sequence::Configurations)?;
            let configuration = Configuration { id, owner: owner.id, key, value };
            txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
            let subject = AffectedResource::from(&configuration);
            Ok((configuration, subject))
        })
        .await
}

/// Changes a configuration of the owner's.
///
/// # Errors
/// [`ServiceError::NotFound`], or [`ServiceError::Invalid`] with all violations.
pub async fn update(
    access: &ResourceAccess,
    name: ConfigurationName,
    submitted: Submitted<ConfigurationChange>,
) -> Result<Configuration, ServiceError> {
    access
        .write(UPDATE, move |txn, owner| {
            let current = find(txn, owner.id, &name)?;
            let conflicts = conflicts(txn, owner.id, Some(&current), &submitted.change)?;
            let configuration = submitted.accept(conflicts)?.applied_to(&current);
            if configuration != current {
                txn.put(&configuration).map_err(taken("key", configuration.key.as_str()))?;
            }
            let subject = diff(&current, &configuration);
            Ok((configuration, subject))
        })
        .await
}

/// Removes a configuration of the owner's.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that name.
pub async fn destroy(access: &ResourceAccess, name: ConfigurationName) -> Result<(), ServiceError> {
    access
        .write(DESTROY, move |txn, owner| {
            let configuration = find(txn, owner.id, &name)?;
            txn.remove(&configuration)?;
            Ok(((), AffectedResource::from(&configuration)))
        })
        .await
}

/// The violations of a valid change that conflict with stored records: another configuration of the owner has the key.
/// A configuration's own key is not looked up; `target` is `None` for a new one.
fn conflicts(
    rows: &impl Tables,
    owner: Id,
    target: Option<&Configuration>,
    change: &ConfigurationChange,
) -> Result<Violations, StoreError> {
    let key = change.key.value().filter(|key| target.is_none_or(|target| target.key != **key));
    let Some(key) = key else { return Ok(Violations::none()) };
    let is_taken = rows.configuration_by_key(owner, key.as_str())?.is_some();
    let taken = || Violations::one("key", Problem::Taken, Some(key.as_str().to_owned()));
    Ok(if is_taken { taken() } else { Violations::none() })
}

/// The configuration and its changes, for the audit log: a new key, and whether the value changed, but no value.
pub(super) fn diff(old: &Configuration, new: &Configuration) -> AffectedResource {
    let key = (old.key != new.key).then(|| format!("key = {}", new.key.as_str()));
    let value = (old.value != new.value).then(|| "value".to_owned());
    AffectedResource::from(old).with(key.into_iter().chain(value).collect())
}

fn find(rows: &impl Tables, owner: Id, name: &ConfigurationName) -> Result<Configuration, ServiceError> {
    let found = match name {
        ConfigurationName::Id(id) => rows.configuration(owner, *id)?,
        ConfigurationName::Key(key) => rows.configuration_by_key(owner, key)?,
    };
    found.ok_or(ServiceError::NotFound)
}
