//! Rows that record when credentials, scopes and accounts were last used.
//!
//! Rows are written in batches some time after the use, never by the write of a request. They are not in backups, and
//! no cache depends on them. They are removed with their record, whose key is the prefix of theirs.

use std::ops::ControlFlow;

use super::{
    StoreError, Txn,
    engine::{KeyRange, Tree},
    key,
    record::{self, Versioned},
    table::{ReadRows, corrupt},
};
use crate::{
    clock::Timestamp,
    domain::{Activity, ActivitySubject, Id, Scope},
};

/// The maximum number of scopes that are recorded for one API key.
pub const MAX_SCOPES_OF_KEY: usize = 256;

const SINCE_KEY: &[u8] = b"activity_since";
const SIGN_IN: u8 = 0;
const SESSION: u8 = 1;
const API_KEY: u8 = 2;
const SCOPE_SEPARATOR: char = '/';

impl Versioned for Activity {}

/// The key of the subject's row.
#[must_use]
pub fn key_of(subject: ActivitySubject<'_>) -> Vec<u8> {
    match subject {
        ActivitySubject::SignIn(owner) => of_kind(owner, SIGN_IN, &[]),
        ActivitySubject::Session(owner, jti) => of_kind(owner, SESSION, jti.as_bytes()),
        ActivitySubject::ApiKey(owner, id) => of_kind(owner, API_KEY, &key::of_id(id)),
        ActivitySubject::ApiKeyScope(owner, id, controller, action) => {
            let scope = format!("{controller}{SCOPE_SEPARATOR}{action}");
            of_kind(owner, API_KEY, &[&key::of_id(id), scope.as_bytes()].concat())
        }
    }
}

fn of_kind(owner: Id, kind: u8, rest: &[u8]) -> Vec<u8> {
    [&key::of_id(owner), [kind].as_slice(), rest].concat()
}

/// The owner of the API key, if the row with that key is about a scope of one.
#[must_use]
pub fn owner_of_scope(key: &[u8]) -> Option<Id> {
    let (prefix, _) = split_scope(key).filter(|(_, scope)| !scope.is_empty())?;
    prefix.first_chunk().and_then(|owner| Id::new(u32::from_be_bytes(*owner)))
}

/// The last activity of the subject, as far as it has been written.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn last(rows: &(impl ReadRows + ?Sized), subject: ActivitySubject<'_>) -> Result<Option<Activity>, StoreError> {
    rows.get(Tree::Activity, &key_of(subject))?.map(|bytes| decode(&bytes)).transpose()
}

/// The scopes that an API key of that owner has used, sorted by name, as far as they have been written.
///
/// # Errors
/// [`StoreError`] if they cannot be read.
pub fn scopes_of_key(rows: &(impl ReadRows + ?Sized), owner: Id, id: Id) -> Result<Vec<(Scope, Activity)>, StoreError> {
    let prefix = key_of(ActivitySubject::ApiKey(owner, id));
    let mut scopes = Vec::new();
    rows.scan(Tree::Activity, &KeyRange::prefix(&prefix), &mut |key, bytes| {
        if key.len() > prefix.len() {
            scopes.push(scope_in(&key[prefix.len()..]).zip(decode(bytes).ok()));
        }
        ControlFlow::Continue(())
    })?;
    scopes.into_iter().map(|row| row.ok_or_else(|| corrupt(Tree::Activity))).collect()
}

/// The scope of a row about that API key; `None` for another row.
#[must_use]
pub fn scope_of_key(row: &[u8], owner: Id, id: Id) -> Option<Scope> {
    row.strip_prefix(key_of(ActivitySubject::ApiKey(owner, id)).as_slice()).and_then(scope_in)
}

/// Since when activity has been recorded in this store; `None` before it begins.
///
/// # Errors
/// [`StoreError`] if that cannot be read.
pub fn since(rows: &(impl ReadRows + ?Sized)) -> Result<Option<Timestamp>, StoreError> {
    let Some(bytes) = rows.get(Tree::Meta, SINCE_KEY)? else { return Ok(None) };
    let millis = bytes.try_into().map_err(|_| corrupt(Tree::Meta))?;
    Ok(Some(Timestamp::from_millis(u64::from_be_bytes(millis))))
}

/// The faults of the rows, one sentence each.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(super) fn faults(rows: &(impl ReadRows + ?Sized)) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    let mut failure = Ok(());
    rows.scan(Tree::Activity, &KeyRange::all(), &mut |key, bytes| {
        let is_readable = is_key(key) && decode(bytes).is_ok();
        match record_of(key).map_or(Ok(false), |(tree, key)| Ok(rows.get(tree, &key)?.is_some())) {
            Ok(_) if !is_readable => faults.push(format!("a row of `{}` cannot be decoded", Tree::Activity)),
            Ok(true) => {}
            Ok(false) => faults.push(format!("a row of `{}` is of a record that does not exist", Tree::Activity)),
            Err(error) => failure = Err(error),
        }
        if failure.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })?;
    failure.map(|()| faults)
}

impl Txn<'_> {
    /// Stores since when activity is recorded, unless that is stored already.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be read.
    pub fn begin_activity(&mut self, now: Timestamp) -> Result<(), StoreError> {
        if since(self)?.is_none() {
            self.set(Tree::Meta, SINCE_KEY.to_vec(), Some(now.as_millis().to_be_bytes().to_vec()));
        }
        Ok(())
    }

    /// Writes the activity of the subject with that key, unless its record has been removed meanwhile, or it is a scope
    /// beyond the maximum.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub fn put_activity(&mut self, key: Vec<u8>, activity: &Activity) -> Result<(), StoreError> {
        let value = record::encode(activity);
        let current = self.get(Tree::Activity, &key)?;
        if current.as_ref() == Some(&value) || !self.has_record_of(&key)? {
            return Ok(());
        }
        if current.is_some() || self.has_room_for(&key)? {
            self.set(Tree::Activity, key, Some(value));
        }
        Ok(())
    }

    /// Removes the activity of a record; the keys of its rows have that prefix.
    pub(super) fn remove_activity(&mut self, prefix: &[u8]) -> Result<(), StoreError> {
        for key in keys(self, prefix)? {
            self.set(Tree::Activity, key, None);
        }
        Ok(())
    }

    fn has_record_of(&self, key: &[u8]) -> Result<bool, StoreError> {
        let Some((tree, key)) = record_of(key) else { return Ok(false) };
        Ok(self.get(tree, &key)?.is_some())
    }

    /// Whether the key may be added: it is not that of a scope beyond the maximum.
    fn has_room_for(&self, key: &[u8]) -> Result<bool, StoreError> {
        let Some((prefix, scope)) = split_scope(key) else { return Ok(true) };
        Ok(scope.is_empty() || keys(self, prefix)?.iter().filter(|key| *key != prefix).count() < MAX_SCOPES_OF_KEY)
    }
}

fn keys(rows: &(impl ReadRows + ?Sized), prefix: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let mut keys = Vec::new();
    rows.scan(Tree::Activity, &KeyRange::prefix(prefix), &mut |key, _| {
        keys.push(key.to_vec());
        ControlFlow::Continue(())
    })?;
    Ok(keys)
}

fn decode(bytes: &[u8]) -> Result<Activity, StoreError> {
    record::decode(Tree::Activity.name(), bytes).map_err(StoreError::Record)
}

/// The row of the API key and the text of the scope, empty in the row of the key itself; `None` in rows of other kinds.
fn split_scope(key: &[u8]) -> Option<(&[u8], &[u8])> {
    key.split_at_checked(9).filter(|(prefix, _)| prefix[4] == API_KEY)
}

fn scope_in(text: &[u8]) -> Option<Scope> {
    let (controller, action) = str::from_utf8(text).ok()?.split_once(SCOPE_SEPARATOR)?;
    Scope::parse(controller, action).ok()
}

/// Whether a row may have that key.
fn is_key(key: &[u8]) -> bool {
    split_scope(key).is_none_or(|(_, scope)| scope.is_empty() || scope_in(scope).is_some())
}

/// The tree and key of the record that a row is about; `None` if the row's key is malformed.
fn record_of(row: &[u8]) -> Option<(Tree, Vec<u8>)> {
    let (owner, rest) = row.split_at_checked(4)?;
    match rest.split_first()? {
        (&SIGN_IN, []) => Some((Tree::Users, owner.to_vec())),
        (&SESSION, jti) => Some((Tree::Sessions, [owner, jti].concat())),
        (&API_KEY, rest) => Some((Tree::ApiKeys, [owner, rest.get(..4)?].concat())),
        _ => None,
    }
}
