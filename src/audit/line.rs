//! An entry as a line of JSON.
//!
//! The line is the entry's text with its HMAC at the end, preceded by its link if 0.3.0 wrote it. Both cover the text
//! as it was written, so that lines stay valid when a later version adds members.

use data_encoding::HEXLOWER;
use schemars::JsonSchema;
use serde::Serialize;
use uuid::Uuid;

use crate::domain::{Account, AuditEntry, AuthMethod, Event, Id, Outcome, Target};

/// An entry of the audit log; members without a value are left out.
// Comments on members, and the attributes, are the entry's schema in the OpenAPI document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct EntryView<'a> {
    /// Counts the entries from 1 up, without gaps.
    id: u64,
    #[schemars(extend("format" = "date-time"))]
    at: String,
    /// What was done; for an operation its scope, as in `users / create`.
    action: &'static str,
    /// `had_to_wait` is an attempt that was answered with 429, without a check of its password or key.
    #[schemars(extend("enum" = ["done", "refused", "had_to_wait"]))]
    result: &'static str,
    /// The account that did it.
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<u32>,
    /// The account's name at that time.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
    /// In place of both where no account has the given name.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    username_hash: Option<String>,
    #[schemars(extend("enum" = ["password", "session", "api_key", "local", "server", "system_user"]))]
    credential: &'static str,
    #[schemars(with = "Uuid")]
    #[serde(skip_serializing_if = "Option::is_none")]
    session: Option<Uuid>,
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    api_key_id: Option<u32>,
    /// The operating system's user who ran the command.
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    system_uid: Option<u32>,
    /// The client's address.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    #[schemars(with = "String", extend("enum" = ["user", "configuration", "api_key", "session"]))]
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'static str>,
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_id: Option<u32>,
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_name: Option<String>,
    /// The account that a configuration, an API key or a session belongs to; not in entries of earlier versions.
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    target_owner_id: Option<u32>,
    /// The members that were changed, or the settings in force.
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    details: &'a [String],
    /// How many alike events are summed up in this entry.
    count: u64,
}

impl<'a> EntryView<'a> {
    /// The view of an event that has that id.
    #[must_use]
    pub fn of(id: u64, event: &'a Event) -> Self {
        let mut view = Self {
            id,
            at: event.at.to_string(),
            action: event.action.name(),
            result: match event.outcome {
                Outcome::Done => "done",
                Outcome::Refused => "refused",
                Outcome::HadToWait => "had_to_wait",
            },
            user_id: None,
            username: None,
            username_hash: None,
            credential: "",
            session: None,
            api_key_id: None,
            system_uid: None,
            address: event.actor.address.map(|address| address.to_canonical().to_string()),
            target: None,
            target_id: None,
            target_name: None,
            target_owner_id: event.subject.owner.map(Id::get),
            details: &event.subject.details,
            count: event.count,
        };
        view.set_account(event.actor.account.as_ref());
        view.set_method(event.actor.method);
        view.set_target(event.subject.target.as_ref());
        view
    }

    fn set_account(&mut self, account: Option<&'a Account>) {
        match account {
            None => {}
            Some(Account::Known(id, name)) => (self.user_id, self.username) = (Some(id.get()), Some(name.as_str())),
            Some(Account::Unknown(hash)) => self.username_hash = Some(HEXLOWER.encode(hash)),
        }
    }

    fn set_method(&mut self, method: AuthMethod) {
        self.credential = match method {
            AuthMethod::Password => "password",
            AuthMethod::Session(_) => "session",
            AuthMethod::ApiKey(_) => "api_key",
            AuthMethod::Local(_) => "local",
            AuthMethod::SystemUser(_) => "system_user",
            AuthMethod::Server => "server",
        };
        match method {
            AuthMethod::Session(jti) => self.session = Some(jti),
            AuthMethod::ApiKey(id) => self.api_key_id = id.map(Id::get),
            AuthMethod::Local(uid) | AuthMethod::SystemUser(uid) => self.system_uid = Some(uid),
            AuthMethod::Password | AuthMethod::Server => {}
        }
    }

    fn set_target(&mut self, target: Option<&Target>) {
        let Some(target) = target else { return };
        let (kind, id, name) = match target {
            Target::User(id, name) => ("user", Some(id), Some(name.clone())),
            Target::Configuration(id, key) => ("configuration", Some(id), Some(key.clone())),
            Target::ApiKey(id) => ("api_key", Some(id), None),
            Target::Session(jti) => ("session", None, Some(jti.to_string())),
        };
        (self.target, self.target_id, self.target_name) = (Some(kind), id.map(|id| id.get()), name);
    }
}

/// The text that the HMAC covers.
pub(super) fn body(id: u64, event: &Event) -> String {
    serde_json::to_string(&EntryView::of(id, event)).expect("views have text keys and whole numbers")
}

/// The entry as a line, without the line break.
pub(super) fn line(entry: &AuditEntry) -> String {
    let mut text = body(entry.id, &entry.event);
    text.pop();
    if let Some(link) = &entry.link {
        text.extend([r#","link":""#, &HEXLOWER.encode(link), "\""]);
    }
    text.extend([r#","mac":""#, &HEXLOWER.encode(&entry.mac), r#""}"#]);
    text
}
