//! Who is asking: credentials, and the identity that a good one proves.

mod authenticator;
mod caller_cache;
mod credential;
mod identity;
mod key;
mod password;
mod password_cache;
mod queue;
mod throttle;
mod token;
mod token_crypto;

use thiserror::Error;

pub use self::{
    authenticator::Authenticator,
    credential::Credential,
    identity::{Authentication, Identity},
    key::{ApiKeyIssuer, KeyText, PresentedKey},
    password::{Cost, Hasher, is_sound_hash},
    queue::HashRequester,
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

/// Nobody was let in.
#[derive(Clone, Debug, Error)]
pub enum AuthError {
    /// The credential is missing, wrong, or no longer good. Which one stays unsaid.
    #[error("the credential is refused")]
    Refused(Challenge),
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
