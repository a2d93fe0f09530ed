//! A client that writes configurations and records which writes were acknowledged.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

use crate::harness::{Client, Reply, Request, random_below};

const CONFIGURATIONS: &str = "/users/me/configurations";
/// How many configurations a writer has at most.
const MAX_KEYS: usize = 16;
/// Lengths of values: in a row of the store, at the edge of one, and the largest.
const DIGITS: [usize; 4] = [20, 200, 9_000, 65_536];
/// What is answered once the storage has failed.
pub const FAILED: &str = "The store has failed; nothing can be changed any more.";

/// One who writes; several may be one and the same user.
pub struct Writer {
    name: String,
    written: usize,
    /// The number of the value of each configuration.
    held: BTreeMap<String, usize>,
    /// What a configuration may be besides, `None` for not there, because the write of it was not acknowledged.
    doubtful: BTreeMap<String, BTreeSet<Option<usize>>>,
    /// The configuration that was written last, and what was held of it before.
    last: Option<(String, Option<usize>)>,
}

/// What became of one write.
#[derive(Debug)]
pub enum WriteOutcome {
    Acknowledged,
    Refused(Reply),
    Unanswered,
}

impl Writer {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), written: 0, held: BTreeMap::new(), doubtful: BTreeMap::new(), last: None }
    }

    /// Makes, changes or removes a configuration.
    pub fn write(&mut self, client: &Client) -> WriteOutcome {
        self.written += 1;
        let key = format!("{}-{}", self.name, random_below(MAX_KEYS));
        let is_there = self.held.contains_key(&key);
        if is_there && random_below(8) == 0 {
            return self.send(client, &Request::new("DELETE", &format!("{CONFIGURATIONS}/{key}")), key, None);
        }
        let value = value(self.written);
        let request = if is_there {
            Request::new("PUT", &format!("{CONFIGURATIONS}/{key}")).json(&json!({"value": value}))
        } else {
            Request::new("POST", CONFIGURATIONS).json(&json!({"key": key, "value": value}))
        };
        self.send(client, &request, key, Some(self.written))
    }

    fn send(&mut self, client: &Client, request: &Request, key: String, number: Option<usize>) -> WriteOutcome {
        let Some(reply) = client.try_send(request).ok().filter(Reply::is_whole) else {
            self.doubtful.entry(key).or_default().insert(number);
            return WriteOutcome::Unanswered;
        };
        if !(200..300).contains(&reply.status) {
            self.doubtful.entry(key).or_default().insert(number);
            return WriteOutcome::Refused(reply);
        }
        self.doubtful.remove(&key);
        let before = match number {
            Some(number) => self.held.insert(key.clone(), number),
            None => self.held.remove(&key),
        };
        self.last = Some((key, before));
        WriteOutcome::Acknowledged
    }

    /// Takes the last acknowledgement for one that nobody heard: the write of it may be there or not.
    pub fn doubt_last(&mut self) {
        if let Some((key, before)) = self.last.take() {
            self.doubtful.entry(key).or_default().insert(before);
        }
    }

    /// What of the acknowledged is not there as it should be, a sentence each; the rest is what is held from now on.
    pub fn settle(&mut self, stored: &BTreeMap<String, String>) -> Vec<String> {
        let prefix = format!("{}-", self.name);
        let keys: BTreeSet<_> = stored.keys().filter(|key| key.starts_with(&prefix)).chain(self.held.keys()).collect();
        let lost = keys.into_iter().filter_map(|key| self.difference(key, stored.get(key))).collect();
        let mine = stored.iter().filter(|(key, _)| key.starts_with(&prefix));
        self.held = mine.map(|(key, value)| (key.clone(), number(value).unwrap_or_default())).collect();
        self.doubtful.clear();
        lost
    }

    fn difference(&self, key: &str, stored: Option<&String>) -> Option<String> {
        let held = self.held.get(key).copied();
        let found = stored.map(|text| number(text));
        let is_right = |expected: Option<usize>| found == expected.map(Some);
        let doubts = self.doubtful.get(key);
        let is_one = is_right(held) || doubts.is_some_and(|doubts| doubts.iter().any(|doubt| is_right(*doubt)));
        (!is_one).then(|| format!("{key} is {found:?}; {held:?} was acknowledged, {doubts:?} asked for"))
    }
}

/// All configurations of a user, whose number is what the server reports.
pub fn stored(client: &Client) -> BTreeMap<String, String> {
    let list = client.try_send(&Request::new("GET", &format!("{CONFIGURATIONS}?limit=1000"))).unwrap();
    let list = list.expect(200).json();
    let items = list["configurations"].as_array().unwrap();
    assert_eq!(list["count"], items.len(), "a list is as long as its count");
    items.iter().map(|item| (text(&item["key"]), text(&item["value"]))).collect()
}

fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}

/// The text of a value: its number, with as many digits as that number has it.
fn value(number: usize) -> String {
    let digits = number.to_string();
    "0".repeat(DIGITS[number % DIGITS.len()] - digits.len()) + &digits
}

/// The number of a stored text, `None` if no writer has written it.
fn number(text: &str) -> Option<usize> {
    let number = text.parse().ok()?;
    (value(number) == text).then_some(number)
}
