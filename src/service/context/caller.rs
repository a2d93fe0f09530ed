//! Who a use case works for. The store is reached through a caller alone.

use std::{net::IpAddr, ops::Deref, sync::Arc};

use super::AppState;
use crate::{auth::Identity, store::Store};

/// A user who has proved who they are, and the application's state that they work on.
pub struct Caller {
    /// The application's state.
    pub state: Arc<AppState>,
    /// The user, and the credential that proved it.
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
}

impl Deref for Caller {
    type Target = Identity;

    fn deref(&self) -> &Identity {
        &self.identity
    }
}
