//! Stores with many users, made without HTTP.

use std::{path::Path, sync::Arc, time::Duration};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lodge::{
    auth::{Cost, Hasher, Realm, Rules},
    clock::Clock,
    domain::{
        ApiKey, Configuration, ConfigurationKey, ConfigurationValue, Id, PasswordHash, Scope, Scopes, User, Username,
    },
    secret::RootSecret,
    store::{Room, Sequence, Store, StoreError, Tables, Txn},
};

use super::server::{PASSWORD, Server};

/// How many users are written at once.
const BATCH: u32 = 1000;
/// One in so many users has a configuration and an API key.
const ONE_IN: u32 = 10;
/// How many of those keys and configurations are asked for.
const SAMPLES: u32 = 1000;

/// A data directory with many users, and whom to ask as.
pub struct Seeded {
    pub users: u32,
    pub data: std::path::PathBuf,
    /// `Authorization` of the administrator, by an API key with full access.
    pub admin: String,
    /// `Authorization` of some users, by API keys with full access.
    pub keys: Vec<String>,
}

/// `Authorization` of a user by name and password.
pub fn basic(username: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{PASSWORD}")))
}

/// Fills a new data directory with that many users, the administrator among them.
pub fn seed(directory: &Path, users: u32) -> Seeded {
    let data = directory.join(format!("users-{users}"));
    // Its first start makes the directory, the secret and the administrator.
    let mut server = Server::lodge(&data);
    let made = server.post(
        "/api/v2/users/me/api_keys",
        &basic("admin"),
        r#"{"api_key_scopes": [{"controller": "*", "action": "*"}]}"#,
    );
    assert_eq!(made.0, 201, "{}", made.1.body);
    let key: serde_json::Value = serde_json::from_str(&made.1.body).unwrap();
    let admin = format!("Bearer {}", key["key"].as_str().unwrap());
    server.stop();
    let keys = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(fill(&data, users));
    Seeded { users, data, admin, keys }
}

async fn fill(data: &Path, users: u32) -> Vec<String> {
    let secret = RootSecret::open(&data.join("secret"), false).unwrap();
    let store = Store::open(&data.join("store"), 256 << 20, Room::NONE).unwrap();
    let password = store.user(Id::new(1).unwrap()).unwrap().unwrap().password;
    let rules = Rules {
        session_lifetime: Duration::from_hours(1),
        password_shortest: 8,
        most_configurations: 1000,
        most_api_keys: 100,
        throttle_after: 0,
        initial_password_file: data.join("initial-admin-password"),
    };
    let realm = Arc::new(Realm::new(store.clone(), secret, Clock::system(), rules, Hasher::start(Cost::LEAST, 1)));
    let mut shown = Vec::new();
    let step = (users / ONE_IN / SAMPLES).max(1) * ONE_IN;
    for first in (2..=users).step_by(BATCH as usize) {
        let batch: Vec<_> = (first..(first + BATCH).min(users + 1)).collect();
        let mut records = Vec::with_capacity(batch.len());
        for number in batch {
            let owned = number.is_multiple_of(ONE_IN).then(|| owned(&realm, number));
            if let Some((_, _, key)) = owned.as_ref().filter(|_| number.is_multiple_of(step)) {
                shown.push(format!("Bearer {key}"));
            }
            records.push((user(number, &password), owned));
        }
        let put_all = move |txn: &mut Txn<'_>| {
            for (user, owned) in records {
                txn.set_sequence(Sequence::Users, u64::from(user.id.get()));
                txn.put(&user).unwrap();
                if let Some((configuration, api_key, _)) = owned {
                    txn.set_sequence(Sequence::Configurations, u64::from(configuration.id.get()));
                    txn.set_sequence(Sequence::ApiKeys, u64::from(api_key.id.get()));
                    txn.put(&configuration).unwrap();
                    txn.put(&api_key).unwrap();
                }
            }
            Ok::<_, StoreError>(())
        };
        store.write(put_all).await.unwrap();
    }
    store.settle();
    shown
}

fn user(number: u32, password: &PasswordHash) -> User {
    let now = Clock::system().now();
    User {
        id: Id::new(number).unwrap(),
        username: Username::parse(&format!("user-{number}")).unwrap(),
        password: password.clone(),
        email: None,
        user_id: None,
        group_id: None,
        is_admin: false,
        created_at: now,
        updated_at: now,
    }
}

fn owned(realm: &Realm, owner: u32) -> (Configuration, ApiKey, String) {
    let configuration = Configuration {
        id: Id::new(owner).unwrap(),
        owner: Id::new(owner).unwrap(),
        key: ConfigurationKey::parse("theme").unwrap(),
        value: ConfigurationValue::parse("dark").unwrap(),
    };
    let (identifier, key) = realm.new_key();
    let api_key = ApiKey {
        id: Id::new(owner).unwrap(),
        owner: Id::new(owner).unwrap(),
        identifier,
        digest: key.digest(),
        last_four: key.last_four(),
        name: None,
        scopes: Scopes::new(vec![Scope::parse("*", "*").unwrap()]).unwrap(),
        made_by: None,
        expires_at: None,
    };
    (configuration, api_key, key.expose().to_owned())
}
