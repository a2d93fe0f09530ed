//! Configurations of the administrator that were acknowledged, to be found again.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::{
    damage::damages::Random,
    harness::{Client, Request, Server},
};

/// How many configurations there are at most.
const MAX_KEYS: usize = 300;

/// What has been written so far.
#[derive(Default)]
pub struct Values {
    acknowledged: BTreeMap<String, String>,
    /// A write without an answer: the key and the value, `None` for a removal.
    doubted: Option<(String, Option<String>)>,
    count: usize,
    name: &'static str,
}

impl Values {
    /// Values with keys of their own.
    pub fn named(name: &'static str) -> Self {
        Self { name, ..Self::default() }
    }

    /// Creates, changes or removes one configuration; `false` if the server does not answer.
    pub fn write(&mut self, client: &Client, random: &mut Random, bytes: usize) -> bool {
        self.count += 1;
        let value = format!("{} ", self.count).repeat(1 + random.below(1 + bytes / 4));
        let known: Vec<_> = self.acknowledged.keys().cloned().collect();
        let kind = match known.len() {
            0 => 0,
            // There may be 1,000 of them.
            count => {
                if count < MAX_KEYS {
                    random.below(10)
                } else {
                    6 + random.below(4)
                }
            }
        };
        let (key, value, answered) = match kind {
            0..=5 => {
                let key = format!("key-{}{}", self.name, self.count);
                let body = json!({"key": key, "value": value});
                let request = Request::new("POST", "/users/me/configurations").json(&body);
                (key, Some(value), client.try_send(&request))
            }
            6..=8 => {
                let key = known[random.below(known.len())].clone();
                let request =
                    Request::new("PUT", &format!("/users/me/configurations/{key}")).json(&json!({"value": value}));
                (key, Some(value), client.try_send(&request))
            }
            _ => {
                let key = known[random.below(known.len())].clone();
                let request = Request::new("DELETE", &format!("/users/me/configurations/{key}"));
                (key, None, client.try_send(&request))
            }
        };
        let Ok(reply) = answered else {
            self.doubted = Some((key, value));
            return false;
        };
        assert!(reply.status < 300, "{}", String::from_utf8_lossy(&reply.body));
        self.note(key, value);
        true
    }

    /// Fails unless the server has what was acknowledged; a write in doubt may be there or not.
    pub fn check(&mut self, server: &Server, what: &str) {
        let stored = stored(&server.admin());
        let is_stored = |(key, value): &(String, Option<String>)| stored.get(key) == value.as_ref();
        if let Some((key, value)) = self.doubted.take().filter(is_stored) {
            self.note(key, value);
        }
        let differs = |key: &&String| self.acknowledged.get(*key) != stored.get(*key);
        let keys: Vec<_> = self.acknowledged.keys().chain(stored.keys()).filter(differs).collect();
        assert!(keys.is_empty(), "{what}: {keys:?} are lost or changed; {}", server.log());
    }

    fn note(&mut self, key: String, value: Option<String>) {
        match value {
            Some(value) => self.acknowledged.insert(key, value),
            None => self.acknowledged.remove(&key),
        };
    }
}

fn stored(client: &Client) -> BTreeMap<String, String> {
    let mut stored = BTreeMap::new();
    loop {
        let path = format!("/users/me/configurations?limit=1000&offset={}", stored.len());
        let page = client.get(&path).expect(200).json();
        let records = page["configurations"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        stored.extend(records.iter().map(|record| (text(&record["key"]), text(&record["value"]))));
        if records.len() < 1000 {
            return stored;
        }
    }
}
