//! A client that writes until the server is killed, and records which writes were acknowledged.

use std::collections::BTreeMap;

use serde_json::{Value as Json, json};

use super::holdings::{Action, Holdings, Person, Value};
use crate::harness::{Client, Reply, Request, Server, basic, password_of, random_below};

/// How many of each a writer keeps; beyond that it removes.
const MAX_CONFIGURATIONS: usize = 20;
const MAX_API_KEYS: usize = 6;
const MAX_PEOPLE: usize = 4;
/// How many of the credentials that ended last are tried again.
const MAX_ENDED: usize = 12;
/// Lengths of values: in a row of the store, at the edge of one, and of the largest kind.
const DIGITS: [usize; 4] = [20, 200, 9_000, 65_536];

/// An administrator who holds something.
pub struct Writer {
    pub name: String,
    pub held: Holdings,
    /// What was asked when the server was killed, and may have been done.
    pub unanswered: Option<Action>,
    /// The ids of people and of keys, by their names.
    ids: BTreeMap<String, u64>,
    /// The keys themselves, by their names.
    keys: BTreeMap<String, String>,
    /// The `Authorization` headers that are worth nothing any more.
    ended: Vec<String>,
    last_ids: BTreeMap<&'static str, u64>,
    written: u64,
}

fn one_of<K: Clone, V>(held: &BTreeMap<K, V>) -> Option<K> {
    let position = random_below(held.len().max(1));
    held.keys().nth(position).cloned()
}

impl Writer {
    /// An administrator of that name, who is made.
    pub fn new(server: &Server, name: &str) -> Self {
        let body = json!({"username": name, "password": password_of(name), "is_admin": true});
        server.admin().post("/users", &body).expect(201);
        Self {
            name: name.to_owned(),
            held: Holdings::default(),
            unanswered: None,
            ids: BTreeMap::new(),
            keys: BTreeMap::new(),
            ended: Vec::new(),
            last_ids: BTreeMap::new(),
            written: 0,
        }
    }

    pub fn client(&self, server: &Server) -> Client {
        server.with(&basic(&self.name, &password_of(&self.name)))
    }

    /// Does one random thing; `false` if the server did not answer.
    pub fn write(&mut self, server: &Server) -> bool {
        let action = self.next_action();
        let (client, request) = self.request(server, &action);
        let Some(reply) = client.try_send(&request).ok().filter(Reply::is_whole) else {
            self.unanswered = Some(action);
            return false;
        };
        assert!((200..300).contains(&reply.status), "{action:?}: {} {}", reply.status, reply.text());
        self.acknowledge(&action, &reply);
        true
    }

    fn next_action(&mut self) -> Action {
        self.written += 1;
        let new = format!("{}-{}", self.name, self.written);
        let value = Value { number: self.written, digits: DIGITS[random_below(DIGITS.len())] };
        let configuration = one_of(&self.held.configurations);
        let api_key = one_of(&self.held.api_keys);
        let person = one_of(&self.held.people);
        match (random_below(16), configuration, api_key, person) {
            (0, Some(key), ..) => Action::Rename { key, to: format!("{new}/renamed"), value },
            (1 | 2, Some(key), ..) => Action::Change { key, value },
            (3, Some(key), ..) => Action::Unset { key },
            (0..=4, Some(key), ..) if self.held.configurations.len() >= MAX_CONFIGURATIONS => Action::Unset { key },
            (5, _, Some(name), _) => Action::ChangeKey { name, controller: format!("c{}", self.written) },
            (6, _, Some(name), _) => Action::RemoveKey { name },
            (5..=7, _, Some(name), _) if self.held.api_keys.len() >= MAX_API_KEYS => Action::RemoveKey { name },
            (5..=7, ..) => Action::MakeKey { name: new, controller: "users".to_owned() },
            (8, _, _, Some(name)) => Action::ChangeEmail { name, email: format!("{new}@example.org") },
            (9, _, _, Some(name)) => Action::ChangePassword { name, password: format!("changed by {new}") },
            (10, _, _, Some(name)) => Action::RemovePerson { name },
            (11 | 12, _, _, Some(name)) => Action::SetForPerson { name, key: new, value },
            (13 | 14, _, _, Some(name)) if self.held.people[&name].token.is_some() => Action::SignOut { name },
            (13 | 14, _, _, Some(name)) => Action::SignIn { name },
            (15, _, _, Some(name)) if self.held.people.len() >= MAX_PEOPLE => Action::RemovePerson { name },
            (8..=15, ..) => Action::MakePerson { password: password_of(&new), name: new },
            _ => Action::Set { key: new, value },
        }
    }

    fn request(&self, server: &Server, action: &Action) -> (Client, Request) {
        let own = |request| (self.client(server), request);
        let put = |kind: &str, name: &str, body: Json| {
            own(Request::new("PUT", &format!("{kind}/{}", self.ids[name])).json(&body))
        };
        let delete = |kind: &str, name: &str| own(Request::new("DELETE", &format!("{kind}/{}", self.ids[name])));
        match action {
            Action::Set { key, value } => own(set(key, *value)),
            Action::Change { key, value } => own(configuration("PUT", key).json(&json!({"value": value.text()}))),
            Action::Rename { key, to, value } => {
                own(configuration("PUT", key).json(&json!({"key": to, "value": value.text()})))
            }
            Action::Unset { key } => own(configuration("DELETE", key)),
            Action::MakeKey { name, controller } => {
                own(Request::new("POST", KEYS).json(&json!({"name": name, "api_key_scopes": scopes(controller)})))
            }
            Action::ChangeKey { name, controller } => put(KEYS, name, json!({"api_key_scopes": scopes(controller)})),
            Action::RemoveKey { name } => delete(KEYS, name),
            Action::MakePerson { name, password } => {
                own(Request::new("POST", USERS).json(&json!({"username": name, "password": password})))
            }
            Action::ChangeEmail { name, email } => put(USERS, name, json!({"email": email})),
            Action::ChangePassword { name, password } => put(USERS, name, json!({"password": password})),
            Action::RemovePerson { name } => delete(USERS, name),
            Action::SetForPerson { name, key, value } => (server.with(&self.password(name)), set(key, *value)),
            Action::SignIn { name } => {
                let body = json!({"user": {"username": name, "password": self.held.people[name].password}});
                (server.anonymous(), Request::new("POST", "/users/sign_in").json(&body))
            }
            Action::SignOut { name } => {
                let token = self.held.people[name].token.as_ref().expect("who signs out is signed in");
                (server.with(token), Request::new("DELETE", "/users/sign_out"))
            }
        }
    }

    /// The `Authorization` header of a person, by password.
    fn password(&self, name: &str) -> String {
        basic(name, &self.held.people[name].password)
    }

    fn acknowledge(&mut self, action: &Action, reply: &Reply) {
        self.take_over(action);
        match action {
            Action::Set { .. } | Action::SetForPerson { .. } => drop(self.new_id("configurations", reply)),
            Action::MakeKey { name, .. } => {
                let id = self.new_id("api keys", reply);
                self.ids.insert(name.clone(), id);
                self.keys.insert(name.clone(), reply.json()["key"].as_str().unwrap().to_owned());
            }
            Action::MakePerson { name, .. } => {
                let id = self.new_id("users", reply);
                self.ids.insert(name.clone(), id);
            }
            Action::SignIn { name } => {
                self.held.person(name).token = Some(reply.header("authorization").unwrap().to_owned());
            }
            _ => {}
        }
    }

    /// The id in the reply, which is higher than all earlier ones of that kind that this writer got.
    fn new_id(&mut self, kind: &'static str, reply: &Reply) -> u64 {
        let last = self.last_ids.insert(kind, reply.id()).unwrap_or_default();
        assert!(reply.id() > last, "{kind}: {} after {last}", reply.id());
        reply.id()
    }

    /// Counts the action as done: what is held by it, and which credentials it ended.
    fn take_over(&mut self, action: &Action) {
        match action {
            Action::RemoveKey { name } => self.ended.extend(self.keys.remove(name)),
            Action::ChangePassword { name, .. } | Action::RemovePerson { name } => {
                self.ended.push(self.password(name));
                self.ended.extend(self.held.people[name].token.clone());
            }
            Action::SignOut { name } => self.ended.extend(self.held.people[name].token.clone()),
            _ => {}
        }
        self.ended.drain(..self.ended.len().saturating_sub(MAX_ENDED));
        self.held = self.held.after(action);
    }

    /// Compares what the server has with what it has acknowledged; the unanswered write may be there, but whole.
    pub fn settle(&mut self, server: &Server) {
        let unanswered = self.unanswered.take();
        let mut seen = self.seen(server);
        if let Some(action) = unanswered.as_ref().filter(|_| seen != self.held) {
            self.take_over(action);
            seen = self.seen(server);
        }
        assert_eq!(seen, self.held, "with or without {unanswered:?}");
        for credential in &self.ended {
            assert_eq!(ask(&server.with(credential), "/users/me").status, 401, "{} {unanswered:?}", self.name);
        }
    }

    /// What the server has of this writer's, as far as the held credentials can read it.
    fn seen(&mut self, server: &Server) -> Holdings {
        let client = self.client(server);
        let mut seen = Holdings { configurations: configurations_of(&client), ..Holdings::default() };
        for item in items(&client, KEYS, "api_keys") {
            let (name, controller) = self.seen_key(server, &item);
            seen.api_keys.insert(name, controller);
        }
        for item in items(&client, USERS, "users") {
            if text(&item, "username").starts_with(&format!("{}-", self.name)) {
                let (name, person) = self.seen_person(server, &item);
                seen.people.insert(name, person);
            }
        }
        seen
    }

    fn seen_key(&mut self, server: &Server, item: &Json) -> (String, String) {
        let (name, key, id) = (text(item, "name"), text(item, "key"), item["id"].as_u64().unwrap());
        assert_eq!(self.keys.entry(name.clone()).or_insert_with(|| key.clone()), &key);
        assert_eq!(*self.ids.entry(name.clone()).or_insert(id), id);
        assert_ne!(ask(&server.with(&key), USERS).status, 401, "{name}");
        let whole = ask(&self.client(server), &format!("{KEYS}/{id}")).expect(200).json();
        (name, text(&whole["api_key_scopes"][0], "controller"))
    }

    fn seen_person(&mut self, server: &Server, item: &Json) -> (String, Person) {
        let (name, id) = (text(item, "username"), item["id"].as_u64().unwrap());
        assert_eq!(*self.ids.entry(name.clone()).or_insert(id), id);
        let email = item["email"].as_str().map(str::to_owned);
        let admitted = |credential: &str| ask(&server.with(credential), "/users/me").status == 200;
        let Some(held) = self.held.people.get(&name) else {
            let nobody = Person { password: String::new(), email, configurations: BTreeMap::new(), token: None };
            return (name, nobody);
        };
        let token = held.token.clone().filter(|token| admitted(token));
        let by_password = basic(&name, &held.password);
        if !admitted(&by_password) {
            let other = Person { password: "another".to_owned(), email, configurations: BTreeMap::new(), token };
            return (name, other);
        }
        let configurations = configurations_of(&server.with(&by_password));
        let password = held.password.clone();
        (name, Person { password, email, configurations, token })
    }
}

const KEYS: &str = "/users/me/api_keys";
const USERS: &str = "/users";
const CONFIGURATIONS: &str = "/users/me/configurations";

fn set(key: &str, value: Value) -> Request {
    Request::new("POST", CONFIGURATIONS).json(&json!({"key": key, "value": value.text()}))
}

/// A request about a configuration, which it names by its key.
fn configuration(method: &str, key: &str) -> Request {
    Request::new(method, &format!("{CONFIGURATIONS}/{}", key.replace('/', "%2F")))
}

fn scopes(controller: &str) -> Json {
    json!([{"controller": controller, "action": "index"}])
}

fn ask(client: &Client, path: &str) -> Reply {
    client.try_send(&Request::new("GET", path)).unwrap()
}

fn items(client: &Client, path: &str, collection: &str) -> Vec<Json> {
    let list = ask(client, &format!("{path}?limit=1000")).expect(200).json();
    let items = list[collection].as_array().unwrap().clone();
    assert_eq!(list["count"], items.len());
    items
}

fn text(item: &Json, member: &str) -> String {
    item[member].as_str().unwrap_or_else(|| panic!("no {member} in {item}")).to_owned()
}

fn configurations_of(client: &Client) -> BTreeMap<String, Value> {
    let items = items(client, CONFIGURATIONS, "configurations");
    items.iter().map(|item| (text(item, "key"), Value::read(&text(item, "value")))).collect()
}
