//! Use cases, with the rules about ownership and escalation. No HTTP.

pub mod activity;
pub mod api_keys;
pub mod apply;
pub mod assertion_keys;
pub mod assertions;
pub mod audit;
pub mod configurations;
mod context;
pub mod demand;
pub mod explanation;
pub mod first_start;
pub mod introspection;
pub mod locks;
pub mod metrics;
pub mod replace;
pub mod sessions;
pub mod status;
pub mod systems;
pub mod users;

use thiserror::Error;

pub use self::context::{
    Administrator, Anonymous, AppState, Author, Caller, KnownName, Local, Policy, Requester, ResourceAccess,
    ResourceAction, Serving,
};
use crate::{
    auth::{AuthError, Principal},
    domain::{InvalidRecords, Problem, Scope, Violations},
    store::{IdSet, PutError, StoreError, Tables, id_set, table},
    system::NameServiceError,
};

/// Why an operation failed.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// The credential is refused or cannot be checked.
    #[error(transparent)]
    Auth(#[from] AuthError),
    /// The caller lacks the right.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// The record does not exist, or is not the caller's.
    #[error("it does not exist")]
    NotFound,
    /// The record would be invalid.
    #[error("the record is invalid")]
    Invalid(Violations),
    /// Some of the records that were submitted together would be invalid.
    #[error("records are invalid")]
    InvalidRecords(InvalidRecords),
    /// No key can sign an assertion now.
    #[error("there is no key that signs assertions")]
    NoSigningKey,
    /// What a write was prepared for has changed before it.
    #[error("the accounts have changed meanwhile")]
    ChangedMeanwhile,
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The operating system's users and groups cannot be read.
    #[error(transparent)]
    NameService(#[from] NameServiceError),
}

/// The right that a caller lacks, in a sentence for the caller.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Forbidden {
    /// The key's scopes do not permit it.
    #[error("This API key lacks the scope {controller} / {action}.")]
    Scope {
        /// The missing scope's controller.
        controller: &'static str,
        /// The missing scope's action.
        action: &'static str,
    },
    /// The key's scopes do not permit what another service does.
    #[error("This API key lacks the scope {0}.")]
    LacksScope(Scope),
    /// The caller is a standard user.
    #[error("Only an administrator may do this.")]
    Role,
    /// The operator has no account, and this concerns the caller's own.
    #[error("The local socket has no account of its own: this needs an Authorization header.")]
    NoAccount,
    /// The key's scopes have been reduced since the request was admitted.
    #[error("The scopes of this API key have just changed.")]
    ScopesReduced,
    /// The key's end has been brought forward or its networks reduced since the request was admitted.
    #[error("The expiry or the networks of this API key have just changed.")]
    LimitsReduced,
    /// The key would reach beyond its own scopes.
    #[error("This API key does not cover the scopes of that API key.")]
    Escalation,
    /// The key would give a new value to one that ends later, or may be used from elsewhere.
    #[error("This API key does not cover the scopes, the expiry and the networks of that API key.")]
    RotationBeyond,
    /// The key ends or is bound to networks, and this would reach beyond both.
    #[error("An API key with an expiry or networks may not do this.")]
    Limited,
    /// A browser sent the request with a cookie, and not from a page of the service that it is for.
    #[error("This request does not come from a page of the same origin.")]
    OtherOrigin,
    /// The key may not be used from the client's address.
    #[error("This API key may not be used from this address.")]
    Network,
}

impl Forbidden {
    /// The refusal of what needs `* / *`.
    pub const NEEDS_FULL_ACCESS: Self = Self::Scope { controller: "*", action: "*" };
}

impl From<Forbidden> for ServiceError {
    fn from(forbidden: Forbidden) -> Self {
        Self::Forbidden(forbidden)
    }
}

/// Refuses to a restricted key what needs full access.
fn refuse_restricted_key(principal: &Principal, needs_full_access: bool) -> Result<(), ServiceError> {
    if needs_full_access && principal.restricted_key().is_some() {
        Err(Forbidden::NEEDS_FULL_ACCESS.into())
    } else {
        Ok(())
    }
}

impl From<Violations> for ServiceError {
    fn from(violations: Violations) -> Self {
        Self::Invalid(violations)
    }
}

/// Refuses a record with violations.
fn refuse_invalid(violations: Violations) -> Result<(), ServiceError> {
    if violations.is_empty() { Ok(()) } else { Err(ServiceError::Invalid(violations)) }
}

/// The violation of one record more in that set than there may be.
fn beyond_bound(rows: &impl Tables, set: IdSet, records: &'static str, max: usize) -> Result<Violations, StoreError> {
    let is_full = id_set::count(rows, set)? >= max as u64;
    Ok(if is_full { Violations::too_many(records, max) } else { Violations::none() })
}

/// Converts a taken index entry to the violation of that attribute.
fn taken(attribute: &'static str, value: &str) -> impl FnOnce(PutError) -> ServiceError {
    let violation = Violations::one(attribute, Problem::Taken, Some(value.to_owned()));
    move |error| match error {
        PutError::Taken(_) => ServiceError::Invalid(violation),
        PutError::Store(error) => error.into(),
    }
}

/// Converts a taken index entry to the error of a damaged store. Without damage the entry cannot be taken: it is
/// derived from 122 random bits, or is the record's own.
fn never_taken(error: PutError) -> ServiceError {
    match error {
        PutError::Taken(tree) => ServiceError::Store(table::corrupt(tree)),
        PutError::Store(error) => error.into(),
    }
}
