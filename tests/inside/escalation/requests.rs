//! What an attacker may try.

use lodge::{
    domain::{Id, Scopes},
    service::Caller,
    store::Store,
};
use proptest::{bool::weighted, collection::vec, prelude::*, sample::Index};
use serde_json::{Map, Value, json};

use super::world::{PASSWORD, any_scopes, everything, listed};

/// One request with one of the credentials held.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which credential: of those whose scopes permit the request, or of all that are held.
    pub with: Index,
    pub chooses_fit: bool,
    /// On which of the records: of the caller's own, or of all that are there.
    target: Index,
    aims_at_own: bool,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    ListKeys,
    ShowKey,
    CreateKey(Wanted),
    UpdateKey(Wanted),
    DestroyKey,
    CreateUser(Map<String, Value>),
    UpdateUser(Map<String, Value>),
    DestroyUser,
    CreateConfiguration,
    UpdateConfiguration,
    DestroyConfiguration,
}

/// The scopes that a key is to have.
#[derive(Clone, Debug)]
enum Wanted {
    Unsaid,
    These(Scopes),
    /// Those of the caller's own whose bit is set.
    Own(u8),
}

pub fn any_attempt() -> impl Strategy<Value = Attempt> {
    let what = prop_oneof![
        1 => Just(What::ListKeys),
        1 => Just(What::ShowKey),
        3 => any_wanted().prop_map(What::CreateKey),
        4 => any_wanted().prop_map(What::UpdateKey),
        2 => Just(What::DestroyKey),
        2 => any_members().prop_map(What::CreateUser),
        4 => any_members().prop_map(What::UpdateUser),
        1 => Just(What::DestroyUser),
        1 => Just(What::CreateConfiguration),
        1 => Just(What::UpdateConfiguration),
        1 => Just(What::DestroyConfiguration),
    ];
    let attempt = (any::<Index>(), weighted(0.9), any::<Index>(), weighted(0.8), what);
    attempt.prop_map(|(with, chooses_fit, target, aims_at_own, what)| Attempt {
        with,
        chooses_fit,
        target,
        aims_at_own,
        what,
    })
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        1 => Just(Wanted::Unsaid),
        2 => any_scopes().prop_map(Wanted::These),
        3 => any::<u8>().prop_map(Wanted::Own),
    ]
}

/// One or two members of an account: most rules are about a single one.
fn any_members() -> impl Strategy<Value = Map<String, Value>> {
    let id = || prop_oneof![Just(json!(0)), Just(json!(1)), Just(Value::Null)];
    let member = prop_oneof![
        Just(("email", json!("a@b"))),
        Just(("username", json!("eve"))),
        Just(("password", json!(PASSWORD))),
        Just(("is_admin", json!(true))),
        Just(("is_admin", json!(false))),
        id().prop_map(|id| ("user_id", id)),
        id().prop_map(|id| ("group_id", id)),
    ];
    vec(member, 0..3).prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Attempt {
    /// The scope of the request.
    pub fn scope(&self) -> (&'static str, &'static str) {
        match &self.what {
            What::ListKeys => ("api_keys", "index"),
            What::ShowKey => ("api_keys", "show"),
            What::CreateKey(_) => ("api_keys", "create"),
            What::UpdateKey(_) => ("api_keys", "update"),
            What::DestroyKey => ("api_keys", "destroy"),
            What::CreateUser(_) => ("users", "create"),
            What::UpdateUser(_) => ("users", "update"),
            What::DestroyUser => ("users", "destroy"),
            What::CreateConfiguration => ("configurations", "create"),
            What::UpdateConfiguration => ("configurations", "update"),
            What::DestroyConfiguration => ("configurations", "destroy"),
        }
    }

    /// Method, path below `/api/v2`, and body, as `caller` makes it.
    pub fn request(&self, store: &Store, by: &Caller) -> (&'static str, String, Value) {
        let (users, configurations, api_keys) = everything(store);
        let caller = by.user.id;
        let user = || format!("/users/{}", self.target.get(&users).id);
        let key = || self.one_of(api_keys.iter().map(|key| (key.owner, key.id)), caller, "api_keys");
        let configuration = || {
            let all = configurations.iter().map(|configuration| (configuration.owner, configuration.id));
            self.one_of(all, caller, "configurations")
        };
        let (keys, settings) = ("/users/me/api_keys".to_owned(), "/users/me/configurations".to_owned());
        match &self.what {
            What::ListKeys => ("GET", keys, Value::Null),
            What::ShowKey => ("GET", key(), Value::Null),
            What::CreateKey(scopes) => ("POST", keys, scoped(scopes, by)),
            What::UpdateKey(scopes) => ("PUT", key(), scoped(scopes, by)),
            What::DestroyKey => ("DELETE", key(), Value::Null),
            What::CreateUser(members) => ("POST", "/users".to_owned(), newcomer(members, users.len())),
            What::UpdateUser(members) => ("PUT", user(), Value::Object(members.clone())),
            What::DestroyUser => ("DELETE", user(), Value::Null),
            What::CreateConfiguration => ("POST", settings, json!({"key": format!("k{}", configurations.len())})),
            What::UpdateConfiguration => ("PUT", configuration(), json!({"value": "light"})),
            What::DestroyConfiguration => ("DELETE", configuration(), Value::Null),
        }
    }

    /// The path of one record, given the owner and the id of each.
    fn one_of(&self, all: impl Iterator<Item = (Id, Id)>, caller: Id, collection: &str) -> String {
        let aimed = all.filter(|(owner, _)| *owner == caller || !self.aims_at_own).map(|(_, id)| id);
        let aimed: Vec<_> = aimed.collect();
        let id = if aimed.is_empty() { Id::LAST } else { *self.target.get(&aimed) };
        format!("/users/me/{collection}/{id}")
    }
}

fn scoped(wanted: &Wanted, by: &Caller) -> Value {
    let scopes = match wanted {
        Wanted::Unsaid => return json!({"name": "mine"}),
        Wanted::These(scopes) => scopes.clone(),
        Wanted::Own(mask) => {
            let own = by.api_key().into_iter().flat_map(|key| key.scopes.iter());
            let chosen = own.enumerate().filter(|(place, _)| mask & (1 << (place % 8)) != 0);
            Scopes::new(chosen.map(|(_, scope)| scope.clone()).collect()).unwrap()
        }
    };
    json!({"api_key_scopes": listed(&scopes)})
}

fn newcomer(members: &Map<String, Value>, number: usize) -> Value {
    let mut newcomer = members.clone();
    newcomer.insert("username".to_owned(), json!(format!("fresh{number}")));
    newcomer.insert("password".to_owned(), json!(PASSWORD));
    Value::Object(newcomer)
}
