//! Builds a store from the records of a backup or of a damaged store.

use std::array;

use roaring::RoaringBitmap;
use thiserror::Error;

use super::{Line, State};
use crate::{
    audit::AuditError,
    auth::is_sound_hash,
    clock::Timestamp,
    domain::{
        ApiKey, ApiKeyName, Configuration, ConfigurationKey, ConfigurationValue, Email, Id, Scope, Scopes, SystemId,
        User, Username,
    },
    store::{IdSet, PutError, Sequence, Store, StoreError, Tables, Txn, id_set, table::Record},
};

/// How many records are written at once.
const BATCH: usize = 2000;

/// Why a store cannot be built.
#[derive(Debug, Error)]
pub enum RebuildError {
    /// It breaks the rules for records of its kind.
    #[error("{0} {1} has invalid values")]
    Unsound(&'static str, Id),
    /// Another one has its id, name, key or digest.
    #[error("{0} {1} exists twice, or has the name, key or digest of another one")]
    Twice(&'static str, Id),
    /// Its owner does not exist.
    #[error("{0} {1} has no owner")]
    Dangling(&'static str, Id),
    /// No administrator is left who could go on for good.
    #[error("no administrator is among what can be read, or none that is neither suspended nor has an `expired_at`")]
    NoAdministrator,
    /// No further record of that kind could be created.
    #[error("the ids of {0} are used up: no further one could be created")]
    IdsExhausted(&'static str),
    /// The store cannot be written.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit log cannot be continued in the new store.
    #[error(transparent)]
    Audit(#[from] AuditError),
}

/// Fills an empty store.
pub struct Rebuild<'a> {
    store: &'a Store,
    waiting: Vec<Line>,
    rebuilt: Rebuilt,
    ids: [RoaringBitmap; 3],
    is_salvage: bool,
}

/// The numbers of records that a store was built from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rebuilt {
    /// How many users.
    pub users: u64,
    /// How many configurations.
    pub configurations: u64,
    /// How many API keys.
    pub api_keys: u64,
    /// How many records were left out.
    pub left_out: u64,
    last: [u64; 3],
}

impl<'a> Rebuild<'a> {
    /// Begins with an empty store.
    #[must_use]
    pub fn of(store: &'a Store) -> Self {
        Self {
            store,
            waiting: Vec::with_capacity(BATCH),
            rebuilt: Rebuilt::default(),
            ids: Default::default(),
            is_salvage: false,
        }
    }

    /// Begins with an empty store, and leaves out invalid records instead of failing.
    #[must_use]
    pub fn salvaging(store: &'a Store) -> Self {
        Self { is_salvage: true, ..Self::of(store) }
    }

    /// Adds a record; it may be found wrong only by a later call.
    ///
    /// # Errors
    /// [`RebuildError`] if a record cannot be in a sound store.
    pub async fn add(&mut self, line: Line) -> Result<(), RebuildError> {
        match check(&line).and_then(|()| self.claim_id(&line)) {
            Err(_) if self.is_salvage => {
                self.rebuilt.left_out += 1;
                return Ok(());
            }
            checked => checked?,
        }
        self.rebuilt.count(&line);
        self.waiting.push(line);
        if self.waiting.len() >= BATCH { self.write().await } else { Ok(()) }
    }

    /// Finishes with the state. The sequences continue after its numbers, the records' ids and `at_least`, whichever
    /// are highest.
    ///
    /// # Errors
    /// [`RebuildError`] if a record is invalid, or if the store would lack an administrator or further ids.
    pub async fn finish(mut self, state: State, at_least: [u64; 3]) -> Result<Rebuilt, RebuildError> {
        self.write().await?;
        let last = self.last_ids(&state, at_least);
        // The next start would create an administrator of its own, and the loss would not be noticed.
        if id_set::count(self.store, IdSet::Administrators)? == 0 {
            return Err(RebuildError::NoAdministrator);
        }
        if !self.is_salvage {
            refuse_exhausted(last)?;
        }
        let initial = state.initial_administrator;
        self.store
            .write(move |txn| {
                let sequences = [Sequence::Users, Sequence::Configurations, Sequence::ApiKeys];
                for (place, sequence) in sequences.into_iter().enumerate() {
                    txn.set_sequence(sequence, last[place]);
                }
                let is_there = initial.map(|id| txn.user(id)).transpose()?.flatten().is_some();
                txn.set_initial_administrator(initial.filter(|_| is_there));
                Ok::<_, StoreError>(())
            })
            .await?;
        Ok(self.rebuilt)
    }

    fn last_ids(&self, state: &State, at_least: [u64; 3]) -> [u64; 3] {
        let stored = [state.users, state.configurations, state.api_keys];
        array::from_fn(|place| stored[place].max(at_least[place]).max(self.rebuilt.last[place]))
    }

    /// Checks that the id is unique in its collection, over all owners.
    fn claim_id(&mut self, line: &Line) -> Result<(), RebuildError> {
        let Some((place, kind, id)) = record_of(line) else { return Ok(()) };
        if self.ids[place].insert(id.get()) { Ok(()) } else { Err(RebuildError::Twice(kind, id)) }
    }

    async fn write(&mut self) -> Result<(), RebuildError> {
        let records = std::mem::take(&mut self.waiting);
        let is_salvage = self.is_salvage;
        let put_all = move |txn: &mut Txn<'_>| {
            let mut left_out = 0;
            for line in records {
                match put(txn, line) {
                    Err(error) if !is_salvage || matches!(error, RebuildError::Store(_)) => return Err(error),
                    Err(_) => left_out += 1,
                    Ok(()) => {}
                }
            }
            Ok(left_out)
        };
        self.rebuilt.left_out += self.store.write(put_all).await?;
        Ok(())
    }
}

impl Rebuilt {
    fn count(&mut self, line: &Line) {
        let Some((place, _, id)) = record_of(line) else { return };
        *[&mut self.users, &mut self.configurations, &mut self.api_keys][place] += 1;
        self.last[place] = self.last[place].max(u64::from(id.get()));
    }
}

/// The place of a record's kind among the sequences, its kind and its id; `None` for a line that is no record.
fn record_of(line: &Line) -> Option<(usize, &'static str, Id)> {
    match line {
        Line::User(user) => Some((0, "user", user.id)),
        Line::Configuration(configuration) => Some((1, "configuration", configuration.id)),
        Line::ApiKey(api_key) => Some((2, "API key", api_key.id)),
        Line::Header(_)
        | Line::State(_)
        | Line::Secret(_)
        | Line::IdentifierKey(_)
        | Line::UsedIdentifier(_)
        | Line::Footer(_) => None,
    }
}

fn refuse_exhausted(last: [u64; 3]) -> Result<(), RebuildError> {
    let exhausted = last.iter().position(|last| *last >= u64::from(Id::LAST.get()));
    exhausted.map_or(Ok(()), |place| Err(RebuildError::IdsExhausted(["users", "configurations", "API keys"][place])))
}

fn put(txn: &mut Txn<'_>, line: Line) -> Result<(), RebuildError> {
    match line {
        Line::User(user) => put_new(txn, "user", user.id, &user),
        Line::Configuration(configuration) => {
            owned(txn, "configuration", configuration.id, configuration.owner)?;
            put_new(txn, "configuration", configuration.id, &configuration)
        }
        Line::ApiKey(api_key) => {
            owned(txn, "API key", api_key.id, api_key.owner)?;
            put_new(txn, "API key", api_key.id, &api_key)
        }
        Line::IdentifierKey(key) => {
            txn.set_identifier_key(&key);
            Ok(())
        }
        Line::UsedIdentifier(hash) => Ok(txn.remember_hash(hash)?),
        Line::Header(_) | Line::State(_) | Line::Secret(_) | Line::Footer(_) => Ok(()),
    }
}

fn owned(txn: &Txn<'_>, kind: &'static str, id: Id, owner: Id) -> Result<(), RebuildError> {
    if txn.user(owner)?.is_some() { Ok(()) } else { Err(RebuildError::Dangling(kind, id)) }
}

fn put_new<R: Record>(txn: &mut Txn<'_>, kind: &'static str, id: Id, record: &R) -> Result<(), RebuildError> {
    if crate::store::table::find::<R>(txn, &record.key())?.is_some() {
        return Err(RebuildError::Twice(kind, id));
    }
    txn.put(record).map_err(|error| match error {
        PutError::Taken(_) => RebuildError::Twice(kind, id),
        PutError::Store(error) => error.into(),
    })
}

/// Refuses a record with invalid values: the file may come from anywhere.
fn check(line: &Line) -> Result<(), RebuildError> {
    let is_sound = match line {
        Line::User(user) => is_sound_user(user),
        Line::Configuration(configuration) => is_sound_configuration(configuration),
        Line::ApiKey(api_key) => is_sound_api_key(api_key),
        Line::Header(_)
        | Line::State(_)
        | Line::Secret(_)
        | Line::IdentifierKey(_)
        | Line::UsedIdentifier(_)
        | Line::Footer(_) => true,
    };
    let refused = record_of(line).filter(|_| !is_sound);
    refused.map_or(Ok(()), |(_, kind, id)| Err(RebuildError::Unsound(kind, id)))
}

/// A name that only an account with a uid has, and no longer than any of the system's.
fn is_sound_system_name(user: &User) -> bool {
    user.system_name.as_ref().is_none_or(|name| user.user_id.is_some() && name.len() <= 256)
}

fn is_id(id: Id) -> bool {
    Id::new(id.get()).is_some()
}

fn is_sound_user(user: &User) -> bool {
    let is_system_id = |id: &SystemId| SystemId::new(i128::from(id.get())).is_ok();
    is_id(user.id)
        && Username::parse(user.username.as_str()).is_ok()
        && user.email.as_ref().is_none_or(|email| Email::parse(email.as_str()).is_ok())
        && user.user_id.iter().chain(&user.group_id).all(is_system_id)
        && user.expired_at.is_none_or(|end| end <= Timestamp::MAX)
        && is_sound_system_name(user)
        && is_sound_hash(&user.password)
}

fn is_sound_configuration(configuration: &Configuration) -> bool {
    is_id(configuration.id)
        && ConfigurationKey::parse_stored(configuration.key.as_str()).is_ok()
        && ConfigurationValue::parse(configuration.value.as_str()).is_ok()
}

fn is_sound_api_key(api_key: &ApiKey) -> bool {
    let scopes = api_key.scopes.iter().map(|scope| Scope::parse(scope.controller(), scope.action()));
    let scopes = scopes.collect::<Result<Vec<_>, _>>().and_then(Scopes::new);
    is_id(api_key.id)
        && scopes.is_ok_and(|scopes| scopes == api_key.scopes)
        && api_key.name.as_ref().is_none_or(|name| ApiKeyName::parse(name.as_str()).is_ok())
        && is_end_of_key(api_key.last_four)
        && api_key.former_value.as_ref().is_none_or(|former| is_end_of_key(former.last_four))
        && api_key.expires_at.is_none_or(|end| end <= Timestamp::MAX)
}

fn is_end_of_key(last_four: [u8; 4]) -> bool {
    last_four.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(byte))
}
