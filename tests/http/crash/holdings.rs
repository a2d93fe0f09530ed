//! What a writer has in the server, as plain values.

use std::collections::BTreeMap;

/// A configuration's value: so many digits that read as that number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value {
    pub number: u64,
    pub digits: usize,
}

/// A user that a writer made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub password: String,
    pub email: Option<String>,
    pub configurations: BTreeMap<String, Value>,
    /// The token of the person's session.
    pub token: Option<String>,
}

/// Everything that a writer has: settings, keys by their names with what they may do, and people by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Holdings {
    pub configurations: BTreeMap<String, Value>,
    pub api_keys: BTreeMap<String, String>,
    pub people: BTreeMap<String, Person>,
}

/// One write. What it needs of ids and credentials is looked up when it is sent.
#[derive(Clone, Debug)]
pub enum Action {
    Set { key: String, value: Value },
    Change { key: String, value: Value },
    Rename { key: String, to: String, value: Value },
    Unset { key: String },
    MakeKey { name: String, controller: String },
    ChangeKey { name: String, controller: String },
    RemoveKey { name: String },
    MakePerson { name: String, password: String },
    ChangeEmail { name: String, email: String },
    ChangePassword { name: String, password: String },
    RemovePerson { name: String },
    SetForPerson { name: String, key: String, value: Value },
    SignIn { name: String },
    SignOut { name: String },
}

impl Value {
    /// The text that is stored.
    pub fn text(self) -> String {
        let number = self.number.to_string();
        "0".repeat(self.digits - number.len()) + &number
    }

    /// The value of a stored text; one that is torn reads as a number that is never written.
    pub fn read(text: &str) -> Self {
        Self { number: text.parse().unwrap_or(u64::MAX), digits: text.len() }
    }
}

impl Holdings {
    /// What is there once the action is done, but for a token, which only its response has.
    pub fn after(&self, action: &Action) -> Self {
        let mut after = self.clone();
        match action.clone() {
            Action::Set { key, value } | Action::Change { key, value } => drop(after.configurations.insert(key, value)),
            Action::Rename { key, to, value } => {
                after.configurations.remove(&key);
                after.configurations.insert(to, value);
            }
            Action::Unset { key } => drop(after.configurations.remove(&key)),
            Action::MakeKey { name, controller } | Action::ChangeKey { name, controller } => {
                after.api_keys.insert(name, controller);
            }
            Action::RemoveKey { name } => drop(after.api_keys.remove(&name)),
            Action::MakePerson { name, password } => {
                let person = Person { password, email: None, configurations: BTreeMap::new(), token: None };
                after.people.insert(name, person);
            }
            Action::RemovePerson { name } => drop(after.people.remove(&name)),
            Action::ChangeEmail { name, email } => after.person(&name).email = Some(email),
            Action::ChangePassword { name, password } => {
                let person = after.person(&name);
                person.password = password;
                person.token = None;
            }
            Action::SetForPerson { name, key, value } => drop(after.person(&name).configurations.insert(key, value)),
            Action::SignIn { .. } => {}
            Action::SignOut { name } => after.person(&name).token = None,
        }
        after
    }

    pub fn person(&mut self, name: &str) -> &mut Person {
        self.people.get_mut(name).expect("an action names an existing user")
    }
}
