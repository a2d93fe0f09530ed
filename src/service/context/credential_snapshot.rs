//! The confirmation of a caller inside the commit.

use crate::{
    auth::{AuthError, Authentication, Identity},
    clock::Timestamp,
    domain::User,
    service::{Forbidden, ServiceError},
    store::{Tables, Txn},
};

/// What a caller's rights rested on when the request was admitted.
pub(super) struct CredentialSnapshot(pub(super) Identity);

impl CredentialSnapshot {
    /// The account as it is now, if the credential is still good and the rights have not been reduced since.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for a credential that is no longer good; [`Forbidden::Role`] and [`Forbidden::ScopesReduced`]
    /// for one that is worth less; [`ServiceError::Store`].
    pub(super) fn confirm(&self, txn: &Txn<'_>, now: Timestamp) -> Result<User, ServiceError> {
        let Identity { user: admitted, authentication, .. } = &self.0;
        let user = txn.user(admitted.id)?.ok_or_else(|| self.refused())?;
        let is_good = match authentication {
            Authentication::Password => user.password == admitted.password,
            Authentication::Session(jti) => txn.session(user.id, *jti)?.is_some(),
            Authentication::ApiKey(admitted) => {
                let current = txn.api_key(admitted.owner, admitted.id)?.ok_or_else(|| self.refused())?;
                if !current.scopes.cover(&admitted.scopes) {
                    return Err(Forbidden::ScopesReduced.into());
                }
                current.digest == admitted.digest
            }
        };
        if !is_good || user.has_expired(now) {
            return Err(self.refused());
        }
        if admitted.is_admin && !user.is_admin {
            return Err(Forbidden::Role.into());
        }
        Ok(user)
    }

    fn refused(&self) -> ServiceError {
        AuthError::Refused(self.0.challenge()).into()
    }
}
