//! Who is asking, once that is known. The store is reached through these alone.

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use uuid::Uuid;

use super::{AppState, AuthError, Challenge, PrivilegesReduced};
use crate::{
    domain::{Action, AffectedResource, ApiKey, User},
    store::{Store, StoreError, Tables, Txn},
};

/// By what a caller came in.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// With user name and password: the user's full rights.
    Password,
    /// With the token of that session: the user's full rights.
    Session(Uuid),
    /// With an API key: what its scopes permit, and no more than the user may.
    ApiKey(Arc<ApiKey>),
}

/// An account as it was when a credential of its user was found good, with what the user was told of it.
#[derive(Debug)]
pub struct CachedUser {
    user: User,
    told: OnceLock<Bytes>,
}

impl CachedUser {
    /// What the user is told of the account; `tell` is called once.
    pub fn told(&self, tell: impl FnOnce(&User) -> Bytes) -> Bytes {
        self.told.get_or_init(|| tell(&self.user)).clone()
    }
}

impl From<User> for CachedUser {
    fn from(user: User) -> Self {
        Self { user, told: OnceLock::new() }
    }
}

impl Deref for CachedUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

/// Somebody with a good credential.
pub struct Caller {
    /// What the caller works on.
    pub state: Arc<AppState>,
    /// The account, as it was when the request came.
    pub user: Arc<CachedUser>,
    /// By what the caller came in.
    pub authentication: Authentication,
    /// Where the caller is.
    pub address: IpAddr,
}

/// A [`Caller`] who is an administrator.
pub struct Administrator(pub Caller);

/// Somebody whom nothing is known of.
pub struct Anonymous {
    /// What the visitor may ask of: whether a password is right.
    pub state: Arc<AppState>,
    /// Where the visitor is.
    pub address: IpAddr,
}

impl Caller {
    /// A caller whose credential was found good.
    #[must_use]
    pub fn new(state: Arc<AppState>, user: Arc<CachedUser>, authentication: Authentication, address: IpAddr) -> Self {
        Self { state, user, authentication, address }
    }

    /// Whether the credential permits the action; the caller's role is another question.
    #[must_use]
    pub fn permits(&self, controller: &str, action: &str) -> bool {
        match &self.authentication {
            Authentication::Password | Authentication::Session(_) => true,
            Authentication::ApiKey(key) => key.scopes.permit(controller, action),
        }
    }

    /// The API key, if the caller came in by one that lacks `* / *`.
    #[must_use]
    pub fn restricted_key(&self) -> Option<&ApiKey> {
        self.api_key().filter(|key| !key.scopes.are_full_access())
    }

    /// The API key, if the caller came in by one.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKey> {
        match &self.authentication {
            Authentication::Password | Authentication::Session(_) => None,
            Authentication::ApiKey(key) => Some(key),
        }
    }

    /// The store, to read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// Writes, if the credential is still as good as when the request came; the write is given the account as it is now.
    ///
    /// What it changes is told in the audit log as that action, done to the subject that the write names.
    ///
    /// # Errors
    /// [`AuthError::Refused`] or [`AuthError::PrivilegesReduced`] if it is not, and whatever [`Store::write`] and the write itself say.
    pub async fn write<T, E>(
        &self,
        action: Action,
        work: impl FnOnce(&mut Txn<'_>, User) -> Result<(T, AffectedResource), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<AuthError> + Send + 'static,
    {
        let credential =
            CredentialSnapshot { user: Arc::clone(&self.user), authentication: self.authentication.clone() };
        self.state
            .write(self.actor(), action, move |txn| {
                let user = credential.confirm(txn)?;
                work(txn, user)
            })
            .await
    }
}

/// What a caller's rights rest on.
struct CredentialSnapshot {
    user: Arc<CachedUser>,
    authentication: Authentication,
}

impl CredentialSnapshot {
    /// The account as it is now, unless the rights have shrunk since the request came.
    fn confirm(&self, txn: &Txn<'_>) -> Result<User, AuthError> {
        let refused = || AuthError::Refused(self.challenge());
        let user = txn.user(self.user.id)?.ok_or_else(refused)?;
        let is_good = match &self.authentication {
            Authentication::Password => user.password == self.user.password,
            Authentication::Session(jti) => txn.session(user.id, *jti)?.is_some(),
            Authentication::ApiKey(admitted) => {
                let present = txn.api_key(admitted.owner, admitted.id)?.ok_or_else(refused)?;
                if !present.scopes.cover(&admitted.scopes) {
                    return Err(AuthError::PrivilegesReduced(PrivilegesReduced::Scopes));
                }
                present.digest == admitted.digest
            }
        };
        if !is_good {
            return Err(refused());
        }
        if self.user.is_admin && !user.is_admin {
            return Err(AuthError::PrivilegesReduced(PrivilegesReduced::Role));
        }
        Ok(user)
    }

    fn challenge(&self) -> Challenge {
        match self.authentication {
            Authentication::Password => Challenge::Basic,
            Authentication::Session(_) | Authentication::ApiKey(_) => Challenge::Bearer,
        }
    }
}
