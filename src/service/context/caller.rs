//! The caller of a use case. Use cases reach the store only through a caller.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use super::AppState;
use crate::{auth::Identity, domain::ActivitySubject, store::Store};

/// An authenticated user, and the application's state.
pub struct Caller {
    /// The application's state.
    pub state: Arc<AppState>,
    /// The user and the credential.
    pub identity: Identity,
}

/// A [`Caller`] who is an administrator.
pub struct Administrator(pub Caller);

/// A request without a credential.
pub struct Anonymous {
    /// The application's state.
    pub state: Arc<AppState>,
    /// Where the request came from.
    pub address: IpAddr,
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
