//! Identifiers by which people and other services distinguish accounts.

use super::{SystemId, Username};

/// An identifier by which others know an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountIdentifier {
    /// The user name, without its case.
    Username(String),
    /// The id of the system user that it represents.
    SystemUser(SystemId),
}

impl AccountIdentifier {
    /// The identifier of that name.
    #[must_use]
    pub fn of_name(username: &Username) -> Self {
        Self::Username(username.folded())
    }
}
