//! What a store remembers of another one, and of the accounts that it had before it remembered anything.

use super::{hash_in, key};
use crate::{
    domain::{AccountIdentifier, Page, User},
    store::{
        Store, StoreError, Tables,
        engine::{KeyRange, Tree},
        table::{Record, read_rows},
        txn::Txn,
    },
};

/// How many identifiers are copied in one write.
const BATCH: usize = 10_000;

/// Copies the used identifiers of one store to another: its hashes, if both have the same key, and the identifiers of
/// its accounts.
///
/// # Errors
/// [`StoreError`] if the one cannot be read or the other cannot be written.
pub async fn carry_over(from: &Store, to: &Store) -> Result<(), StoreError> {
    if key(from)? == key(to)? {
        carry_hashes_over(from, to).await?;
    }
    for_each_page(from, async |users| {
        let remember = move |txn: &mut Txn<'_>| users.iter().try_for_each(|user| txn.remember_unless_there(user));
        to.write(remember).await
    })
    .await
}

async fn carry_hashes_over(from: &Store, to: &Store) -> Result<(), StoreError> {
    let mut begin = Vec::new();
    loop {
        let range = KeyRange { from: begin, to: None };
        let hashes = read_rows(from, Tree::UsedIdentifiers, &range, BATCH, |key, _| hash_in(key))?;
        let Some(last) = hashes.last() else { return Ok(()) };
        begin = [&last.0[..], &[0]].concat();
        to.write(move |txn| hashes.into_iter().try_for_each(|hash| txn.remember_hash(hash))).await?;
    }
}

/// Records the identifiers of the accounts in a store of an older format.
pub(in crate::store) async fn remember_given(store: &Store) -> Result<(), StoreError> {
    for_each_page(store, async |users| {
        let remember = move |txn: &mut Txn<'_>| {
            let mut given = users.iter().flat_map(Record::given);
            given.try_for_each(|identifier| txn.remember(&identifier))?;
            users.iter().try_for_each(|user| txn.list_system_user(user))
        };
        store.write(remember).await
    })
    .await
}

async fn for_each_page(
    store: &Store,
    mut work: impl AsyncFnMut(Vec<User>) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut offset = 0;
    loop {
        let users = store.users(Page::new(Some(u64::MAX), Some(offset)))?.records;
        if users.is_empty() {
            return Ok(());
        }
        offset += users.len() as u64;
        work(users).await?;
    }
}

impl Txn<'_> {
    /// Records the identifiers of an account of another store, except for a name that an account has here.
    fn remember_unless_there(&mut self, user: &User) -> Result<(), StoreError> {
        user.given().iter().try_for_each(|identifier| self.remember(identifier))?;
        if self.user_by_username(&user.username.folded())?.is_some() {
            return Ok(());
        }
        self.remember(&AccountIdentifier::of_name(&user.username))
    }
}
