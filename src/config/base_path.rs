//! The path below which a reverse proxy hands requests on.

use std::fmt;

/// How many bytes it may have: the least `--path-limit` leaves room for what follows.
const MAX_BYTES: usize = 200;

/// The path below which everything is served: it begins with a slash, and does not end with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BasePath(String);

impl BasePath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let names = text.strip_prefix('/').into_iter().flat_map(|rest| rest.split('/'));
        if text.starts_with('/') && text.len() <= MAX_BYTES && names.into_iter().all(is_name) {
            return Ok(Self(text.to_owned()));
        }
        let text = text.escape_default();
        Err(format!(
            "`{text}` is not a path such as /accounts: a slash before each name, none at the end, letters, digits, `-`, `.`, \
             `_` and `~`, at most {MAX_BYTES} bytes"
        ))
    }

    /// Whether that path is the base path itself, without the slash of what is below it.
    #[must_use]
    pub fn is(&self, path: &str) -> bool {
        self.0 == path
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The rest of a path below it, with its slash; `None` if the path is not below it.
    #[must_use]
    pub fn strip<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(&*self.0).filter(|rest| rest.starts_with('/'))
    }
}

impl fmt::Display for BasePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether clients and proxies send that name as it is.
fn is_name(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    !text.is_empty() && text != "." && text != ".." && text.bytes().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_base_path_is_names_that_need_no_encoding() {
        for right in ["/accounts", "/a/b-c/d.e_f~g", "/.well-known"] {
            assert_eq!(BasePath::parse(right).unwrap().to_string(), right);
        }
        let long = format!("/{}", "a".repeat(MAX_BYTES));
        for wrong in
            ["", "/", "accounts", "/accounts/", "//a", "/a//b", "/a/../b", "/.", "/a b", "/a%20b", "/a?b", "/ä", &long]
        {
            assert!(BasePath::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_is_below_it_has_a_rest() {
        let base = BasePath::parse("/accounts").unwrap();
        assert_eq!(base.strip("/accounts/api/v2/users"), Some("/api/v2/users"));
        assert_eq!(base.strip("/accounts/"), Some("/"));
        for other in
            ["/accounts", "/accountsx/api", "/api/v2/users", "/ACCOUNTS/api", "/%61ccounts/api", "//accounts/api"]
        {
            assert_eq!(base.strip(other), None, "{other}");
        }
    }
}
