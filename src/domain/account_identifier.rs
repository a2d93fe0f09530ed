//! What tells one account from another to people and other services.

use super::{SystemId, Username};

/// What others know an account by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AccountIdentifier {
    /// The user name, without its case.
    Username(String),
    /// The system user that it stands for.
    SystemUser(SystemId),
}

impl AccountIdentifier {
    /// The identifier of that name.
    #[must_use]
    pub fn of_name(username: &Username) -> Self {
        Self::Username(username.folded())
    }
}
