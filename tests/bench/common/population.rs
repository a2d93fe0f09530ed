//! Stores with many users, some of whom have something.

use std::ops::RangeInclusive;

use lodge::{
    clock::Clock,
    domain::{
        ApiKey, Configuration, ConfigurationKey, ConfigurationValue, Id, KeyDigest, PasswordHash, Scope, Scopes, User,
        Username,
    },
    store::{Sequence, Store, StoreError, Txn},
};
use uuid::Uuid;

/// How many users are written at once.
const BATCH: usize = 1000;
/// One in so many users has a configuration and an API key, whose ids are the user's.
pub const ONE_IN: u32 = 10;
/// The key of every such configuration.
pub const KEY: &str = "theme";

/// Puts users of these ids into a store; `api_key` makes the keys of those who have one.
pub async fn populate(
    store: &Store,
    ids: RangeInclusive<u32>,
    password: &PasswordHash,
    mut api_key: impl FnMut(u32) -> ApiKey,
) {
    let ids: Vec<_> = ids.collect();
    for batch in ids.chunks(BATCH) {
        let people: Vec<_> = batch
            .iter()
            .map(|id| (user(*id, password), id.is_multiple_of(ONE_IN).then(|| (configuration(*id), api_key(*id)))))
            .collect();
        let put = move |txn: &mut Txn<'_>| {
            for (user, owned) in &people {
                put(txn, user, owned.as_ref());
            }
            Ok::<_, StoreError>(())
        };
        store.write(put).await.unwrap();
    }
    store.finish();
}

/// A key with full access.
pub fn api_key(owner: u32, identifier: Uuid, digest: KeyDigest, last_four: [u8; 4]) -> ApiKey {
    ApiKey {
        id: Id::new(owner).unwrap(),
        owner: Id::new(owner).unwrap(),
        identifier,
        digest,
        last_four,
        name: None,
        scopes: Scopes::new(vec![Scope::parse("*", "*").unwrap()]).unwrap(),
        made_by: None,
        expires_at: None,
        allowed_networks: None,
        created_at: None,
        former_value: None,
    }
}

fn put(txn: &mut Txn<'_>, user: &User, owned: Option<&(Configuration, ApiKey)>) {
    txn.set_sequence(Sequence::Users, u64::from(user.id.get()));
    txn.put(user).unwrap();
    if let Some((configuration, api_key)) = owned {
        txn.set_sequence(Sequence::Configurations, u64::from(configuration.id.get()));
        txn.set_sequence(Sequence::ApiKeys, u64::from(api_key.id.get()));
        txn.put(configuration).unwrap();
        txn.put(api_key).unwrap();
    }
}

fn user(id: u32, password: &PasswordHash) -> User {
    let username = Username::parse(&format!("user-{id}")).unwrap();
    User::new(Id::new(id).unwrap(), username, password.clone(), Clock::system().now())
}

fn configuration(owner: u32) -> Configuration {
    Configuration {
        id: Id::new(owner).unwrap(),
        owner: Id::new(owner).unwrap(),
        key: ConfigurationKey::parse(KEY).unwrap(),
        value: ConfigurationValue::parse("dark").unwrap(),
    }
}
