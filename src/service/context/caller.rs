//! The caller of a use case. Use cases reach the store only through a caller or a requester.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use super::AppState;
use crate::{
    auth::{HashRequester, Identity, Principal},
    domain::{ActivitySubject, User},
    store::Store,
};

/// An authenticated user, and the application's state.
pub struct Caller {
    /// The application's state.
    pub state: Arc<AppState>,
    /// The user and the credential.
    pub identity: Identity,
}

/// Who a request comes from, with or without an account, and the application's state that it works on.
pub struct Requester {
    /// The application's state.
    pub state: Arc<AppState>,
    /// Who it comes from.
    pub principal: Principal,
}

/// A [`Requester`] who is an administrator.
pub struct Administrator(pub Requester);

/// The operator on the local socket.
pub struct Local {
    /// The application's state.
    pub state: Arc<AppState>,
    /// The operating system's user.
    pub uid: u32,
}

/// A request without a credential.
pub struct Anonymous {
    /// The application's state.
    pub state: Arc<AppState>,
    /// Where the request came from.
    pub address: IpAddr,
}

/// What a write is done by: the account as it is in the commit, or the operator, who has none.
#[derive(Clone, Copy)]
pub enum Author<'a> {
    /// That account.
    Account(&'a User),
    /// The operator on the local socket: an administrator without an account.
    Local,
}

impl Caller {
    /// The store, to read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// Records that the caller's API key, if the credential is one, is using that scope.
    pub fn record_scope(&self, controller: &str, action: &str) {
        if let Some(key) = self.api_key() {
            let subject = ActivitySubject::ApiKeyScope(self.user.id, key.id, controller, action);
            self.state.activity.record(subject, self.at, None);
        }
    }
}

impl Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}

impl Requester {
    /// The store, to read.
    #[must_use]
    pub fn store(&self) -> &Store {
        &self.state.store
    }

    /// The author of what is done before any commit.
    #[must_use]
    pub fn author(&self) -> Author<'_> {
        match &self.principal {
            Principal::Account(identity) => Author::Account(&identity.user),
            Principal::Local(_) => Author::Local,
        }
    }

    /// Whose turn a hash takes that is computed for this request.
    pub(crate) fn hash_requester(&self) -> HashRequester {
        match &self.principal {
            Principal::Account(identity) => {
                let throttle = &self.state.authenticator.throttle;
                throttle.signed_in_requester(&identity.user.username, identity.address)
            }
            Principal::Local(_) => HashRequester::server(),
        }
    }
}

impl Deref for Requester {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl From<Caller> for Requester {
    fn from(Caller { state, identity }: Caller) -> Self {
        Self { state, principal: Principal::Account(identity) }
    }
}

impl Author<'_> {
    /// Whether this is an administrator.
    #[must_use]
    pub fn is_administrator(self) -> bool {
        match self {
            Self::Account(user) => user.is_admin,
            Self::Local => true,
        }
    }

    /// Whether this is that account.
    #[must_use]
    pub fn is(self, user: &User) -> bool {
        match self {
            Self::Account(author) => author.id == user.id,
            Self::Local => false,
        }
    }
}
