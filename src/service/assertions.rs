//! Assertions: statements about a caller for one service, signed so that the service can check them by itself.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Caller, ServiceError};
use crate::{
    auth::SigningKey,
    clock::Timestamp,
    config::Audience,
    domain::{Scope, User},
    random::random_uuid,
};

/// The maximum duration for which an assertion is valid.
const LIFETIME: Duration = Duration::from_mins(1);

/// What is stated about a caller, and the key that signs it.
pub struct Assertion<'a> {
    /// The key.
    pub key: Arc<SigningKey>,
    /// Who states it.
    pub issuer: &'a str,
    /// The service that it is for.
    pub audience: &'a Audience,
    /// The caller's account.
    pub user: &'a User,
    /// The scopes of the caller's credential.
    pub scopes: Vec<Scope>,
    /// Whether the caller is an administrator whose credential permits everything.
    pub is_unrestricted_administrator: bool,
    /// When it is signed.
    pub issued_at: Timestamp,
    /// When it ends, no later than the credential and the account.
    pub expires_at: Timestamp,
    /// Its own id.
    pub id: Uuid,
}

/// The assertion about a caller for that service.
///
/// # Errors
/// [`ServiceError::NoSigningKey`] while there is no key.
pub fn issue<'a>(caller: &'a Caller, audience: &'a Audience) -> Result<Assertion<'a>, ServiceError> {
    let state = &caller.state;
    let key = state.keyring.published().signing().cloned().ok_or(ServiceError::NoSigningKey)?;
    let last = caller.at.after(LIFETIME);
    Ok(Assertion {
        key,
        issuer: &state.policy.assertions.issuer,
        audience,
        user: &caller.user,
        scopes: caller.scopes(),
        is_unrestricted_administrator: caller.is_unrestricted_administrator(),
        issued_at: caller.at,
        expires_at: caller.ends.map_or(last, |ends| ends.min(last)),
        id: random_uuid(),
    })
}
