//! The file: accounts with their configurations and API keys, as they are to be.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::{
    super::{Failure, key, password::SecretBody},
    members::Members,
    text,
};
use crate::secret::Secret;

/// Members of an account that the server is sent as they are.
const OF_USER: [&str; 7] = ["email", "user_id", "group_id", "is_admin", "suspended", "expired_at", "source_type"];
/// Members of an API key that the server is sent as they are.
const OF_API_KEY: [&str; 2] = ["expires_at", "allowed_networks"];

/// What the file has.
pub(super) struct Document {
    users: Option<Vec<User>>,
}

struct User {
    username: String,
    password: Option<Secret<String>>,
    members: Map<String, Value>,
    configurations: Option<Map<String, Value>>,
    api_keys: Option<Vec<ApiKey>>,
}

/// An API key of the file.
pub(super) struct ApiKey {
    /// Its place in the file.
    pub(super) place: String,
    /// Its name, by which it is found.
    pub(super) name: String,
    /// The file for its value if it has to be made.
    pub(super) write_to: Option<PathBuf>,
    /// The value that it is made with.
    pub(super) value: Option<Secret<String>>,
    members: Map<String, Value>,
}

/// What is wrong, and where relative paths begin.
struct Reader<'a> {
    directory: &'a Path,
    wrong: Vec<String>,
}

impl Document {
    /// Reads the file, and those that passwords are taken from.
    ///
    /// # Errors
    /// [`Failure::Refused`] with everything that is wrong.
    pub(super) fn read(file: &Path) -> Result<Self, Failure> {
        let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
        let value = text::read(file).map_err(|why| Failure::Refused(format!("{name}: {why}")))?;
        let mut reader = Reader { directory: file.parent().unwrap_or(Path::new("")), wrong: Vec::new() };
        let document = reader.document(value);
        if reader.wrong.is_empty() {
            return Ok(document);
        }
        Err(Failure::Refused(format!("{name} is wrong:\n{}", reader.wrong.join("\n"))))
    }

    /// The body of the request.
    pub(super) fn body(&self) -> SecretBody {
        SecretBody::of(match &self.users {
            Some(users) => json!({"users": users.iter().map(User::body).collect::<Vec<_>>()}),
            None => json!({}),
        })
    }

    /// The API key of that name of that user.
    pub(super) fn api_key(&mut self, username: &str, name: &str) -> Option<&mut ApiKey> {
        let mut users = self.users.iter_mut().flatten();
        let user = users.find(|user| user.username.eq_ignore_ascii_case(username))?;
        user.api_keys.iter_mut().flatten().find(|api_key| api_key.name == name)
    }
}

impl User {
    fn body(&self) -> Value {
        let mut body = self.members.clone();
        body.insert("username".to_owned(), self.username.as_str().into());
        if let Some(password) = &self.password {
            body.insert("password".to_owned(), password.expose().as_str().into());
        }
        if let Some(configurations) = &self.configurations {
            let list = configurations.iter().map(|(key, value)| json!({"key": key, "value": value}));
            body.insert("configurations".to_owned(), list.collect());
        }
        if let Some(api_keys) = &self.api_keys {
            body.insert("api_keys".to_owned(), api_keys.iter().map(ApiKey::body).collect());
        }
        body.into()
    }
}

impl ApiKey {
    fn body(&self) -> Value {
        let mut body = self.members.clone();
        body.insert("name".to_owned(), self.name.as_str().into());
        if let Some(value) = &self.value {
            body.insert("key".to_owned(), value.expose().as_str().into());
        }
        body.into()
    }
}

impl Reader<'_> {
    fn document(&mut self, value: Value) -> Document {
        let Some(mut members) = self.members(value, String::new()) else { return Document { users: None } };
        let users = members.list("users", &mut self.wrong);
        members.rest(&[], &["users"], &mut self.wrong);
        let users = users.map(|users| users.into_iter().enumerate().filter_map(|user| self.user(user)).collect());
        Document { users }
    }

    fn user(&mut self, (index, value): (usize, Value)) -> Option<User> {
        let place = place(&format!("users[{index}]"), &value, "username");
        let mut members = self.members(value, place)?;
        let username = members.text("username", &mut self.wrong);
        let password_file = members.text("password_file", &mut self.wrong);
        let password = password_file.and_then(|file| self.password(&members, &file));
        let configurations = members.take("configurations").and_then(|value| self.configurations(&members, value));
        let api_keys = members.list("api_keys", &mut self.wrong);
        let place = members.place.clone();
        let api_keys = api_keys
            .map(|list| list.into_iter().enumerate().filter_map(|api_key| self.api_key(&place, api_key)).collect());
        if username.is_none() {
            self.wrong.push(members.sentence("`username` is missing"));
        }
        let taken = ["username", "password_file", "configurations", "api_keys"];
        let members = members.rest(&OF_USER, &taken, &mut self.wrong);
        Some(User { username: username?, password, members, configurations, api_keys })
    }

    fn password(&mut self, members: &Members, file: &str) -> Option<Secret<String>> {
        let read = text::password(&self.directory.join(file));
        read.map_err(|why| self.wrong.push(members.sentence(&format!("password_file {file}: {why}")))).ok()
    }

    fn configurations(&mut self, members: &Members, value: Value) -> Option<Map<String, Value>> {
        let Value::Object(configurations) = value else {
            self.wrong.push(members.sentence("`configurations` is not a table"));
            return None;
        };
        for (key, _) in configurations.iter().filter(|(_, value)| !value.is_string()) {
            self.wrong.push(members.sentence(&format!("configurations: the value of `{key}` is not a text")));
        }
        Some(configurations)
    }

    fn api_key(&mut self, owner: &str, (index, value): (usize, Value)) -> Option<ApiKey> {
        let place = place(&format!("{owner} api_keys[{index}]"), &value, "name");
        let mut members = self.members(value, place)?;
        let name = members.text("name", &mut self.wrong);
        let write_to = members.text("write_to", &mut self.wrong).map(|file| self.directory.join(file));
        let scopes = members.list("api_key_scopes", &mut self.wrong).map(|scopes| self.scopes(&members, scopes));
        if name.is_none() {
            self.wrong.push(members.sentence("`name` is missing"));
        }
        let place = members.place.clone();
        let mut members = members.rest(&OF_API_KEY, &["name", "write_to", "api_key_scopes"], &mut self.wrong);
        members.extend(scopes.map(|scopes| ("api_key_scopes".to_owned(), scopes)));
        Some(ApiKey { place, name: name?, write_to, value: None, members })
    }

    /// Scopes as the API takes them.
    fn scopes(&mut self, members: &Members, scopes: Vec<Value>) -> Value {
        let scopes = scopes.into_iter().map(|scope| match &scope {
            Value::String(text) => key::scope(text).unwrap_or_else(|why| {
                self.wrong.push(members.sentence(&format!("api_key_scopes: {why}")));
                Value::Null
            }),
            _ => scope,
        });
        scopes.collect()
    }

    fn members(&mut self, value: Value, place: String) -> Option<Members> {
        Members::of(value, place).map_err(|why| self.wrong.push(why)).ok()
    }
}

/// The place of a table in the file, with its name.
fn place(list: &str, value: &Value, name: &str) -> String {
    match value[name].as_str() {
        Some(name) => format!("{list} ({})", name.chars().take(64).collect::<String>()),
        None => list.to_owned(),
    }
}
