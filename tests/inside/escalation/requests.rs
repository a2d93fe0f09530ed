//! What an attacker may attempt: every operation of the table but the [`EXCEPTIONS`].

use std::time::Duration;

use lodge::{
    api::operations::{Admits, Operation, public_operations},
    domain::{Id, Scopes},
    service::Caller,
    store::Store,
};
use proptest::{bool::weighted, collection::vec, prelude::*, sample::Index, strategy::Union};
use serde_json::{Map, Value, json};

use crate::test_app::NOW;

use super::world::{PASSWORD, any_scopes, everything, listed};

/// The operations that the attacker leaves out, each with the reason.
pub const EXCEPTIONS: [(&str, &str); 5] = [
    (
        "sign_in",
        "the attacker sends each password that it has set with the request instead: both yield the same rights",
    ),
    ("destroy_own_session", "no user signs in, so there is none"),
    ("destroy_user_session", "no user signs in, so there is none"),
    ("index_system_users", "reads the host's user database and nothing of the store"),
    ("index_system_groups", "reads the host's group database and nothing of the store"),
];

/// One request with one of the credentials held.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// Which credential: of those whose scopes permit the request, or of all that are held.
    pub with: Index,
    pub chooses_fit: bool,
    pub operation: &'static Operation,
    /// On which of the records: of the caller's own, or of all that are there.
    target: Index,
    aims_at_own: bool,
    scopes: Wanted,
    /// Chooses an end or an overlap.
    hours: u8,
    members: Map<String, Value>,
}

/// The scopes that a key is to have.
#[derive(Clone, Debug)]
enum Wanted {
    Omitted,
    These(Scopes),
    /// Those of the caller's own whose bit is set.
    Own(u8),
}

pub fn any_attempt() -> impl Strategy<Value = Attempt> {
    let attempt = (
        any::<Index>(),
        weighted(0.9),
        any_operation(),
        any::<Index>(),
        weighted(0.8),
        any_wanted(),
        0..9_u8,
        any_members(),
    );
    attempt.prop_map(|(with, chooses_fit, operation, target, aims_at_own, scopes, hours, members)| Attempt {
        with,
        chooses_fit,
        operation,
        target,
        aims_at_own,
        scopes,
        hours,
        members,
    })
}

/// An attempt at this operation on a record of the caller's own.
pub fn attempt_at(operation: &'static Operation) -> impl Strategy<Value = Attempt> {
    any_attempt().prop_map(move |attempt| Attempt { operation, aims_at_own: true, ..attempt })
}

/// The operations that are attempted.
pub fn attempted() -> impl Iterator<Item = &'static Operation> {
    public_operations().filter(|row| EXCEPTIONS.iter().all(|(id, _)| *id != row.id))
}

/// Those that change accounts and keys most often.
fn any_operation() -> impl Strategy<Value = &'static Operation> {
    let weight = |row: &Operation| match row.id {
        "update_api_key" | "update_user" => 5,
        "create_api_key" | "create_user" | "rotate_api_key" => 4,
        "create_user_api_key" | "update_user_api_key" => 3,
        "destroy_api_key" | "destroy_api_key_former_value" => 2,
        _ => 1,
    };
    Union::new_weighted(attempted().map(|row| (weight(row), Just(row))).collect())
}

fn any_wanted() -> impl Strategy<Value = Wanted> {
    prop_oneof![
        1 => Just(Wanted::Omitted),
        2 => any_scopes().prop_map(Wanted::These),
        3 => any::<u8>().prop_map(Wanted::Own),
    ]
}

/// One or two members of an account: most rules are about a single one.
fn any_members() -> impl Strategy<Value = Map<String, Value>> {
    let id = || prop_oneof![Just(json!(0)), Just(json!(999)), Just(json!(1000)), Just(json!(1001)), Just(Value::Null)];
    let member = prop_oneof![
        Just(("email", json!("a@b"))),
        Just(("username", json!("eve"))),
        Just(("username", json!("Dan"))),
        Just(("password", json!(PASSWORD))),
        Just(("is_admin", json!(true))),
        Just(("is_admin", json!(false))),
        id().prop_map(|id| ("user_id", id)),
        id().prop_map(|id| ("group_id", id)),
    ];
    vec(member, 0..3).prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

impl Attempt {
    /// Method, path below `/api/v2`, and body, as `caller` makes it.
    pub fn request(&self, store: &Store, by: &Caller) -> (&'static str, String, Value) {
        (self.operation.method.as_str(), self.path(store, by.user.id), self.body(store, by))
    }

    fn path(&self, store: &Store, caller: Id) -> String {
        let path = self.operation.path;
        if self.operation.admits == Admits::Forwarded {
            return format!("{path}?scope=any");
        }
        let Some(parameter) = path.split(['{', '}']).skip(1).step_by(2).last() else { return path.to_owned() };
        let (users, configurations, api_keys) = everything(store);
        let names_owner = path.contains("{user_id}/");
        let (owner, id) = match parameter {
            "user_id" => (self.target.get(&users).id, self.target.get(&users).id),
            "api_key_id" => self.one_of(api_keys.iter().map(|key| (key.owner, key.id)), caller, names_owner),
            "configuration_id" => {
                self.one_of(configurations.iter().map(|record| (record.owner, record.id)), caller, names_owner)
            }
            other => panic!("{} has a parameter unknown to this test: {other}", self.operation.id),
        };
        path.replace("{user_id}", &owner.to_string()).replace(&format!("{{{parameter}}}"), &id.to_string())
    }

    fn body(&self, store: &Store, by: &Caller) -> Value {
        match (self.operation.method.as_str(), self.operation.id) {
            ("GET" | "DELETE", _) | (_, "create_assertion") => Value::Null,
            (_, "introspect") => json!("token=a.b.c"),
            (_, "create_api_key" | "update_api_key" | "create_user_api_key" | "update_user_api_key") => {
                self.with_end(scoped(&self.scopes, by))
            }
            (_, "rotate_api_key" | "rotate_user_api_key") => json!({"overlap": 3600 * u64::from(self.hours % 3)}),
            (_, "create_user") => newcomer(&self.members, everything(store).0.len()),
            (_, "update_user") => Value::Object(self.members.clone()),
            (_, "create_configuration" | "create_user_configuration") => {
                json!({"key": format!("k{}", everything(store).1.len())})
            }
            (_, "update_configuration" | "update_user_configuration") => json!({"value": "light"}),
            (_, other) => panic!("{other} needs a body here, or a reason among the exceptions"),
        }
    }

    /// The body of a key, of which one in two names an end, or none for ever.
    fn with_end(&self, mut body: Value) -> Value {
        if let Some(hours) = self.hours.checked_sub(4) {
            let end = (hours < 4).then(|| NOW.after(Duration::from_hours(hours.into())).to_string());
            body["expires_at"] = json!(end);
        }
        body
    }

    /// One record and its owner, given the owner and the id of each; [`Id::LAST`] if none fits.
    fn one_of(&self, all: impl Iterator<Item = (Id, Id)>, caller: Id, names_owner: bool) -> (Id, Id) {
        let is_aimed_at = |owner: Id| names_owner || owner == caller || !self.aims_at_own;
        let aimed: Vec<_> = all.filter(|(owner, _)| is_aimed_at(*owner)).collect();
        if aimed.is_empty() { (Id::LAST, Id::LAST) } else { *self.target.get(&aimed) }
    }
}

fn scoped(wanted: &Wanted, by: &Caller) -> Value {
    let scopes = match wanted {
        Wanted::Omitted => return json!({"name": "mine"}),
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
    newcomer.entry("username").or_insert_with(|| json!(format!("fresh{number}")));
    newcomer.insert("password".to_owned(), json!(PASSWORD));
    Value::Object(newcomer)
}
