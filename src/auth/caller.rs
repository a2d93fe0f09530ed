//! Who is asking, once that is known. The store is reached through these alone.

use std::{
    net::IpAddr,
    ops::Deref,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use uuid::Uuid;

use super::{AuthError, Challenge, Realm, Shrunk};
use crate::{
    domain::{Action, ApiKey, Subject, User},
    store::{Store, StoreError, Tables, Txn},
};

/// By what a caller came in.
#[derive(Clone, Debug)]
pub enum Access {
    /// With user name and password: the user's full rights.
    Password,
    /// With the token of that session: the user's full rights.
    Session(Uuid),
    /// With an API key: what its scopes permit, and no more than the user may.
    ApiKey(Arc<ApiKey>),
}

/// An account as it was when a credential of its user was found good, with what the user was told of it.
#[derive(Debug)]
pub struct KnownUser {
    user: User,
    told: OnceLock<Bytes>,
}

impl KnownUser {
    /// What the user is told of the account; `tell` is called once.
    pub fn told(&self, tell: impl FnOnce(&User) -> Bytes) -> Bytes {
        self.told.get_or_init(|| tell(&self.user)).clone()
    }
}

impl From<User> for KnownUser {
    fn from(user: User) -> Self {
        Self { user, told: OnceLock::new() }
    }
}

impl Deref for KnownUser {
    type Target = User;

    fn deref(&self) -> &User {
        &self.user
    }
}

/// Somebody with a good credential.
pub struct Caller {
    /// What the caller works on.
    pub realm: Arc<Realm>,
    /// The account, as it was when the request came.
    pub user: Arc<KnownUser>,
    /// By what the caller came in.
    pub access: Access,
    /// Where the caller is.
    pub address: IpAddr,
}

/// A [`Caller`] who is an administrator.
pub struct Administrator(pub Caller);

/// Somebody whom nothing is known of.
pub struct Visitor {
    /// What the visitor may ask of: whether a password is right.
    pub realm: Arc<Realm>,
    /// Where the visitor is.
    pub address: IpAddr,
}

impl Caller {
    /// A caller whose credential was found good.
    #[must_use]
    pub fn new(realm: Arc<Realm>, user: Arc<KnownUser>, access: Access, address: IpAddr) -> Self {
        Self { realm, user, access, address }
    }

    /// Whether the credential permits the action; the caller's role is another question.
    #[must_use]
    pub fn permits(&self, controller: &str, action: &str) -> bool {
        match &self.access {
            Access::Password | Access::Session(_) => true,
            Access::ApiKey(key) => key.scopes.permit(controller, action),
        }
    }

    /// The API key, if the caller came in by one that lacks `* / *`.
    #[must_use]
    pub fn narrow_key(&self) -> Option<&ApiKey> {
        self.api_key().filter(|key| !key.scopes.are_full_access())
    }

    /// The API key, if the caller came in by one.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKey> {
        match &self.access {
            Access::Password | Access::Session(_) => None,
            Access::ApiKey(key) => Some(key),
        }
    }

    /// The store, to read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.realm.store
    }

    /// Writes, if the credential is still as good as when the request came; the write is given the account as it is now.
    ///
    /// What it changes is told in the audit log as that action, done to the subject that the write names.
    ///
    /// # Errors
    /// [`AuthError::Refused`] or [`AuthError::Shrunk`] if it is not, and whatever [`Store::write`] and the write itself say.
    pub async fn write<T, E>(
        &self,
        action: Action,
        work: impl FnOnce(&mut Txn<'_>, User) -> Result<(T, Subject), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + From<AuthError> + Send + 'static,
    {
        let standing = Standing { user: Arc::clone(&self.user), access: self.access.clone() };
        self.realm
            .write(self.actor(), action, move |txn| {
                let user = standing.confirm(txn)?;
                work(txn, user)
            })
            .await
    }
}

/// What a caller's rights rest on.
struct Standing {
    user: Arc<KnownUser>,
    access: Access,
}

impl Standing {
    /// The account as it is now, unless the rights have shrunk since the request came.
    fn confirm(&self, txn: &Txn<'_>) -> Result<User, AuthError> {
        let refused = || AuthError::Refused(self.challenge());
        let user = txn.user(self.user.id)?.ok_or_else(refused)?;
        let is_good = match &self.access {
            Access::Password => user.password == self.user.password,
            Access::Session(jti) => txn.session(user.id, *jti)?.is_some(),
            Access::ApiKey(admitted) => {
                let present = txn.api_key(admitted.owner, admitted.id)?.ok_or_else(refused)?;
                if !present.scopes.cover(&admitted.scopes) {
                    return Err(AuthError::Shrunk(Shrunk::Scopes));
                }
                present.digest == admitted.digest
            }
        };
        if !is_good {
            return Err(refused());
        }
        if self.user.is_admin && !user.is_admin {
            return Err(AuthError::Shrunk(Shrunk::Role));
        }
        Ok(user)
    }

    fn challenge(&self) -> Challenge {
        match self.access {
            Access::Password => Challenge::Basic,
            Access::Session(_) | Access::ApiKey(_) => Challenge::Bearer,
        }
    }
}
