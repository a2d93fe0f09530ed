//! The events that the audit log records.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{ApiKey, Configuration, Id, Session, User};
use crate::clock::Timestamp;

/// One entry of the audit log: an event, and its place in the log's chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Counts the entries from 1 up, without gaps.
    pub id: u64,
    /// What happened.
    pub event: Event,
    /// HMAC-SHA-256 of the entry before and this one under a key of the server's; in an entry of 0.3.0, of the link.
    pub mac: [u8; 32],
    /// SHA-256 of the entry before and this one, in an entry of 0.3.0.
    pub link: Option<[u8; 32]>,
}

/// An event: who did what to whom, from where, with which credential, when, with what result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When.
    pub at: Timestamp,
    /// Who, with what, from where.
    pub actor: Actor,
    /// What was done.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// The affected record, and how it was affected, without any secret or configuration value.
    pub subject: AffectedResource,
    /// How many equal events the entry stands for.
    pub count: u64,
}

/// How an action ended. The order of the variants is fixed: the store encodes them by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused: the credential is wrong.
    Refused,
    /// It was refused without a check of the credential, because too many attempts had failed.
    HadToWait,
}

/// The actions that the log records, each named like a scope. The order of the variants is fixed: the store encodes
/// them by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "their names are their documentation")]
pub enum Action {
    SignIn,
    SignOut,
    CheckCredential,
    CreateUser,
    UpdateUser,
    DestroyUser,
    CreateConfiguration,
    UpdateConfiguration,
    DestroyConfiguration,
    CreateApiKey,
    UpdateApiKey,
    DestroyApiKey,
    StartServer,
    StopServer,
    CreateBackup,
    RestoreBackup,
    RotateSecret,
    AcceptLoss,
    UpgradeStore,
    ContinueLog,
    DestroyLocks,
    DestroyOwnSessions,
    DestroyUserSessions,
    CreateUserConfiguration,
    UpdateUserConfiguration,
    DestroyUserConfiguration,
    CreateUserApiKey,
    UpdateUserApiKey,
    DestroyUserApiKey,
    RotateApiKey,
    RotateUserApiKey,
    ConnectSystemUser,
    DestroyFormerValue,
    DestroyUserFormerValue,
    RotateAssertionKeys,
}

impl Action {
    /// The name: for an operation its scope.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SignIn => "sessions / create",
            Self::SignOut => "sessions / destroy",
            Self::CheckCredential => "credentials / check",
            Self::CreateUser => "users / create",
            Self::UpdateUser => "users / update",
            Self::DestroyUser => "users / destroy",
            Self::CreateConfiguration => "configurations / create",
            Self::UpdateConfiguration => "configurations / update",
            Self::DestroyConfiguration => "configurations / destroy",
            Self::CreateApiKey => "api_keys / create",
            Self::UpdateApiKey => "api_keys / update",
            Self::DestroyApiKey => "api_keys / destroy",
            Self::StartServer => "server / start",
            Self::StopServer => "server / stop",
            Self::CreateBackup => "backups / create",
            Self::RestoreBackup => "backups / restore",
            Self::RotateSecret => "secret / rotate",
            Self::AcceptLoss => "store / accept_loss",
            Self::UpgradeStore => "store / upgrade",
            Self::ContinueLog => "audit / continue",
            Self::DestroyLocks => "locks / destroy",
            Self::DestroyOwnSessions => "own_sessions / destroy",
            Self::DestroyUserSessions => "user_sessions / destroy",
            Self::CreateUserConfiguration => "user_configurations / create",
            Self::UpdateUserConfiguration => "user_configurations / update",
            Self::DestroyUserConfiguration => "user_configurations / destroy",
            Self::CreateUserApiKey => "user_api_keys / create",
            Self::UpdateUserApiKey => "user_api_keys / update",
            Self::DestroyUserApiKey => "user_api_keys / destroy",
            Self::RotateApiKey => "api_keys / rotate",
            Self::RotateUserApiKey => "user_api_keys / rotate",
            Self::ConnectSystemUser => "system_users / connect",
            Self::DestroyFormerValue => "api_keys / destroy_former_value",
            Self::DestroyUserFormerValue => "user_api_keys / destroy_former_value",
            Self::RotateAssertionKeys => "assertion_keys / rotate",
        }
    }
}

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Actor {
    /// The account, if there is one.
    pub account: Option<Account>,
    /// The kind of credential.
    pub method: AuthMethod,
    /// The client's address, if the request came over the network.
    pub address: Option<IpAddr>,
}

/// The account of an actor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Account {
    /// An existing account: id, and name at that time.
    Known(Id, String),
    /// A keyed hash of a name that no account has: people type passwords into the wrong field.
    Unknown([u8; 16]),
}

/// The credential of an actor.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AuthMethod {
    /// A user name and a password.
    Password,
    /// The token of that session.
    Session(Uuid),
    /// The API key of that id, `None` for one that does not exist.
    ApiKey(Option<Id>),
    /// None: a local command or a request over the local socket, by that user of the operating system.
    Local(u32),
    /// None: the server acted by itself.
    Server,
    /// The uid with which a user of the operating system connected to the socket for system users.
    SystemUser(u32),
}

/// The record that an action affected, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AffectedResource {
    /// The record, if there is one.
    pub target: Option<Target>,
    /// The account that a configuration, an API key or a session belongs to; unknown in entries of earlier versions.
    pub owner: Option<Id>,
    /// The attributes that were changed, or the settings in force.
    pub details: Vec<String>,
}

/// A record, identified in a way that is clear after its removal too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// An account: id and name.
    User(Id, String),
    /// A configuration: id and key.
    Configuration(Id, String),
    /// An API key.
    ApiKey(Id),
    /// A session.
    Session(Uuid),
}

impl Actor {
    /// The server itself.
    pub const SERVER: Self = Self { account: None, method: AuthMethod::Server, address: None };

    /// A client with that credential. What came over a Unix socket has the unspecified address, which is recorded as none.
    #[must_use]
    pub fn client(account: Option<Account>, method: AuthMethod, address: IpAddr) -> Self {
        Self { account, method, address: Some(address).filter(|address| !address.is_unspecified()) }
    }

    /// A user of the operating system, who ran a command or made a request over the local socket.
    #[must_use]
    pub fn local(uid: u32) -> Self {
        Self { account: None, method: AuthMethod::Local(uid), address: None }
    }

    /// The id of the account, if there is one of that name.
    #[must_use]
    pub fn account_id(&self) -> Option<Id> {
        match self.account {
            Some(Account::Known(id, _)) => Some(id),
            Some(Account::Unknown(_)) | None => None,
        }
    }
}

impl Account {
    /// The account of that user.
    #[must_use]
    pub fn of(user: &User) -> Self {
        Self::Known(user.id, user.username.as_str().to_owned())
    }
}

impl AffectedResource {
    /// Details without a record.
    #[must_use]
    pub fn details(details: Vec<String>) -> Self {
        Self { details, ..Self::default() }
    }

    /// A record of that account's.
    #[must_use]
    pub fn owned(owner: Id, target: Target) -> Self {
        Self { owner: Some(owner), ..target.into() }
    }

    /// The same with these details.
    #[must_use]
    pub fn with(self, details: Vec<String>) -> Self {
        Self { details, ..self }
    }
}

impl From<&User> for AffectedResource {
    fn from(user: &User) -> Self {
        Target::User(user.id, user.username.as_str().to_owned()).into()
    }
}

impl From<&Configuration> for AffectedResource {
    fn from(configuration: &Configuration) -> Self {
        let target = Target::Configuration(configuration.id, configuration.key.as_str().to_owned());
        Self::owned(configuration.owner, target)
    }
}

impl From<&ApiKey> for AffectedResource {
    fn from(api_key: &ApiKey) -> Self {
        Self::owned(api_key.owner, Target::ApiKey(api_key.id))
    }
}

impl From<&Session> for AffectedResource {
    fn from(session: &Session) -> Self {
        Self::owned(session.owner, Target::Session(session.jti))
    }
}

impl From<Target> for AffectedResource {
    fn from(target: Target) -> Self {
        Self { target: Some(target), ..Self::default() }
    }
}
