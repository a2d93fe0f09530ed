//! Which accounts a list has, and in which order.

use super::{Email, Parsed, Problem, SystemId, User};
use crate::clock::Timestamp;

/// An attribute that accounts are sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "they are the attributes of a user")]
pub enum UserAttribute {
    Id,
    UserId,
    GroupId,
    Username,
    Email,
    IsAdmin,
    Suspended,
    ExpiredAt,
    SourceType,
    CreatedAt,
    UpdatedAt,
}

/// An order of accounts. Those with the same value are in ascending order of id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserOrder {
    /// By what.
    pub attribute: UserAttribute,
    /// Whether the greatest value comes first.
    pub is_descending: bool,
}

/// What a text must be, without regard to case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TextFilter {
    /// This text, in lower case.
    Is(String),
    /// A text with this one in it, in lower case.
    Contains(String),
}

/// What accounts of a list have in common; a filter without a condition has all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserFilter {
    /// The user name.
    pub username: Option<TextFilter>,
    /// The e-mail address.
    pub email: Option<TextFilter>,
    /// The role.
    pub is_admin: Option<bool>,
    /// The system user.
    pub user_id: Option<SystemId>,
    /// The system group.
    pub group_id: Option<SystemId>,
}

impl UserAttribute {
    /// Every one.
    pub const ALL: [Self; 11] = [
        Self::Id,
        Self::UserId,
        Self::GroupId,
        Self::Username,
        Self::Email,
        Self::IsAdmin,
        Self::Suspended,
        Self::ExpiredAt,
        Self::SourceType,
        Self::CreatedAt,
        Self::UpdatedAt,
    ];

    /// The name in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Id => "id",
            Self::UserId => "user_id",
            Self::GroupId => "group_id",
            Self::Username => "username",
            Self::Email => "email",
            Self::IsAdmin => "is_admin",
            Self::Suspended => "suspended",
            Self::ExpiredAt => "expired_at",
            Self::SourceType => "source_type",
            Self::CreatedAt => "created_at",
            Self::UpdatedAt => "updated_at",
        }
    }

    /// The account's value as bytes that sort as values do, texts without regard to case; empty if it has none.
    fn key_of(self, user: &User) -> Vec<u8> {
        match self {
            Self::Id => number(user.id.get().into()),
            Self::UserId => user.user_id.map_or_else(Vec::new, |id| number(id.get().into())),
            Self::GroupId => user.group_id.map_or_else(Vec::new, |id| number(id.get().into())),
            Self::Username => user.username.folded().into_bytes(),
            Self::Email => user.email.as_ref().map_or_else(Vec::new, |email| folded(email).into_bytes()),
            Self::IsAdmin => vec![user.is_admin.into()],
            Self::Suspended => vec![user.suspended.into()],
            Self::ExpiredAt => user.expired_at.map_or_else(Vec::new, moment),
            Self::SourceType => user.source_type.map_or_else(Vec::new, |source| source.name().into()),
            Self::CreatedAt => moment(user.created_at),
            Self::UpdatedAt => moment(user.updated_at),
        }
    }
}

impl UserOrder {
    /// Ascending ids, as every list has them.
    pub const BY_ID: Self = Self { attribute: UserAttribute::Id, is_descending: false };

    /// Parses an order as the API writes it: an attribute, and `asc` or `desc` after a colon, `asc` if there is none.
    ///
    /// # Errors
    /// `invalid`.
    pub fn parse(text: &str) -> Parsed<Self> {
        let (name, direction) = text.split_once(':').unwrap_or((text, "asc"));
        let attribute = UserAttribute::ALL.into_iter().find(|attribute| attribute.name() == name);
        let attribute = attribute.ok_or(Problem::Invalid)?;
        match direction {
            "asc" => Ok(Self { attribute, is_descending: false }),
            "desc" => Ok(Self { attribute, is_descending: true }),
            _ => Err(Problem::Invalid),
        }
    }

    /// Bytes that sort as the accounts do in this order.
    #[must_use]
    pub fn key_of(self, user: &User) -> Vec<u8> {
        let mut key = match self.attribute.key_of(user).as_slice() {
            [] => vec![0],
            // The 0 at the end comes before any other byte, so that a text comes before those that it is the beginning of.
            value => [&[1], value, &[0]].concat(),
        };
        if self.is_descending {
            for byte in &mut key {
                *byte = !*byte;
            }
        }
        key.extend(user.id.get().to_be_bytes());
        key
    }
}

impl TextFilter {
    /// Parses a condition as the API writes it: a text, or `~` and a part of one.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        match text.strip_prefix('~') {
            Some(part) => Self::Contains(part.to_lowercase()),
            None => Self::Is(text.to_lowercase()),
        }
    }

    fn admits(&self, text: &str) -> bool {
        match self {
            Self::Is(whole) => text == whole,
            Self::Contains(part) => text.contains(part.as_str()),
        }
    }
}

impl UserFilter {
    /// Whether the account is one of the list.
    #[must_use]
    pub fn admits(&self, user: &User) -> bool {
        self.is_admin.is_none_or(|is_admin| user.is_admin == is_admin)
            && self.user_id.is_none_or(|id| user.user_id == Some(id))
            && self.group_id.is_none_or(|id| user.group_id == Some(id))
            && self.username.as_ref().is_none_or(|filter| filter.admits(&user.username.folded()))
            && self
                .email
                .as_ref()
                .is_none_or(|filter| user.email.as_ref().is_some_and(|email| filter.admits(&folded(email))))
    }
}

fn folded(email: &Email) -> String {
    email.as_str().to_lowercase()
}

fn number(number: u64) -> Vec<u8> {
    number.to_be_bytes().to_vec()
}

fn moment(moment: Timestamp) -> Vec<u8> {
    number(moment.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Id, PasswordHash, Username};

    fn user(id: u32, username: &str, email: Option<&str>) -> User {
        let (id, username) = (Id::new(id).unwrap(), Username::parse(username).unwrap());
        let user = User::new(id, username, PasswordHash::new(String::new()), Timestamp::from_secs(0));
        User { email: email.map(|email| Email::parse(email).unwrap()), ..user }
    }

    fn sorted(order: &str) -> Vec<u32> {
        let order = UserOrder::parse(order).unwrap();
        let mut users =
            [user(1, "bob", Some("b@x")), user(2, "Bobby", None), user(3, "ann", Some("B@x")), user(4, "ANNA", None)];
        users[1].group_id = SystemId::new(0).ok();
        users.sort_by_key(|user| order.key_of(user));
        users.map(|user| user.id.get()).to_vec()
    }

    #[test]
    fn values_sort_without_regard_to_case_and_those_without_one_are_the_least() {
        assert_eq!(sorted("username"), [3, 4, 1, 2]);
        assert_eq!(sorted("username:asc"), [3, 4, 1, 2]);
        assert_eq!(sorted("username:desc"), [2, 1, 4, 3]);
        assert_eq!(sorted("email:asc"), [2, 4, 1, 3]);
        assert_eq!(sorted("email:desc"), [1, 3, 2, 4]);
        assert_eq!(sorted("id:desc"), [4, 3, 2, 1]);
        assert_eq!(sorted("user_id:desc"), [1, 2, 3, 4]);
        assert_eq!(sorted("group_id"), [1, 3, 4, 2], "gids of none, none, none and 0");
    }

    #[test]
    fn an_order_has_a_known_attribute_and_a_known_direction() {
        for attribute in UserAttribute::ALL {
            assert!(UserOrder::parse(&format!("{}:desc", attribute.name())).is_ok());
        }
        for wrong in
            ["", "password", "Username", "username:", "username:ASC", "username:asc:asc", "username asc", ":asc"]
        {
            assert_eq!(UserOrder::parse(wrong), Err(Problem::Invalid), "{wrong}");
        }
    }

    #[test]
    fn conditions_hold_together_and_without_regard_to_case() {
        let ann = user(1, "Ann", Some("Ann@Home"));
        let filter = |username: &str, email: &str| UserFilter {
            username: Some(TextFilter::parse(username)),
            email: Some(TextFilter::parse(email)),
            ..UserFilter::default()
        };
        for (username, email, is_admitted) in [
            ("ann", "ann@home", true),
            ("ANN", "~@H", true),
            ("~N", "~", true),
            ("an", "ann@home", false),
            ("~x", "ann@home", false),
            ("ann", "ann@hom", false),
        ] {
            assert_eq!(filter(username, email).admits(&ann), is_admitted, "{username} {email}");
        }
        assert!(!filter("bob", "~").admits(&user(2, "bob", None)));
    }
}
