//! Used identifiers: names and system users that accounts have had, so that no restricted key creates an account that
//! impersonates a former one.
//!
//! A row is a keyed hash of a user name that a renamed or removed account had, or of a `user_id` that an account was
//! given. It is written by the same transaction as the change, and never removed. The key is in the store and in its
//! backups: it keeps names from being read from the rows, but not from being guessed by a holder of the store.

mod carry_over;
mod hash;

use std::ops::ControlFlow;

pub(super) use self::carry_over::remember_given;
use self::hash::hash_of;
pub use self::{
    carry_over::carry_over,
    hash::{IdentifierHash, IdentifierKey},
};
use super::{
    StoreError,
    engine::{KeyRange, Tree},
    integrity::Integrity,
    table::{self, ReadRows, visit_rows},
    txn::Txn,
};
use crate::domain::AccountIdentifier;

/// The maximum number of identifiers, some 200 MB in all. Once there are as many, no further one is added, and every
/// name and `user_id` counts as used.
pub const MAX_REMEMBERED: u64 = 1 << 22;

const KEY_KEY: &[u8] = b"identifier_key";

/// Whether an account had that name, or has or had that `user_id`.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub fn is_used(rows: &(impl ReadRows + ?Sized), identifier: &AccountIdentifier) -> Result<bool, StoreError> {
    let Some(key) = key(rows)? else { return Ok(true) };
    let is_remembered = rows.get(Tree::UsedIdentifiers, &hash_of(identifier, &key).0)?.is_some();
    Ok(is_remembered || is_full(rows)?)
}

/// The key of the store's hashes, `None` before it is initialised.
///
/// # Errors
/// [`StoreError`] if it cannot be read.
pub fn key(rows: &(impl ReadRows + ?Sized)) -> Result<Option<IdentifierKey>, StoreError> {
    let Some(bytes) = rows.get(Tree::Meta, KEY_KEY)? else { return Ok(None) };
    bytes.try_into().map(|bytes| Some(IdentifierKey(bytes))).map_err(|_| table::corrupt(Tree::Meta))
}

/// Visits every hash, until a visit fails.
///
/// # Errors
/// What the visit fails with; [`StoreError`] if a row cannot be read.
pub fn visit<E: From<StoreError>>(
    rows: &(impl ReadRows + ?Sized),
    mut visit: impl FnMut(IdentifierHash) -> Result<(), E>,
) -> Result<(), E> {
    visit_rows(rows, Tree::UsedIdentifiers, &KeyRange::all(), |key, _| visit(hash_in(key)?))
}

/// The faults of the hashes, one sentence each.
///
/// # Errors
/// [`StoreError`] if the store cannot be read.
pub(super) fn faults(rows: &(impl ReadRows + ?Sized)) -> Result<Vec<String>, StoreError> {
    let mut faults = Vec::new();
    rows.scan(Tree::UsedIdentifiers, &KeyRange::all(), &mut |key, value| {
        if key.len() != 16 || !value.is_empty() {
            faults.push(format!("a row of `{}` cannot be decoded", Tree::UsedIdentifiers));
        }
        ControlFlow::Continue(())
    })?;
    Ok(faults)
}

/// The hash that is the key of a row.
fn hash_in(key: &[u8]) -> Result<IdentifierHash, StoreError> {
    key.try_into().map(IdentifierHash).map_err(|_| table::corrupt(Tree::UsedIdentifiers))
}

/// Whether the maximum number was reached, as of the last commit.
fn is_full(rows: &(impl ReadRows + ?Sized)) -> Result<bool, StoreError> {
    let integrity = Integrity::stored(rows)?;
    Ok(integrity.is_some_and(|integrity| integrity.rows[Tree::UsedIdentifiers as usize] >= MAX_REMEMBERED))
}

impl Txn<'_> {
    /// Sets the key of the hashes; hashes under another key are useless from then on.
    pub fn set_identifier_key(&mut self, key: &IdentifierKey) {
        self.set(Tree::Meta, KEY_KEY.to_vec(), Some(key.0.to_vec()));
    }

    /// Gives the store a key for its hashes unless it has one.
    pub(super) fn ensure_identifier_key(&mut self, random: [u8; 32]) -> Result<(), StoreError> {
        if key(self)?.is_none() {
            self.set_identifier_key(&IdentifierKey(random));
        }
        Ok(())
    }

    /// Records that an identifier is used, unless the store is not initialised or has the maximum number.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub fn remember(&mut self, identifier: &AccountIdentifier) -> Result<(), StoreError> {
        let Some(key) = key(self)? else { return Ok(()) };
        self.remember_hash(hash_of(identifier, &key))
    }

    /// Records an identifier by its hash under the store's key.
    ///
    /// # Errors
    /// As [`Txn::remember`].
    pub fn remember_hash(&mut self, IdentifierHash(hash): IdentifierHash) -> Result<(), StoreError> {
        if self.get(Tree::UsedIdentifiers, &hash)?.is_none() && !is_full(self)? {
            self.set(Tree::UsedIdentifiers, hash.to_vec(), Some(Vec::new()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        clock::Timestamp,
        domain::{Id, PasswordHash, SystemId, User, Username},
        store::{
            Store,
            engine::{Changes, Engine},
            memory::Memory,
            verify::verify,
        },
    };

    fn identifier(number: i128) -> AccountIdentifier {
        AccountIdentifier::SystemUser(SystemId::new(number).unwrap())
    }

    fn ann() -> User {
        let (username, password) = (Username::parse("Ann").unwrap(), PasswordHash::new(String::new()));
        let user = User::new(Id::FIRST, username, password, Timestamp::from_secs(0));
        User { user_id: SystemId::new(1000).ok(), is_admin: true, ..user }
    }

    fn remembered(engine: &Memory, identifiers: &[AccountIdentifier]) -> Changes {
        let mut changes = Changes::new();
        let mut txn = Txn::new(engine, &mut changes);
        txn.set_identifier_key(&IdentifierKey([7; 32]));
        identifiers.iter().try_for_each(|identifier| txn.remember(identifier)).unwrap();
        txn.apply();
        changes
    }

    async fn put(store: &Store, user: User) {
        let put = move |txn: &mut Txn<'_>| {
            txn.set_sequence(crate::store::Sequence::Users, 1);
            txn.put(&user)
        };
        store.write(put).await.unwrap();
    }

    #[test]
    fn beyond_the_maximum_no_more_are_kept_and_every_identifier_counts_as_used() {
        let engine = Memory::default();
        engine.commit(&remembered(&engine, &[identifier(1)])).unwrap();
        let used = |number| {
            let mut changes = Changes::new();
            is_used(&Txn::new(&engine, &mut changes), &identifier(number)).unwrap()
        };
        let mut integrity = Integrity::default();
        integrity.rows[Tree::UsedIdentifiers as usize] = MAX_REMEMBERED - 1;
        engine.commit(&Changes::from([integrity.row()])).unwrap();
        assert_eq!([used(1), used(2)], [true, false]);
        assert!(remembered(&engine, &[identifier(2)]).keys().any(|(tree, _)| *tree == Tree::UsedIdentifiers));

        integrity.rows[Tree::UsedIdentifiers as usize] = MAX_REMEMBERED;
        engine.commit(&Changes::from([integrity.row()])).unwrap();

        assert_eq!([used(1), used(2)], [true, true]);
        assert!(!remembered(&engine, &[identifier(2)]).keys().any(|(tree, _)| *tree == Tree::UsedIdentifiers));
    }

    #[tokio::test]
    async fn a_name_is_remembered_when_it_is_given_up_and_a_user_id_when_it_is_given() {
        let store = Store::over(Arc::new(Memory::default()));
        store.initialise().await.unwrap();
        let used = |username: &str| {
            let name = AccountIdentifier::of_name(&Username::parse(username).unwrap());
            is_used(&store, &name).unwrap()
        };
        put(&store, ann()).await;
        let at_first = [used("ann"), used("bob"), is_used(&store, &identifier(1000)).unwrap()];

        put(&store, User { username: Username::parse("bob").unwrap(), user_id: None, ..ann() }).await;
        let renamed = [used("ANN"), used("bob"), is_used(&store, &identifier(1000)).unwrap()];
        put(&store, User { username: Username::parse("BOB").unwrap(), user_id: None, ..ann() }).await;
        let in_another_case = used("bob");

        assert_eq!(at_first, [false, false, true]);
        assert_eq!(renamed, [true, false, true]);
        assert!(!in_another_case);
        assert_eq!(verify(&store, &mut |_| {}).unwrap().faults, Vec::<String>::new());
    }

    #[tokio::test]
    async fn verify_finds_missing_and_malformed_rows() {
        let engine = Arc::new(Memory::default());
        let store = Store::over(Arc::<Memory>::clone(&engine));
        store.initialise().await.unwrap();
        put(&store, ann()).await;
        let hash = hash_of(&identifier(1000), &key(&store).unwrap().unwrap());
        let faults = |changes: Changes| {
            engine.commit(&changes).unwrap();
            verify(&store, &mut |_| {}).unwrap().faults.join("; ")
        };

        let missing = faults(Changes::from([((Tree::UsedIdentifiers, hash.0.to_vec()), None)]));
        let senseless = faults(Changes::from([((Tree::UsedIdentifiers, vec![7]), Some(Vec::new()))]));
        let without_key = faults(Changes::from([((Tree::Meta, KEY_KEY.to_vec()), None)]));

        assert!(missing.contains("a `user_id` is missing in `used_identifiers`"), "{missing}");
        assert!(senseless.contains("a row of `used_identifiers` cannot be decoded"), "{senseless}");
        assert!(without_key.contains("the key of `used_identifiers` is missing"), "{without_key}");
    }
}
