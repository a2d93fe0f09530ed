//! The identity of an authenticated caller.

use std::{fmt, net::IpAddr, sync::Arc};

use uuid::Uuid;

use super::Challenge;
use crate::{
    clock::Timestamp,
    domain::{Account, ActivitySubject, Actor, ApiKey, AuthMethod, Id, Scope, SystemId, User},
};

/// The kind of a valid credential, and the rights that it gives.
#[derive(Clone, Debug)]
pub enum Authentication {
    /// User name and password: the user's full rights.
    Password,
    /// The token of that session: the user's full rights.
    Session(Uuid),
    /// An API key: what its scopes permit, and no more than the user may.
    ApiKey(Arc<ApiKey>),
    /// The uid with which a user of the operating system connected: the user's full rights.
    SystemUser(SystemId),
}

/// The origin of a request.
#[derive(Clone, Debug)]
pub enum Principal {
    /// An account, by its credential.
    Account(Identity),
    /// That user of the operating system, root or the server's own, on the local socket: an administrator without an account.
    Local(u32),
}

/// An authenticated user.
#[derive(Clone, Debug)]
pub struct Identity {
    /// The account as it was when the request was authenticated.
    pub user: Arc<User>,
    /// The user's credential.
    pub authentication: Authentication,
    /// Where the request came from.
    pub address: IpAddr,
    /// When the request came.
    pub at: Timestamp,
    /// When the credential or the account ends; `None` if neither does.
    pub ends: Option<Timestamp>,
}

impl Authentication {
    /// Whether the credential permits the action; the user's role is not considered.
    #[must_use]
    pub fn permits(&self, controller: &str, action: &str) -> bool {
        match self {
            Self::Password | Self::Session(_) | Self::SystemUser(_) => true,
            Self::ApiKey(key) => key.scopes.permit(controller, action),
        }
    }

    /// Whether it permits only some of what the user may do.
    #[must_use]
    pub fn is_restricted(&self) -> bool {
        match self {
            Self::Password | Self::Session(_) | Self::SystemUser(_) => false,
            Self::ApiKey(key) => !key.scopes.are_full_access(),
        }
    }

    /// The scopes that the credential has; the user's role is not considered.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        match self {
            Self::Password | Self::Session(_) | Self::SystemUser(_) => vec![Scope::everything()],
            Self::ApiKey(key) => key.scopes.iter().cloned().collect(),
        }
    }
}

impl Identity {
    /// Whether the credential permits the action; the user's role is not considered.
    #[must_use]
    pub fn permits(&self, controller: &str, action: &str) -> bool {
        self.authentication.permits(controller, action)
    }

    /// The scopes of the credential; the user's role is not considered.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        self.authentication.scopes()
    }

    /// Whether this is an administrator whose credential permits everything.
    #[must_use]
    pub fn is_unrestricted_administrator(&self) -> bool {
        self.user.is_admin && self.restricted_key().is_none()
    }

    /// The API key, if the credential is a restricted one: a key without `* / *`.
    #[must_use]
    pub fn restricted_key(&self) -> Option<&ApiKey> {
        self.api_key().filter(|_| self.authentication.is_restricted())
    }

    /// The API key, if the credential is one that does not permit everything everywhere without an end.
    #[must_use]
    pub fn limited_key(&self) -> Option<&ApiKey> {
        self.api_key().filter(|key| key.is_limited())
    }

    /// The API key, if the credential is one.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKey> {
        match &self.authentication {
            Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_) => None,
            Authentication::ApiKey(key) => Some(key),
        }
    }

    /// The session, if the credential is the token of one.
    #[must_use]
    pub fn session(&self) -> Option<Uuid> {
        match self.authentication {
            Authentication::Session(jti) => Some(jti),
            Authentication::Password | Authentication::ApiKey(_) | Authentication::SystemUser(_) => None,
        }
    }

    /// The actor of an entry in the audit log.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let method = match &self.authentication {
            Authentication::Password => AuthMethod::Password,
            Authentication::Session(jti) => AuthMethod::Session(*jti),
            Authentication::ApiKey(api_key) => AuthMethod::ApiKey(Some(api_key.id)),
            Authentication::SystemUser(uid) => AuthMethod::SystemUser(uid.get()),
        };
        Actor::client(Some(Account::of(&self.user)), method, self.address)
    }

    /// The credential as a subject of activity, if that is recorded of its kind.
    #[must_use]
    pub fn activity_subject(&self) -> Option<ActivitySubject<'static>> {
        match &self.authentication {
            Authentication::Password | Authentication::SystemUser(_) => None,
            Authentication::Session(jti) => Some(ActivitySubject::Session(self.user.id, *jti)),
            Authentication::ApiKey(key) => Some(ActivitySubject::ApiKey(self.user.id, key.id)),
        }
    }

    /// The challenge that answers a credential of this kind when it is refused.
    #[must_use]
    pub fn challenge(&self) -> Challenge {
        match self.authentication {
            Authentication::Password => Challenge::Basic,
            Authentication::Session(_) | Authentication::ApiKey(_) => Challenge::Bearer,
            Authentication::SystemUser(_) => Challenge::Any,
        }
    }
}

impl Principal {
    /// Whether this is an administrator; the credential's scopes are another question.
    #[must_use]
    pub fn is_administrator(&self) -> bool {
        match self {
            Self::Account(identity) => identity.user.is_admin,
            Self::Local(_) => true,
        }
    }

    /// Whether this is the account of that id.
    #[must_use]
    pub fn is_account(&self, id: Id) -> bool {
        match self {
            Self::Account(identity) => identity.user.id == id,
            Self::Local(_) => false,
        }
    }

    /// The API key, if the credential is a restricted one: a key without `* / *`.
    #[must_use]
    pub fn restricted_key(&self) -> Option<&ApiKey> {
        match self {
            Self::Account(identity) => identity.restricted_key(),
            Self::Local(_) => None,
        }
    }

    /// The API key, if the credential is one that does not permit everything everywhere without an end.
    #[must_use]
    pub fn limited_key(&self) -> Option<&ApiKey> {
        match self {
            Self::Account(identity) => identity.limited_key(),
            Self::Local(_) => None,
        }
    }

    /// The API key, if the credential is one.
    #[must_use]
    pub fn api_key(&self) -> Option<&ApiKey> {
        match self {
            Self::Account(identity) => identity.api_key(),
            Self::Local(_) => None,
        }
    }

    /// The session, if the credential is the token of one.
    #[must_use]
    pub fn session(&self) -> Option<Uuid> {
        match self {
            Self::Account(identity) => identity.session(),
            Self::Local(_) => None,
        }
    }

    /// The actor of an entry in the audit log.
    #[must_use]
    pub fn actor(&self) -> Actor {
        match self {
            Self::Account(identity) => identity.actor(),
            Self::Local(uid) => Actor::local(*uid),
        }
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Account(identity) => write!(f, "user_id={}", identity.user.id),
            Self::Local(uid) => write!(f, "user_id=local:{uid}"),
        }
    }
}
