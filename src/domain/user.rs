//! An account and its attributes.

use serde::{Deserialize, Serialize};

use super::{
    Change, Email, Id, NewPassword, PasswordHash, PresentedPassword, SourceType, Submitted, SystemId, Username,
    Violations,
};
use crate::clock::Timestamp;

/// An account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// Its id.
    pub id: Id,
    /// Its name, unique without regard to case.
    pub username: Username,
    /// The hash of its password.
    pub password: PasswordHash,
    /// Its e-mail address.
    pub email: Option<Email>,
    /// The system user that it represents.
    pub user_id: Option<SystemId>,
    /// The system group that it represents.
    pub group_id: Option<SystemId>,
    /// Whether it is an administrator.
    pub is_admin: bool,
    /// Whether it is suspended: none of its credentials is valid until it is not.
    #[serde(default)]
    pub suspended: bool,
    /// When it expires: from then on none of its credentials is valid. `None` if never.
    pub expired_at: Option<Timestamp>,
    /// Its source; `None` if none was given, which means the web application.
    pub source_type: Option<SourceType>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The system's name of `user_id` when that was set; `None` if it had none, or the account is from before names were kept.
    #[serde(default)]
    pub system_name: Option<String>,
}

/// A new account.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub username: Username,
    /// The password in clear.
    pub password: NewPassword,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The system user that it represents.
    pub user_id: Option<SystemId>,
    /// The system group that it represents.
    pub group_id: Option<SystemId>,
    /// Whether it is an administrator.
    pub is_admin: bool,
    /// Whether it is suspended.
    pub suspended: bool,
    /// When it expires.
    pub expired_at: Option<Timestamp>,
    /// Its source.
    pub source_type: Option<SourceType>,
}

/// A change of an account.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name.
    pub username: Change<Username>,
    /// The password in clear.
    pub password: Change<NewPassword>,
    /// The e-mail address, `None` to clear it.
    pub email: Change<Option<Email>>,
    /// The system user, `None` to clear it.
    pub user_id: Change<Option<SystemId>>,
    /// The system group, `None` to clear it.
    pub group_id: Change<Option<SystemId>>,
    /// Whether it is an administrator.
    pub is_admin: Change<bool>,
    /// Whether it is suspended.
    pub suspended: Change<bool>,
    /// When it expires, `None` to clear it.
    pub expired_at: Change<Option<Timestamp>>,
    /// Its source, `None` to clear it.
    pub source_type: Change<Option<SourceType>>,
    /// The current password of a user who changes their own account, where the installation asks for it.
    pub current_password: Change<PresentedPassword>,
}

impl User {
    /// A standard user, made at that moment, who has a name and a password and nothing else.
    #[must_use]
    pub fn new(id: Id, username: Username, password: PasswordHash, at: Timestamp) -> Self {
        Self {
            id,
            username,
            password,
            email: None,
            user_id: None,
            group_id: None,
            is_admin: false,
            suspended: false,
            expired_at: None,
            source_type: None,
            created_at: at,
            updated_at: at,
            system_name: None,
        }
    }

    /// Whether its credentials may be valid: it is not suspended and has not expired, which it has from that millisecond
    /// on.
    #[must_use]
    pub fn is_active(&self, now: Timestamp) -> bool {
        !self.suspended && self.expired_at.is_none_or(|end| now < end)
    }

    /// Whether it is an administrator that is not suspended and never expires. The last one of these cannot be removed,
    /// demoted, suspended or given an expiry.
    #[must_use]
    pub fn is_lasting_administrator(&self) -> bool {
        self.is_admin && !self.suspended && self.expired_at.is_none()
    }
}

impl UserChange {
    /// The account with this change applied, except for the password, whose hash is computed elsewhere because it takes
    /// half a second.
    #[must_use]
    pub fn applied_to(self, current: &User) -> User {
        User {
            username: self.username.or(current.username.clone()),
            email: self.email.or(current.email.clone()),
            user_id: self.user_id.or(current.user_id),
            group_id: self.group_id.or(current.group_id),
            is_admin: self.is_admin.or(current.is_admin),
            suspended: self.suspended.or(current.suspended),
            expired_at: self.expired_at.or(current.expired_at),
            source_type: self.source_type.or(current.source_type),
            ..current.clone()
        }
    }
}

impl Submitted<UserChange> {
    /// The new account with these attributes.
    ///
    /// # Errors
    /// All violations, among them a missing user name or password.
    pub fn into_new_user(self, further: Violations) -> Result<NewUser, Violations> {
        let Self { change, violations } = self;
        let mut violations = violations.and(further);
        let username = change.username.required("username", &mut violations);
        let password = change.password.required("password", &mut violations);
        match (username, password) {
            (Some(username), Some(password)) if violations.is_empty() => Ok(NewUser {
                username,
                password,
                email: change.email.or(None),
                user_id: change.user_id.or(None),
                group_id: change.group_id.or(None),
                is_admin: change.is_admin.or(false),
                suspended: change.suspended.or(false),
                expired_at: change.expired_at.or(None),
                source_type: change.source_type.or(None),
            }),
            _ => Err(violations),
        }
    }
}
