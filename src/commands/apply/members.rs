//! The members of a table of the file, taken one by one; those that are left are unknown.

use serde_json::{Map, Value};

use crate::{config::nearest, logging::printable};

/// The members of the table at that place.
pub(super) struct Members {
    pub(super) place: String,
    members: Map<String, Value>,
}

impl Members {
    /// The members of a value, which must be a table.
    ///
    /// # Errors
    /// A sentence if it is none.
    pub(super) fn of(value: Value, place: String) -> Result<Self, String> {
        match value {
            Value::Object(members) => Ok(Self { place, members }),
            _ => Err(format!("{}is not a table", prefixed(&place))),
        }
    }

    /// A sentence about this table.
    pub(super) fn sentence(&self, what: &str) -> String {
        format!("{}{what}", prefixed(&self.place))
    }

    /// Takes a text; one that is missing or something else leaves a sentence.
    pub(super) fn text(&mut self, name: &str, wrong: &mut Vec<String>) -> Option<String> {
        let Value::String(text) = self.members.shift_remove(name)? else {
            wrong.push(self.sentence(&format!("`{name}` is not a text")));
            return None;
        };
        Some(text)
    }

    /// Takes a list; something else leaves a sentence.
    pub(super) fn list(&mut self, name: &str, wrong: &mut Vec<String>) -> Option<Vec<Value>> {
        let Value::Array(items) = self.members.shift_remove(name)? else {
            wrong.push(self.sentence(&format!("`{name}` is not a list")));
            return None;
        };
        Some(items)
    }

    /// Takes the member as it is.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.members.shift_remove(name)
    }

    /// The members of these names as they are; any others leave a sentence each, with the nearest of the known names.
    pub(super) fn rest(mut self, names: &[&str], taken: &[&str], wrong: &mut Vec<String>) -> Map<String, Value> {
        let known = |name: &str| names.contains(&name);
        let unknown: Vec<_> = self.members.keys().filter(|name| !known(name)).cloned().collect();
        for name in unknown {
            self.members.shift_remove(&name);
            let all: Vec<_> = names.iter().chain(taken).copied().collect();
            let meant = meant_by(&name, &all).map(|near| format!("; is `{near}` meant?"));
            let sentence = format!("`{}` is unknown{}", printable(&name), meant.unwrap_or_default());
            wrong.push(self.sentence(&sentence));
        }
        self.members
    }
}

fn prefixed(place: &str) -> String {
    if place.is_empty() { String::new() } else { format!("{place}: ") }
}

/// The known name that a mistyped one is nearest to, or that begins with it.
fn meant_by<'a>(typed: &str, known: &[&'a str]) -> Option<&'a str> {
    let typed = typed.replace('-', "_").to_lowercase();
    nearest(&typed, known.iter().copied())
        .or_else(|| known.iter().copied().find(|name| typed.len() > 2 && name.starts_with(&typed)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_is_near_to_the_one_that_is_meant() {
        let known = ["username", "password_file", "is_admin", "api_keys"];
        let near = ["user-name", "password", "Is_Admn", "apikeys", "id", "unrelated", &"username".repeat(9)];
        let expected = ["username", "password_file", "is_admin", "api_keys"].map(Some);
        assert_eq!(near.map(|typed| meant_by(typed, &known)), [&expected[..], &[None; 3]].concat()[..]);
    }
}
