//! An account and its attributes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, Id, NewPassword, Parsed, Problem, Submitted, Violations, at_most_characters};
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
    /// From when on nothing of it works, if that is so ever.
    pub expired_at: Option<Timestamp>,
    /// Where it comes from; `None` if nothing was given, which means the web application.
    pub source_type: Option<SourceType>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
}

/// A new account.
#[derive(Clone, Debug)]
pub struct NewUser {
    /// The name.
    pub username: Username,
    /// The password, in the clear.
    pub password: NewPassword,
    /// The e-mail address.
    pub email: Option<Email>,
    /// The system user that it represents.
    pub user_id: Option<SystemId>,
    /// The system group that it represents.
    pub group_id: Option<SystemId>,
    /// Whether it is an administrator.
    pub is_admin: bool,
    /// From when on nothing of it works.
    pub expired_at: Option<Timestamp>,
    /// Where it comes from.
    pub source_type: Option<SourceType>,
}

/// A change of an account.
#[derive(Clone, Debug, Default)]
pub struct UserChange {
    /// The name.
    pub username: Change<Username>,
    /// The password, in the clear.
    pub password: Change<NewPassword>,
    /// The e-mail address, `None` to clear it.
    pub email: Change<Option<Email>>,
    /// The system user, `None` to clear it.
    pub user_id: Change<Option<SystemId>>,
    /// The system group, `None` to clear it.
    pub group_id: Change<Option<SystemId>>,
    /// Whether it is an administrator.
    pub is_admin: Change<bool>,
    /// From when on nothing of it works, `None` to clear it.
    pub expired_at: Change<Option<Timestamp>>,
    /// Where it comes from, `None` to clear it.
    pub source_type: Change<Option<SourceType>>,
}

impl User {
    /// Whether nothing of the account works any more; it is over on the very millisecond.
    #[must_use]
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expired_at.is_some_and(|end| end <= now)
    }

    /// Whether it is an administrator for good: the last one of these is neither removed nor demoted, and never expires.
    #[must_use]
    pub fn is_lasting_administrator(&self) -> bool {
        self.is_admin && self.expired_at.is_none()
    }
}

impl UserChange {
    /// The account with this change made, but for the password: its hash takes half a second to compute, and is computed
    /// elsewhere.
    #[must_use]
    pub fn applied_to(self, current: &User) -> User {
        User {
            username: self.username.or(current.username.clone()),
            email: self.email.or(current.email.clone()),
            user_id: self.user_id.or(current.user_id),
            group_id: self.group_id.or(current.group_id),
            is_admin: self.is_admin.or(current.is_admin),
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
                expired_at: change.expired_at.or(None),
                source_type: change.source_type.or(None),
            }),
            _ => Err(violations),
        }
    }
}

/// A user name: 1 to 64 of `A-Z a-z 0-9 . _ - + @`, first a letter, digit or `_`, not digits only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Username(String);

impl Username {
    /// The maximum number of characters.
    pub const MAX: usize = 64;

    /// Parses a user name.
    ///
    /// # Errors
    /// `blank`, `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        if text.is_empty() {
            return Err(Problem::Blank);
        }
        at_most_characters(text, Self::MAX)?;
        let starts_well = text.starts_with(|first: char| first.is_ascii_alphanumeric() || first == '_');
        let permitted = |byte: u8| byte.is_ascii_alphanumeric() || b"._-+@".contains(&byte);
        let looks_like_an_id = text.bytes().all(|byte| byte.is_ascii_digit());
        if starts_well && text.bytes().all(permitted) && !looks_like_an_id {
            Ok(Self(text.to_owned()))
        } else {
            Err(Problem::Invalid)
        }
    }

    /// The name as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name in lower case: two names that fold alike are the same name.
    #[must_use]
    pub fn folded(&self) -> String {
        self.0.to_ascii_lowercase()
    }
}

/// An e-mail address: at most 254 characters, one `@` with something on both sides, no white space.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Email(String);

impl Email {
    /// The maximum number of characters.
    pub const MAX: usize = 254;

    /// Parses an e-mail address.
    ///
    /// # Errors
    /// `too_long` or `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        at_most_characters(text, Self::MAX)?;
        let sides_are_there = text
            .split_once('@')
            .is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty() && !domain.contains('@'));
        let forbidden = |character: char| character.is_whitespace() || character.is_control();
        if sides_are_there && !text.contains(forbidden) { Ok(Self(text.to_owned())) } else { Err(Problem::Invalid) }
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where an account comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SourceType {
    /// The web application.
    WebApp,
    /// The command line, for several users of one system.
    CliLinuxMultiUser,
    /// The command line, by LDAP.
    CliLdap,
}

impl SourceType {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::WebApp, Self::CliLinuxMultiUser, Self::CliLdap];

    /// Parses a source type as the API writes it.
    ///
    /// # Errors
    /// `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        Self::ALL.into_iter().find(|source| source.name() == text).ok_or(Problem::Invalid)
    }

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::WebApp => "web_app",
            Self::CliLinuxMultiUser => "cli_linux_multi_user",
            Self::CliLdap => "cli_ldap",
        }
    }
}

/// A system uid or gid, 0 to 2^31 - 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SystemId(u32);

impl SystemId {
    /// The largest one.
    pub const MAX: u32 = (1 << 31) - 1;
    /// The uid or gid of the superuser.
    pub const ROOT: Self = Self(0);
    /// The first one that systems give to people; those below are the system's own (`UID_MIN` and `GID_MIN` of login.defs).
    pub const FIRST_OF_PEOPLE: Self = Self(1000);

    /// Parses a uid or gid.
    ///
    /// # Errors
    /// `greater_than_or_equal_to` or `less_than_or_equal_to`, with the bound.
    pub fn new(number: i128) -> Parsed<Self> {
        if number < 0 {
            return Err(Problem::GreaterThanOrEqualTo(0));
        }
        let within = u32::try_from(number).ok().filter(|id| *id <= Self::MAX);
        within.map(Self).ok_or(Problem::LessThanOrEqualTo(i64::from(Self::MAX)))
    }

    /// The number.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}

/// The hash of a password: scrypt, as a PHC string.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PasswordHash(String);

impl PasswordHash {
    /// Wraps a PHC string that this server has made or stored.
    #[must_use]
    pub fn new(phc: String) -> Self {
        Self(phc)
    }

    /// The PHC string; it must not leave the server.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for PasswordHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_name_has_its_form() {
        let longest = "a".repeat(64);
        for right in ["a", "_x", "7a", "Ann.B-c+d@e", &longest] {
            assert!(Username::parse(right).is_ok(), "{right}");
        }
        let wrong = ["12", "-a", ".a", "a b", "a:b", "a/b", "a\0", "a\n", "\u{202e}a", "a\u{200b}", "аdmin", "ａ"];
        for wrong in wrong {
            assert_eq!(Username::parse(wrong), Err(Problem::Invalid), "{wrong:?}");
        }
        assert_eq!(Username::parse(""), Err(Problem::Blank));
        assert_eq!(Username::parse(&"a".repeat(65)), Err(Problem::TooLong(64)));
    }

    #[test]
    fn an_email_address_has_something_on_both_sides_of_one_at() {
        assert!(Email::parse("a@b").is_ok());
        for wrong in ["", "a", "@", "a@", "@b", "a@b@c", "a b@c", "a@b\r\n", "a@\u{0}"] {
            assert_eq!(Email::parse(wrong), Err(Problem::Invalid), "{wrong:?}");
        }
        assert_eq!(Email::parse(&format!("{}@b", "a".repeat(253))), Err(Problem::TooLong(254)));
    }

    #[test]
    fn a_system_id_never_wraps() {
        assert_eq!(SystemId::new(0), Ok(SystemId::ROOT));
        assert_eq!(SystemId::new(2_147_483_647).map(SystemId::get), Ok(2_147_483_647));
        assert_eq!(SystemId::new(-1), Err(Problem::GreaterThanOrEqualTo(0)));
        for beyond in [1_i128 << 31, 1 << 32, 1 << 53, 1 << 64] {
            assert_eq!(SystemId::new(beyond), Err(Problem::LessThanOrEqualTo(2_147_483_647)));
        }
    }
}
