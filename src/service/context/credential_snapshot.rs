//! Confirms inside the commit that a caller still has its rights.

use super::system_user::only_user_of;
use crate::{
    auth::{AuthError, Authentication, Identity},
    clock::Timestamp,
    domain::{ApiKey, User},
    service::{Forbidden, ServiceError},
    store::{Tables, Txn},
};

/// The identity of a caller when the request was admitted.
pub(super) struct CredentialSnapshot(pub(super) Identity);

impl CredentialSnapshot {
    /// The current account, if the credential is still valid and its rights have not been reduced since.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a credential that is no longer valid; [`Forbidden::Role`], [`Forbidden::ScopesReduced`] and
    /// [`Forbidden::LimitsReduced`] for one with fewer rights; [`ServiceError::Store`].
    pub(super) fn confirm(&self, txn: &Txn<'_>, now: Timestamp) -> Result<User, ServiceError> {
        let Identity { user: admitted, authentication, .. } = &self.0;
        let user = txn.user(admitted.id)?.ok_or_else(|| self.refused())?;
        let is_good = match authentication {
            Authentication::Password => user.password == admitted.password,
            Authentication::Session(jti) => txn.session(user.id, *jti)?.is_some(),
            Authentication::ApiKey(admitted) => self.is_good_key(admitted, txn, now)?,
            Authentication::SystemUser(uid) => {
                let is_only = only_user_of(txn, *uid)?.is_some_and(|only| only.id == user.id);
                is_only && user.system_name == admitted.system_name
            }
        };
        if !is_good || !user.is_active(now) {
            return Err(self.refused());
        }
        if admitted.is_admin && !user.is_admin {
            return Err(Forbidden::Role.into());
        }
        Ok(user)
    }

    /// Whether the value that was admitted is still one of the key's.
    fn is_good_key(&self, admitted: &ApiKey, txn: &Txn<'_>, now: Timestamp) -> Result<bool, ServiceError> {
        let current = txn.api_key(admitted.owner, admitted.id)?.ok_or_else(|| self.refused())?;
        if !current.scopes.cover(&admitted.scopes) {
            return Err(Forbidden::ScopesReduced.into());
        }
        if admitted.outlives(&current) || !admitted.is_within_networks_of(&current) {
            return Err(Forbidden::LimitsReduced.into());
        }
        Ok(current.proved_by(admitted.digest).is_some_and(|key| !key.has_ended(now)))
    }

    fn refused(&self) -> ServiceError {
        AuthError::Refused(self.0.challenge()).into()
    }
}
