//! Data directories with many users, made without HTTP.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use lodge::{
    auth::{Cost, Hasher},
    clock::Clock,
    domain::Id,
    secret::RootSecret,
    service::{AppState, Policy, assertion_keys::AssertionPolicy},
    store::{DiskReserve, Store, Tables},
};

use super::{
    common::population::{ONE_IN, api_key, populate},
    server::{PASSWORD, Server},
};

/// How many of the users with keys and configurations are asked as.
const SAMPLES: u32 = 1000;

/// A data directory with many users, and whom to ask as.
pub struct Seeded {
    pub users: u32,
    pub data: PathBuf,
    /// `Authorization` of the administrator, by an API key with full access.
    pub admin: String,
    /// `Authorization` of some users, by API keys with full access.
    pub keys: Vec<String>,
}

/// `Authorization` of a user by name and password.
pub fn basic(username: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(format!("{username}:{PASSWORD}")))
}

/// Fills a new data directory with that many users, the administrator among them; with 1 there is nobody else.
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
    let store = Store::open(&data.join("store"), 256 << 20, DiskReserve::NONE).unwrap();
    let password = store.user(Id::new(1).unwrap()).unwrap().unwrap().password;
    let policy = Policy {
        session_lifetime: Duration::from_hours(1),
        min_password_bytes: 8,
        require_current_password: false,
        max_configurations: 1000,
        max_api_keys: 100,
        max_key_overlap: std::time::Duration::ZERO,
        user_socket_administrators: false,
        assertions: AssertionPolicy::default(),
        throttle_after: 0,
        initial_password_file: data.join("initial-admin-password"),
    };
    let state = Arc::new(AppState::new(store.clone(), secret, Clock::system(), policy, Hasher::start(Cost::LEAST, 1)));
    let mut shown = Vec::new();
    let step = (users / ONE_IN / SAMPLES).max(1) * ONE_IN;
    let make_key = |owner: u32| {
        let (identifier, key) = state.authenticator.api_keys.issue();
        if owner.is_multiple_of(step) {
            shown.push(format!("Bearer {}", key.expose()));
        }
        api_key(owner, identifier, key.digest(), key.last_four())
    };
    populate(&store, 2..=users, &password, make_key).await;
    shown
}
