//! The work of one transaction, and what it has changed.

use std::{collections::HashSet, sync::Arc};

use super::{Desired, DesiredUser, Mode, api_keys, configurations, passwords::Prepared, users};
use crate::{
    auth::{Authenticator, KeyText},
    clock::Timestamp,
    domain::{Action, AffectedResource, InvalidRecords, Problem, User, Violations},
    service::{AppState, Policy, ServiceError},
    store::{IdSet, StoreError, Txn, id_set},
};

/// How many rows may be read from lists and written at once: other writes wait meanwhile, for some tenths of a second.
const MAX_ROWS: usize = 50_000;

/// What is changed about a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It is made.
    Create,
    /// Attributes of it are changed.
    Update,
    /// It is removed.
    Remove,
}

/// What kind of record it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordKind {
    /// An account.
    User,
    /// A configuration.
    Configuration,
    /// An API key.
    ApiKey,
}

/// A record that was changed.
#[derive(Debug)]
pub struct Changed {
    /// How.
    pub kind: Kind,
    /// What it is.
    pub record: RecordKind,
    /// The account, or the owner.
    pub username: String,
    /// The key of a configuration, or the name of an API key.
    pub name: Option<String>,
    /// What was changed about it, as the audit log has it.
    pub details: Vec<String>,
    /// The value of an API key that was made.
    pub value: Option<KeyText>,
    /// Its entry in the audit log.
    pub(super) entry: Option<(Action, AffectedResource)>,
}

/// All that was changed, in its order.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) changed: Vec<Changed>,
    pub(super) has_ended_initial_password: bool,
}

/// The work of one transaction.
pub(super) struct Work {
    pub(super) desired: Arc<Desired>,
    pub(super) mode: Mode,
    pub(super) prepared: Prepared,
    pub(super) policy: Policy,
    pub(super) authenticator: Arc<Authenticator>,
    pub(super) now: Timestamp,
    /// What is wrong whatever is stored.
    wrong: InvalidRecords,
    wrong_places: HashSet<String>,
    max_rows: usize,
}

/// What the work has come to.
#[derive(Default)]
pub(super) struct Progress {
    pub(super) changes: Changes,
    pub(super) wrong: InvalidRecords,
    /// The accounts that stopped being lasting administrators, each with the place and the attribute that says so.
    pub(super) ended_administrators: Vec<(String, &'static str)>,
    /// How many rows of lists were read.
    pub(super) read_rows: usize,
}

impl Work {
    pub(super) fn new(state: &AppState, desired: &Arc<Desired>, mode: Mode, prepared: Prepared) -> Self {
        Self {
            desired: Arc::clone(desired),
            mode,
            prepared,
            policy: state.policy.clone(),
            authenticator: Arc::clone(&state.authenticator),
            now: state.clock.now(),
            wrong: InvalidRecords::default(),
            wrong_places: HashSet::new(),
            max_rows: MAX_ROWS,
        }
    }

    /// The same, where that is known to be wrong.
    pub(super) fn with_wrong(self, wrong: InvalidRecords) -> Self {
        let wrong_places = wrong.iter().map(|(place, _)| place.to_owned()).collect();
        Self { wrong, wrong_places, ..self }
    }

    /// Whether the record at that place is not known to be wrong.
    pub(super) fn is_sound(&self, place: &str) -> bool {
        !self.wrong_places.contains(place)
    }

    /// Makes the records in the transaction what they are to be.
    ///
    /// # Errors
    /// [`ServiceError::InvalidRecords`] with everything that is wrong; [`ServiceError::ChangedMeanwhile`];
    /// [`ServiceError::Store`].
    pub(super) fn run(&self, txn: &mut Txn<'_>) -> Result<Changes, ServiceError> {
        let mut progress = Progress { wrong: self.wrong.clone(), ..Progress::default() };
        let had_administrator = has_administrator(txn)?;
        let mut named = Vec::new();
        for (index, user) in self.desired.users.iter().flatten().enumerate() {
            let owner = users::apply(self, txn, (index, user), &mut progress)?;
            if let Some(owner) = owner {
                named.push(owner.id);
                self.apply_owned(txn, user, &owner, &mut progress)?;
            }
            self.refuse_too_many_rows(txn, &progress)?;
        }
        // An account that could not be read is not known to be named.
        if self.mode.prunes && self.desired.users.is_some() && progress.wrong.is_empty() {
            users::prune(self, txn, &named, &mut progress)?;
        }
        if had_administrator && !has_administrator(txn)? {
            for (place, attribute) in &progress.ended_administrators {
                progress.wrong.add_one(place, attribute, Problem::Frozen);
            }
        }
        progress.finish()
    }

    /// Makes the records of an account what they are to be.
    fn apply_owned(
        &self,
        txn: &mut Txn<'_>,
        user: &DesiredUser,
        owner: &User,
        progress: &mut Progress,
    ) -> Result<(), ServiceError> {
        if let Some(wanted) = &user.configurations {
            configurations::apply(self, txn, (owner, wanted), progress)?;
        }
        if let Some(wanted) = &user.api_keys {
            api_keys::apply(self, txn, (owner, wanted), progress)?;
        }
        Ok(())
    }

    /// Refuses to go on once too many rows have been read or written.
    ///
    /// # Errors
    /// [`ServiceError::InvalidRecords`].
    pub(super) fn refuse_too_many_rows(&self, txn: &Txn<'_>, progress: &Progress) -> Result<(), ServiceError> {
        if txn.written_rows() + progress.read_rows <= self.max_rows {
            return Ok(());
        }
        let mut wrong = InvalidRecords::default();
        wrong.add("users", Violations::too_many("rows to compare or change at once", self.max_rows));
        Err(ServiceError::InvalidRecords(wrong))
    }
}

impl Progress {
    /// Notes a change; the details of an owned record in the audit log end with its owner.
    pub(super) fn note(&mut self, action: Action, subject: AffectedResource, changed: Changed) {
        let details = subject.details.clone();
        let owner = (changed.record != RecordKind::User).then(|| format!("owner = {}", changed.username));
        let entry = subject.with(details.iter().cloned().chain(owner).collect());
        self.changes.changed.push(Changed { details, entry: Some((action, entry)), ..changed });
    }

    fn finish(self) -> Result<Changes, ServiceError> {
        if self.wrong.is_empty() { Ok(self.changes) } else { Err(ServiceError::InvalidRecords(self.wrong)) }
    }
}

impl Changed {
    /// A change of the account itself.
    pub(super) fn user(kind: Kind, user: &User) -> Self {
        Self::owned(kind, RecordKind::User, user, None)
    }

    /// A change of a record of that owner.
    pub(super) fn owned(kind: Kind, record: RecordKind, owner: &User, name: Option<String>) -> Self {
        let username = owner.username.as_str().to_owned();
        Self { kind, record, username, name, details: Vec::new(), value: None, entry: None }
    }
}

/// Whether there is an administrator that is neither suspended nor ever expires.
fn has_administrator(txn: &Txn<'_>) -> Result<bool, StoreError> {
    Ok(id_set::count(txn, IdSet::Administrators)? > 0)
}

#[cfg(test)]
mod tests;
