//! Parses a line of the log.

use data_encoding::HEXLOWER;
use serde::{Deserialize, Deserializer, de::Error as _};

use crate::{
    clock::Timestamp,
    domain::{Account, AuditEntry, Event, Target},
    store::audit::LogPosition,
};

/// An upper bound of the length of a line, which has a few texts of some hundred characters and the settings.
pub(super) const MAX_LINE: u64 = 1 << 20;

/// A parsed line.
#[derive(Debug)]
pub(super) struct ParsedLine {
    /// The entry's text, which the HMAC covers.
    pub(super) body: String,
    /// The link of an entry of 0.3.0.
    pub(super) link: Option<[u8; 32]>,
    /// The entry's HMAC.
    pub(super) mac: [u8; 32],
    /// The members that filters match.
    pub(super) summary: EntrySummary,
}

impl ParsedLine {
    /// Parses a line without its line break; `None` if it is malformed.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let (rest, mac) = split_hash(str::from_utf8(text).ok()?.strip_suffix('}')?, "mac")?;
        let (body, link) = split_hash(rest, "link").map_or((rest, None), |(body, link)| (body, Some(link)));
        let body = format!("{body}}}");
        let summary = serde_json::from_str(&body).ok()?;
        Some(Self { body, link, mac, summary })
    }

    /// The position after its entry.
    pub(super) fn position(&self) -> LogPosition {
        LogPosition { id: self.summary.id, mac: self.link.unwrap_or(self.mac) }
    }
}

/// Splits the last member, a hash of that name, off an object without its closing brace.
fn split_hash<'a>(object: &'a str, name: &str) -> Option<(&'a str, [u8; 32])> {
    let (rest, digits) = object.strip_suffix('"')?.rsplit_once('"')?;
    let hash = HEXLOWER.decode(digits.as_bytes()).ok()?.try_into().ok()?;
    Some((rest.strip_suffix(&format!(",\"{name}\":"))?, hash))
}

/// The members of an entry that filters match.
#[derive(Debug, Deserialize)]
pub(super) struct EntrySummary {
    pub(super) id: u64,
    #[serde(deserialize_with = "moment")]
    pub(super) at: Timestamp,
    pub(super) action: String,
    user_id: Option<u64>,
    username: Option<String>,
    target: Option<String>,
    target_id: Option<u64>,
    target_name: Option<String>,
}

impl EntrySummary {
    pub(super) fn of(entry: &AuditEntry) -> Self {
        let Event { at, actor, action, subject, .. } = &entry.event;
        let (user_id, username) = match &actor.account {
            Some(Account::Known(id, name)) => (Some(u64::from(id.get())), Some(name.clone())),
            Some(Account::Unknown(_)) | None => (None, None),
        };
        let (target, target_id, target_name) = match &subject.target {
            Some(Target::User(id, name)) => (Some("user".to_owned()), Some(u64::from(id.get())), Some(name.clone())),
            Some(Target::Configuration(..) | Target::ApiKey(_) | Target::Session(_)) | None => (None, None, None),
        };
        let action = action.name().to_owned();
        Self { id: entry.id, at: *at, action, user_id, username, target, target_id, target_name }
    }

    /// Whether the account of that name or id is the actor or the target.
    pub(super) fn is_about(&self, user: &str) -> bool {
        let is = |id: Option<u64>, name: &Option<String>| {
            id.is_some_and(|id| id.to_string() == user)
                || name.as_ref().is_some_and(|name| name.eq_ignore_ascii_case(user))
        };
        is(self.user_id, &self.username)
            || (self.target.as_deref() == Some("user") && is(self.target_id, &self.target_name))
    }
}

fn moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    Timestamp::parse(&text).ok_or_else(|| D::Error::custom("not a time"))
}
