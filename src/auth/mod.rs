//! Authentication: credentials, and the identity that a valid one proves.

mod asked_tokens;
mod authenticator;
mod caller_cache;
mod credential;
mod identity;
mod key;
mod password;
mod password_cache;
mod password_hash;
mod queue;
mod shared_attempts;
mod signing_key;
mod throttle;
mod token;
mod token_crypto;

use thiserror::Error;

pub use self::{
    authenticator::{Authenticator, GoodToken, TokenFlaw},
    credential::Credential,
    identity::{Authentication, Identity, Principal},
    key::{ApiKeyIssuer, KeyText, PresentedKey},
    password::{HashLoad, Hasher, RightPassword, Verification},
    password_hash::{Cost, is_sound_hash},
    queue::HashRequester,
    signing_key::{KeySeal, PublicKey, SigningKey},
    throttle::{AccountHash, Attempt, Lockout, Throttle},
    token::{Claims, PresentedSession, SessionTokens},
};
use crate::store::StoreError;

/// The credentials that a refusal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Challenge {
    /// Any credential: the request had none.
    Any,
    /// A user name and password, as the request had.
    Basic,
    /// A token: the request had one, or was a sign-in, after which a browser must not show a password dialog of its
    /// own.
    Bearer,
}

/// Why a request is not authenticated.
#[derive(Clone, Debug, Error)]
pub enum AuthError {
    /// The credential is missing, wrong or no longer valid; which one is not disclosed.
    #[error("the credential is refused")]
    Refused(Challenge),
    /// Too many attempts have failed; the next one is admitted later.
    #[error("too many attempts have failed")]
    Throttled {
        /// The number of seconds until then, rounded up.
        retry_after_secs: u64,
    },
    /// Too many passwords are waiting to be verified.
    #[error("too many passwords are waiting to be verified")]
    Busy,
    /// Checking a password panicked, which is a bug.
    #[error("checking a password panicked")]
    Panicked,
    /// The store cannot be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}
