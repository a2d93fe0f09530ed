//! Scopes: what an API key may do.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Parsed, Problem};

/// A controller and an action, each a name or `*` for any: `users / index`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Scope {
    controller: String,
    action: String,
}

impl Scope {
    /// The maximum number of characters of each half.
    pub const MAX: usize = 64;

    /// Parses a scope; it may name a controller or action that this server does not have.
    ///
    /// # Errors
    /// `invalid` unless each half is `*` or `[a-z][a-z0-9_]*` of at most 64 characters.
    pub fn parse(controller: &str, action: &str) -> Parsed<Self> {
        if is_name_or_any(controller) && is_name_or_any(action) {
            Ok(Self { controller: controller.to_owned(), action: action.to_owned() })
        } else {
            Err(Problem::Invalid)
        }
    }

    /// The scope `* / *`, which covers every other.
    #[must_use]
    pub fn everything() -> Self {
        Self { controller: "*".to_owned(), action: "*".to_owned() }
    }

    /// The controller's name, or `*`.
    #[must_use]
    pub fn controller(&self) -> &str {
        &self.controller
    }

    /// The action's name, or `*`.
    #[must_use]
    pub fn action(&self) -> &str {
        &self.action
    }

    /// The scope in one word, as proxies and tokens spell it: `users/index`.
    #[must_use]
    pub fn as_one_word(&self) -> String {
        format!("{}/{}", self.controller, self.action)
    }

    fn covers(&self, controller: &str, action: &str) -> bool {
        let half = |own: &str, wanted: &str| own == "*" || own == wanted;
        half(&self.controller, controller) && half(&self.action, action)
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} / {}", self.controller, self.action)
    }
}

/// The scopes of one key: at most 256, each once, in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Scopes(Vec<Scope>);

impl Scopes {
    /// The maximum number of scopes that a request may list.
    pub const MAX: usize = 256;

    /// The scopes, duplicates merged.
    ///
    /// # Errors
    /// `too_long` for more than [`Scopes::MAX`].
    pub fn new(listed: Vec<Scope>) -> Parsed<Self> {
        if listed.len() > Self::MAX {
            return Err(Problem::TooLong(Self::MAX));
        }
        let mut scopes = Vec::with_capacity(listed.len());
        for scope in listed {
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(Self(scopes))
    }

    /// Whether one of these scopes permits the action.
    #[must_use]
    pub fn permit(&self, controller: &str, action: &str) -> bool {
        self.0.iter().any(|scope| scope.covers(controller, action))
    }

    /// Whether each of the other scopes is covered by one of these.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|other| self.permit(&other.controller, &other.action))
    }

    /// Whether these permit everything (`* / *`).
    #[must_use]
    pub fn are_full_access(&self) -> bool {
        self.permit("*", "*")
    }

    /// The scopes in order.
    pub fn iter(&self) -> impl Iterator<Item = &Scope> {
        self.0.iter()
    }
}

fn is_name_or_any(text: &str) -> bool {
    let is_name = || {
        text.starts_with(|first: char| first.is_ascii_lowercase())
            && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
    };
    text == "*" || (text.len() <= Scope::MAX && is_name())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scopes(pairs: &[(&str, &str)]) -> Scopes {
        Scopes::new(pairs.iter().map(|(controller, action)| Scope::parse(controller, action).unwrap()).collect())
            .unwrap()
    }

    #[test]
    fn a_malformed_scope_is_refused() {
        let long = "a".repeat(65);
        for wrong in ["", " users", "Users", "users/", "1a", "_a", "**", "us*rs", "é", &long] {
            assert_eq!(Scope::parse(wrong, "index"), Err(Problem::Invalid), "{wrong}");
            assert_eq!(Scope::parse("users", wrong), Err(Problem::Invalid), "{wrong}");
        }
        assert!(Scope::parse(&"a".repeat(64), "*").is_ok());
    }

    #[test]
    fn scopes_permit_what_they_name_and_nothing_else() {
        let reader = scopes(&[("users", "index"), ("files", "*")]);
        assert!(reader.permit("users", "index"));
        assert!(!reader.permit("users", "show"));
        assert!(reader.permit("files", "anything"));
        assert!(!Scopes::default().permit("users", "index"));
    }

    #[test]
    fn a_wildcard_is_covered_by_a_wildcard_alone() {
        let restricted = scopes(&[("users", "index"), ("users", "show")]);
        assert!(!restricted.cover(&scopes(&[("users", "*")])));
        assert!(scopes(&[("users", "*")]).cover(&restricted));
        assert!(scopes(&[("*", "*")]).are_full_access());
        assert!(!scopes(&[("users", "*"), ("*", "index")]).are_full_access());
        assert!(restricted.cover(&Scopes::default()));
    }

    #[test]
    fn duplicates_are_merged_and_more_than_256_refused() {
        let index = Scope::parse("users", "index").unwrap();
        assert_eq!(Scopes::new(vec![index.clone(); 256]).unwrap().iter().count(), 1);
        assert_eq!(Scopes::new(vec![index; 257]), Err(Problem::TooLong(256)));
    }
}
