//! A server over a store in memory, and what an attacker holds of it.

use lodge::{
    clock::Timestamp,
    domain::{
        ApiKey, Configuration, ConfigurationKey, ConfigurationValue, Id, PasswordHash, Scope, Scopes, SystemId, User,
        Username,
    },
    service::Caller,
    store::{Sequence, Store, Tables},
};
use proptest::{bool::weighted, collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};

use super::requests::{Attempt, attempted};
use crate::test_app::{NOW, TestApp, basic};

/// The accounts of the start, by id from 1 up: their names and whether they are administrators.
pub const ACCOUNTS: [(&str, bool); 4] = [("ann", true), ("ben", true), ("cleo", false), ("dan", false)];

/// The password that the attacker sets wherever one can be set.
pub const PASSWORD: &str = "a house with a view";

/// An API key that is there at the start.
#[derive(Clone, Debug)]
pub struct StartKey {
    owner: Id,
    scopes: Scopes,
    hours_left: Option<u64>,
    is_known: bool,
}

impl StartKey {
    /// A key that is held and permits everything.
    pub fn of_an_administrator() -> Self {
        let scopes = Scopes::new(vec![Scope::everything()]).unwrap();
        Self { owner: Id::new(1).unwrap(), scopes, hours_left: None, is_known: true }
    }
}

/// A credential that the attacker holds, as an `Authorization` header.
pub type Held = String;

/// The server and the attacker.
pub struct World {
    pub test_app: TestApp,
    pub held: Vec<Held>,
}

/// Names that the rules are about, a name that no operation has, and any.
const CONTROLLERS: [&str; 5] = ["users", "api_keys", "configurations", "files", "*"];
const ACTIONS: [&str; 6] = ["show", "create", "update", "destroy", "index", "*"];

fn any_scope() -> impl Strategy<Value = Scope> {
    let any = (select(&CONTROLLERS), select(&ACTIONS));
    let of_an_operation = select(attempted().map(|row| (row.controller, row.action)).collect::<Vec<_>>());
    // What the rules are about.
    let powerful = select(&[("api_keys", "*"), ("users", "*"), ("*", "update"), ("*", "create"), ("*", "destroy")]);
    prop_oneof![2 => any, 2 => powerful, 1 => of_an_operation]
        .prop_map(|(controller, action)| Scope::parse(controller, action).unwrap())
}

pub fn any_scopes() -> impl Strategy<Value = Scopes> {
    vec(any_scope(), 0..4).prop_map(|scopes| Scopes::new(scopes).unwrap())
}

pub fn any_start_key() -> impl Strategy<Value = StartKey> {
    // Most belong to one administrator and one standard user: rules are about keys of the same owner.
    let owner = select(&[1, 1, 1, 2, 3, 3, 3, 4]).prop_map(|id| Id::new(id).unwrap());
    let key = (owner, any_scopes(), option::of(1..4_u64), weighted(0.7));
    key.prop_map(|(owner, scopes, hours_left, is_known)| {
        // A key with full access of an administrator has every right to begin with.
        let is_everything = ACCOUNTS[owner.get() as usize - 1].1 && scopes.are_full_access();
        StartKey { owner, scopes, hours_left, is_known: is_known && !is_everything }
    })
}

impl World {
    /// The accounts, each with a configuration, and these keys.
    pub async fn build(keys: &[StartKey]) -> Self {
        let mut world = Self { test_app: TestApp::build().await, held: Vec::new() };
        world.add_accounts().await;
        for key in keys {
            world.add_key(key.clone()).await;
        }
        world
    }

    async fn add_accounts(&self) {
        for (username, is_admin) in ACCOUNTS {
            let write = self.test_app.store.write(move |txn| {
                let id = txn.next_id(Sequence::Users)?;
                txn.put(&account(id, username, is_admin))?;
                let configuration = Configuration {
                    id: txn.next_id(Sequence::Configurations)?,
                    owner: id,
                    key: ConfigurationKey::parse("theme").unwrap(),
                    value: ConfigurationValue::parse("dark").unwrap(),
                };
                txn.put(&configuration)
            });
            write.await.unwrap();
        }
    }

    async fn add_key(&mut self, key: StartKey) {
        let (identifier, text) = self.test_app.state.authenticator.api_keys.issue();
        let (digest, last_four) = (text.digest(), text.last_four());
        let expires_at = key.hours_left.map(|hours| Timestamp::from_secs(NOW.as_secs() + hours * 3600));
        let (owner, scopes) = (key.owner, key.scopes);
        let write = self.test_app.store.write(move |txn| {
            let id = txn.next_id(Sequence::ApiKeys)?;
            txn.put(&ApiKey {
                id,
                owner,
                identifier,
                digest,
                last_four,
                name: None,
                scopes,
                made_by: None,
                expires_at,
                allowed_networks: None,
                created_at: None,
                former_value: None,
            })
        });
        write.await.unwrap();
        if key.is_known {
            self.held.push(text.expose().to_owned());
        }
    }

    /// Makes the attempt with one of the credentials held, and keeps whatever credential the answer yields.
    pub async fn make(&mut self, attempt: Attempt) -> u16 {
        let Some((authorization, caller)) = self.choose(&attempt).await else { return 401 };
        let request = attempt.request(&self.test_app.store, &caller);
        let (status, answer) = self.test_app.send(Some(&authorization), &request).await;
        self.keep_keys(&answer);
        if status < 300 && request.2.get("password").is_some() {
            let username = answer["username"].as_str().unwrap();
            self.hold(basic(username, PASSWORD));
        }
        status
    }

    async fn choose(&self, attempt: &Attempt) -> Option<(Held, Caller)> {
        let (controller, action) = (attempt.operation.controller, attempt.operation.action);
        let mut callers = Vec::new();
        for held in &self.held {
            callers.extend(self.caller(held).await.map(|caller| (held.clone(), caller)));
        }
        if callers.iter().any(|(_, caller)| caller.permits(controller, action)) && attempt.chooses_fit {
            callers.retain(|(_, caller)| caller.permits(controller, action));
        }
        let chosen = (!callers.is_empty()).then(|| attempt.with.index(callers.len()));
        chosen.map(|chosen| callers.swap_remove(chosen))
    }

    fn keep_keys(&mut self, answer: &Value) {
        let single = std::slice::from_ref(answer);
        let listed = answer["api_keys"].as_array().map_or(single, Vec::as_slice);
        for key in listed.iter().filter_map(|key| key["key"].as_str()) {
            if key.starts_with("lodge_") && !key.contains('*') {
                self.hold(key.to_owned());
            }
        }
    }

    fn hold(&mut self, authorization: Held) {
        if !self.held.contains(&authorization) {
            self.held.push(authorization);
        }
    }

    /// Whom a credential that is held makes its holder, if it is good.
    pub async fn caller(&self, held: &Held) -> Option<Caller> {
        self.test_app.state.authenticate([held.as_bytes()].into_iter(), [127, 0, 0, 1].into()).await.ok()
    }
}

fn account(id: Id, username: &str, is_admin: bool) -> User {
    // No client has these passwords.
    let (username, password) = (Username::parse(username).unwrap(), PasswordHash::new("$scrypt$".to_owned()));
    User { user_id: SystemId::new(1000).ok(), is_admin, ..User::new(id, username, password, NOW) }
}

/// All accounts, configurations and keys that are there, those of fresh accounts too.
pub fn everything(store: &Store) -> (Vec<User>, Vec<Configuration>, Vec<ApiKey>) {
    let page = lodge::domain::Page::new(Some(1000), None);
    let users = store.users(page).unwrap().records;
    let configurations = users.iter().flat_map(|user| store.configurations(user.id, page).unwrap().records).collect();
    let api_keys = users.iter().flat_map(|user| store.api_keys(user.id, page).unwrap().records).collect();
    (users, configurations, api_keys)
}

/// Scopes as a request has them.
pub fn listed(scopes: &Scopes) -> Value {
    scopes.iter().map(|scope| json!({"controller": scope.controller(), "action": scope.action()})).collect()
}
