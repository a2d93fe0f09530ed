//! What the operator may ask about credentials.

use std::{net::Ipv4Addr, sync::Arc};

use super::Authenticator;
use crate::{
    auth::{AuthError, Challenge, HashRequester},
    domain::{PresentedPassword, User},
};

impl Authenticator {
    /// Whether that is the user's password, for the operator, whose questions are no attempts. A right one is remembered for a
    /// while.
    ///
    /// # Errors
    /// [`AuthError::Busy`] before any hash is computed.
    pub async fn is_password_of(
        self: &Arc<Self>,
        user: &User,
        password: &PresentedPassword,
    ) -> Result<bool, AuthError> {
        const WRONG: AuthError = AuthError::Refused(Challenge::Basic);
        let nowhere = Ipv4Addr::UNSPECIFIED.into();
        let cache_key = self.password_cache.cache_key(user.username.as_str(), Some(user), password, nowhere);
        let (authenticator, stored, presented) = (Arc::clone(self), user.password.clone(), password.clone());
        let verify = async move {
            let is_right = authenticator.hasher.matches(HashRequester::server(), stored, presented).await?;
            if is_right { Ok(()) } else { Err(WRONG) }
        };
        match self.password_cache.check(cache_key, verify).await {
            Ok(()) => Ok(true),
            Err(AuthError::Refused(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }
}
