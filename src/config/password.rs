//! The first administrator's password, from a file or the environment.

use std::path::Path;

use super::setting::{Checks, Written};
use crate::{files::read_text, secret::Secret};

/// The environment variable with the first administrator's password.
pub const ADMIN_PASSWORD: &str = "LODGE_ADMIN_PASSWORD";

/// The password that the file or the environment gives. An empty variable counts as unset.
#[expect(clippy::option_option, reason = "the outer one is whether the setting is valid, the inner one the setting")]
pub(super) fn checked(written: &Written, checks: &mut Checks) -> Option<Option<Secret<String>>> {
    let file = written.get("admin_password_file").map(Path::new);
    let given = written.admin_password.clone().filter(|password| !password.is_empty());
    let password = match (file, given) {
        (Some(_), Some(_)) => Err(format!("the password is given by {ADMIN_PASSWORD} too; give it once")),
        (Some(file), None) => {
            let text = read_text(file).map_err(|error| format!("{}: {error}", file.display()));
            text.map(|text| Some(Secret::new(without_line_ends(&text).to_owned())))
        }
        (None, given) => Ok(given.map(Secret::new)),
    };
    checks.note("admin_password_file", password)
}

/// The text without the line ends that editors and `echo` append.
#[must_use]
pub fn without_line_ends(text: &str) -> &str {
    text.trim_end_matches(['\n', '\r', '\u{b}', '\u{c}', '\u{85}', '\u{2028}', '\u{2029}'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn line_ends_of_any_kind_at_the_end_are_not_part_of_a_password() {
        for end in ["", "\n", "\r\n", "\r", "\n\n", "\r\n\r\n", "\u{2028}"] {
            assert_eq!(without_line_ends(&format!(" a house\twith a view {end}")), " a house\twith a view ", "{end:?}");
        }
    }
}
