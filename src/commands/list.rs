//! The API's lists for commands, read page by page, and users by their names.

use std::{fmt::Write as _, vec};

use clap::Args;
use serde_json::{Map, Value};

use super::{Failure, access::Access};
use crate::domain::Page;

/// The items of a list of the API. There is one page of them in memory.
pub(super) struct List<'a> {
    access: &'a Access,
    path: String,
    collection: &'static str,
    page: usize,
    offset: usize,
    items: vec::IntoIter<Value>,
    is_at_end: bool,
}

impl<'a> List<'a> {
    /// The list at that path, without limit and offset, in the member of that name.
    pub(super) fn of(access: &'a Access, path: &str, collection: &'static str) -> Self {
        let path = format!("{path}{}", if path.contains('?') { '&' } else { '?' });
        let (page, items) = (Page::MAX, Vec::new().into_iter());
        Self { access, path, collection, page, offset: 0, items, is_at_end: false }
    }

    /// With pages of so many items.
    pub(super) fn in_pages_of(self, page: usize) -> Self {
        Self { page, ..self }
    }

    fn next_page(&mut self) -> Result<(), Failure> {
        let path = format!("{}limit={}&offset={}", self.path, self.page, self.offset);
        let response = self.access.call("GET", &path, None)?;
        let mut list: Map<String, Value> = response.json().map_err(Failure::Asked)?;
        let items = match list.remove(self.collection) {
            Some(Value::Array(items)) => items,
            _ => Vec::new(),
        };
        self.offset += items.len();
        self.is_at_end = items.len() < self.page;
        self.items = items.into_iter();
        Ok(())
    }
}

impl Iterator for List<'_> {
    type Item = Result<Value, Failure>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.items.len() == 0
            && !self.is_at_end
            && let Err(failure) = self.next_page()
        {
            self.is_at_end = true;
            return Some(Err(failure));
        }
        self.items.next().map(Ok)
    }
}

/// An account, as a command names it.
pub(super) struct Account {
    /// The account as the API shows it.
    pub(super) user: Value,
    /// Its path, below which its resources are.
    pub(super) path: String,
}

impl Account {
    /// The account with that name or, if these are digits alone, that id.
    ///
    /// # Errors
    /// [`Failure::Refused`] if there is none; as [`Access::call`].
    pub(super) fn find(access: &Access, name: &str) -> Result<Self, Failure> {
        let what = format!("user {name}");
        let user = if is_id(name) {
            access.call_about(&what, ("GET", &format!("/users/{name}")), None)?.json().map_err(Failure::Asked)?
        } else {
            named(access, name)?.ok_or_else(|| Failure::Refused(format!("there is no {what}")))?
        };
        Ok(Self::from(user))
    }

    /// Its name.
    pub(super) fn name(&self) -> &str {
        self.user["username"].as_str().unwrap_or_default()
    }
}

impl From<Value> for Account {
    fn from(user: Value) -> Self {
        Self { path: format!("/users/{}", user["id"]), user }
    }
}

/// Whose resources a command is about.
#[derive(Args, Debug)]
pub(super) struct OfUser {
    /// The user's name or id
    #[arg(long = "user", value_name = "NAME")]
    user: String,
}

impl OfUser {
    /// The user.
    ///
    /// # Errors
    /// As [`Account::find`].
    pub(super) fn find(&self, access: &Access) -> Result<Account, Failure> {
        Account::find(access, &self.user)
    }
}

/// Whether an argument is an id: names and keys of digits alone are not possible, or addressed by their ids.
pub(super) fn is_id(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn named(access: &Access, name: &str) -> Result<Option<Value>, Failure> {
    let is_it = |user: &Value| user["username"].as_str().is_some_and(|found| found.eq_ignore_ascii_case(name));
    for user in List::of(access, &format!("/users?{}", query(&[("username", name)])), "users") {
        let user = user?;
        if is_it(&user) {
            return Ok(Some(user));
        }
    }
    Ok(None)
}

/// A query with these parameters.
pub(super) fn query(parameters: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(parameters).finish()
}

/// A text as a segment of a path.
pub(super) fn encoded(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_~".contains(&byte) {
            segment.push(char::from(byte));
        } else {
            write!(segment, "%{byte:02X}").expect("a text can be appended to");
        }
    }
    segment
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_text_is_one_segment_of_a_path() {
        assert_eq!(encoded("a-b_c~9"), "a-b_c~9");
        assert_eq!(encoded("../a b?#%ü"), "%2E%2E%2Fa%20b%3F%23%25%C3%BC");
    }

    #[test]
    fn digits_alone_are_an_id() {
        assert_eq!(["7", "007", "", "7a", "-7", "٧"].map(is_id), [true, true, false, false, false, false]);
    }
}
