//! Who is asking: credentials, and the caller that a good one makes.

mod audited_write;
mod caller;
mod caller_cache;
mod credential;
mod key;
mod password;
mod password_cache;
mod queue;
mod state;
mod throttle;
mod token;
mod token_crypto;

use thiserror::Error;

pub use self::{
    caller::{Administrator, Anonymous, Authentication, CachedUser, Caller},
    credential::Credential,
    key::{KeyText, PresentedKey},
    password::{Cost, Hasher, is_sound_hash},
    queue::HashRequester,
    state::{AppState, Policy},
    throttle::{AccountHash, Attempt, Lockout, Throttle},
    token::{Claims, SessionTokens},
};
use crate::store::StoreError;

/// Which credentials a refusal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// None came: any will do.
    Any,
    /// A user name and password came.
    Basic,
    /// A token came, or this is what a browser page shall be told.
    Bearer,
}

/// What a caller has lost while the request was running.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivilegesReduced {
    /// The role of an administrator.
    Role,
    /// Scopes of the API key.
    Scopes,
}

/// Nobody was let in.
#[derive(Clone, Debug, Error)]
pub enum AuthError {
    /// The credential is missing, wrong, or no longer good. Which one stays unsaid.
    #[error("the credential is refused")]
    Refused(Challenge),
    /// The credential is good, and was worth less by the time of the write than when the request came.
    #[error("the rights of the credential have shrunk")]
    PrivilegesReduced(PrivilegesReduced),
    /// Too many tries have failed; one more is admitted later.
    #[error("too many tries have failed")]
    Throttled {
        /// In how many seconds, rounded up.
        retry_after_secs: u64,
    },
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked")]
    Busy,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
