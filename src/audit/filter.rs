//! Selects entries of the log.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::parsed_line::EntrySummary;
use crate::clock::Timestamp;

/// Selects the entries that match all given members.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Filter {
    /// Only entries from that time on.
    pub since: Option<Timestamp>,
    /// Only entries before that time.
    pub until: Option<Timestamp>,
    /// Only entries by or about the account of that name or id.
    pub user: Option<String>,
    /// Only entries of the action with that name, in which `*` stands for any controller or action.
    pub action: Option<String>,
}

impl Filter {
    /// Parses a time: RFC 3339, or how long ago it was.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
        let ago = |ago: Duration| u64::try_from(ago.as_millis()).map_or(0, |ago| now.as_millis().saturating_sub(ago));
        if let Ok(duration) = humantime::parse_duration(text) {
            return Ok(Timestamp::from_millis(ago(duration)));
        }
        Timestamp::parse(text).ok_or_else(|| {
            format!("`{}` is not a time such as 2026-11-23T17:22:00Z or a duration such as 24h", text.escape_default())
        })
    }

    /// Whether the filter matches every entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the filter matches the entry.
    pub(super) fn admits(&self, summary: &EntrySummary) -> bool {
        self.since.is_none_or(|since| since <= summary.at)
            && self.until.is_none_or(|until| summary.at < until)
            && self.user.as_deref().is_none_or(|user| summary.is_about(user))
            && self.action.as_deref().is_none_or(|action| names(action, &summary.action))
    }
}

fn names(wanted: &str, action: &str) -> bool {
    let parts = |name: &str| name.split_once('/').map(|(a, b)| (a.trim().to_owned(), b.trim().to_owned()));
    let (Some(wanted), Some(action)) = (parts(wanted), parts(action)) else { return false };
    [(wanted.0, action.0), (wanted.1, action.1)].iter().all(|(wanted, part)| wanted == "*" || wanted == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_time_or_a_duration_ago() {
        let now = Timestamp::from_secs(1_000_000);
        for text in ["1970-01-02T00:00:00.007Z", "1970-01-02T02:00:00.007+02:00"] {
            assert_eq!(Filter::moment(text, now), Ok(Timestamp::from_millis(86_400_007)), "{text}");
        }
        assert_eq!(Filter::moment("24h", now), Ok(Timestamp::from_secs(1_000_000 - 86_400)));
        assert_eq!(Filter::moment("3650days", now), Ok(Timestamp::from_secs(0)));
        for wrong in ["", "now", "1969-01-01T00:00:00Z", "2026-11-23", "-1h"] {
            assert!(Filter::moment(wrong, now).is_err(), "{wrong}");
        }
    }

    #[test]
    fn either_half_of_an_action_may_be_a_wildcard() {
        for wanted in ["users / create", "users/create", "users / *", "*/create", "* / *"] {
            assert!(names(wanted, "users / create"), "{wanted}");
        }
        for other in ["users", "users / update", "api_keys / *", ""] {
            assert!(!names(other, "users / create"), "{other}");
        }
    }
}
