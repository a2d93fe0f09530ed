//! A transaction: changes to the committed rows that only the transaction sees until it is applied.

use std::{iter::Peekable, ops::ControlFlow};

use thiserror::Error;

use super::{
    StoreError,
    engine::{Changes, Engine, KeyRange, Tree, Visit},
    id_set::{self, IdSet},
    record,
    table::{self, IndexRow, ReadRows, Record},
};
use crate::domain::{Id, User};

/// Changes to the committed rows. Dropping it without [`Txn::apply`] undoes them.
pub struct Txn<'a> {
    engine: &'a dyn Engine,
    changes: &'a mut Changes,
    undo: Vec<Undo>,
}

/// A row, and its earlier entry in the changes: none, a removal, or a value.
type Undo = ((Tree, Vec<u8>), Option<Option<Vec<u8>>>);

/// Why a record cannot be written.
#[derive(Debug, Error)]
pub enum PutError {
    /// Another record has the same key in that unique index.
    #[error("the entry in `{0}` is taken")]
    Taken(Tree),
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A counter that never returns the same number twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sequence {
    /// Ids of users.
    Users,
    /// Ids of configurations.
    Configurations,
    /// Ids of API keys.
    ApiKeys,
    /// Numbers of sessions.
    Sessions,
}

impl Sequence {
    /// The last number that was returned, 0 if none was.
    ///
    /// # Errors
    /// [`StoreError`] if the sequence cannot be read.
    pub fn last(self, rows: &(impl ReadRows + ?Sized)) -> Result<u64, StoreError> {
        let Some(bytes) = rows.get(Tree::Meta, self.key())? else { return Ok(0) };
        bytes.try_into().map(u64::from_be_bytes).map_err(|_| table::corrupt(Tree::Meta))
    }

    pub(super) fn key(self) -> &'static [u8] {
        match self {
            Self::Users => b"sequence/users",
            Self::Configurations => b"sequence/configurations",
            Self::ApiKeys => b"sequence/api_keys",
            Self::Sessions => b"sequence/sessions",
        }
    }
}

impl<'a> Txn<'a> {
    /// A transaction over the engine and over the earlier changes of the same group.
    pub fn new(engine: &'a dyn Engine, changes: &'a mut Changes) -> Self {
        Self { engine, changes, undo: Vec::new() }
    }

    /// Adds the transaction's changes to those of the group.
    pub fn apply(mut self) {
        self.undo.clear();
    }

    /// Whether the transaction has changed anything.
    #[must_use]
    pub fn has_changes(&self) -> bool {
        !self.undo.is_empty()
    }

    /// How many rows the transaction has written so far, each as often as it did.
    #[must_use]
    pub fn written_rows(&self) -> usize {
        self.undo.len()
    }

    /// Writes the record with its index rows and its memberships in lists, replacing an earlier record of the same key.
    ///
    /// # Errors
    /// [`PutError::Taken`] if another record has one of its index keys; the transaction must then be dropped.
    pub fn put<R: Record>(&mut self, record: &R) -> Result<(), PutError> {
        let key = record.key();
        let before = table::find::<R>(self, &key)?;
        let (rows_before, lists_before) = before.as_ref().map_or_else(Default::default, surroundings);
        let (rows, lists) = surroundings(record);
        for row in rows_before.iter().filter(|row| !rows.contains(row)) {
            self.set(row.tree, row.key.clone(), None);
        }
        for row in rows.into_iter().filter(|row| !rows_before.contains(row)) {
            self.point(row)?;
        }
        self.move_between(&lists_before, &lists)?;
        self.set(R::TREE, key, Some(record::encode(record)));
        Ok(self.remember_change(before.as_ref(), record)?)
    }

    /// Removes the record with its index rows and its memberships in lists.
    ///
    /// # Errors
    /// [`StoreError`] if a list or its activity cannot be read.
    pub fn remove<R: Record>(&mut self, record: &R) -> Result<(), StoreError> {
        let (rows, lists) = surroundings(record);
        for row in rows {
            self.set(row.tree, row.key, None);
        }
        self.move_between(&lists, &[])?;
        self.set(R::TREE, record.key(), None);
        if let Some(prefix) = record.activity() {
            self.remove_activity(&prefix)?;
        }
        record.held().iter().try_for_each(|identifier| self.remember(identifier))
    }

    /// Remembers the identifiers that the record no longer has, and those that it is given.
    fn remember_change<R: Record>(&mut self, before: Option<&R>, record: &R) -> Result<(), StoreError> {
        let (held, given) = (record.held(), record.given());
        let (held_before, given_before) =
            before.map_or_else(Default::default, |before| (before.held(), before.given()));
        let left = held_before.iter().filter(|identifier| !held.contains(identifier));
        let new = given.iter().filter(|identifier| !given_before.contains(identifier));
        left.chain(new).try_for_each(|identifier| self.remember(identifier))
    }

    /// The next id of a collection.
    ///
    /// # Errors
    /// [`StoreError::IdsExhausted`] after the last one.
    pub fn next_id(&mut self, sequence: Sequence) -> Result<Id, StoreError> {
        let number = self.next_number(sequence)?;
        u32::try_from(number).ok().and_then(Id::new).ok_or(StoreError::IdsExhausted)
    }

    /// The next number of a sequence, from 1 up.
    ///
    /// # Errors
    /// [`StoreError`] if the sequence cannot be read.
    pub fn next_number(&mut self, sequence: Sequence) -> Result<u64, StoreError> {
        let next = sequence.last(self)?.saturating_add(1);
        self.set_sequence(sequence, next);
        Ok(next)
    }

    /// Lets a sequence continue after that number.
    pub fn set_sequence(&mut self, sequence: Sequence, last: u64) {
        self.set(Tree::Meta, sequence.key().to_vec(), Some(last.to_be_bytes().to_vec()));
    }

    /// Writes or removes a raw row.
    pub(super) fn set(&mut self, tree: Tree, key: Vec<u8>, value: Option<Vec<u8>>) {
        let row = (tree, key);
        let before = self.changes.insert(row.clone(), value);
        self.undo.push((row, before));
    }

    fn point(&mut self, row: IndexRow) -> Result<(), PutError> {
        if self.get(row.tree, &row.key)?.is_some() {
            return Err(PutError::Taken(row.tree));
        }
        self.set(row.tree, row.key, Some(row.value));
        Ok(())
    }

    fn move_between(&mut self, before: &[(IdSet, Id)], after: &[(IdSet, Id)]) -> Result<(), StoreError> {
        for (id_set, id) in before.iter().filter(|place| !after.contains(place)) {
            self.set_member(*id_set, *id, false)?;
        }
        for (id_set, id) in after.iter().filter(|place| !before.contains(place)) {
            self.set_member(*id_set, *id, true)?;
        }
        Ok(())
    }

    /// Lists the account under its uid, as older formats did not.
    pub(super) fn list_system_user(&mut self, user: &User) -> Result<(), StoreError> {
        user.user_id.map_or(Ok(()), |uid| self.set_member(IdSet::SystemUser(uid), user.id, true))
    }

    fn set_member(&mut self, id_set: IdSet, id: Id, is_member: bool) -> Result<(), StoreError> {
        let key = id_set.chunk_key(id);
        let chunk = self.get(Tree::Lists, &key)?;
        let chunk = id_set::with_member(chunk.as_deref(), id, is_member)?;
        self.set(Tree::Lists, key, chunk);
        Ok(())
    }
}

impl Drop for Txn<'_> {
    fn drop(&mut self) {
        while let Some((row, before)) = self.undo.pop() {
            match before {
                Some(before) => self.changes.insert(row, before),
                None => self.changes.remove(&row),
            };
        }
    }
}

impl ReadRows for Txn<'_> {
    fn get(&self, tree: Tree, key: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        match self.changes.get(&(tree, key.to_vec())) {
            Some(changed) => Ok(changed.clone()),
            None => Ok(self.engine.get(tree, key)?),
        }
    }

    fn scan(&self, tree: Tree, range: &KeyRange, visit: &mut Visit<'_>) -> Result<(), StoreError> {
        let changed = self.changes.range((tree, range.from.clone())..);
        let changed = changed.take_while(|((of, key), _)| *of == tree && range.contains(key));
        let mut changed = changed.map(|((_, key), value)| (key.as_slice(), value.as_deref())).peekable();
        let mut flow = ControlFlow::Continue(());
        self.engine.scan(tree, range, &mut |key, value| {
            flow = merge(&mut changed, key, value, visit);
            flow
        })?;
        for (key, value) in changed {
            if flow.is_break() {
                break;
            }
            flow = value.map_or(ControlFlow::Continue(()), |value| visit(key, value));
        }
        Ok(())
    }
}

/// Visits the changed rows that precede a committed row, then that row or its changed value.
fn merge<'a>(
    changed: &mut Peekable<impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>>,
    key: &[u8],
    value: &[u8],
    visit: &mut Visit<'_>,
) -> ControlFlow<()> {
    while let Some((earlier, changed)) = changed.next_if(|(earlier, _)| *earlier < key) {
        if let Some(changed) = changed {
            visit(earlier, changed)?;
        }
    }
    match changed.next_if(|(same, _)| *same == key) {
        Some((_, Some(changed))) => visit(key, changed),
        Some((_, None)) => ControlFlow::Continue(()),
        None => visit(key, value),
    }
}

type Surroundings = (Vec<IndexRow>, Vec<(IdSet, Id)>);

fn surroundings<R: Record>(record: &R) -> Surroundings {
    let places = record.listed().map(|(id, lists)| lists.into_iter().map(|id_set| (id_set, id)).collect());
    (record.index_rows(), places.unwrap_or_default())
}
