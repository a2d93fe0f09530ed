//! The context of use cases: the application's state, the caller, and the audited write.

mod audited_write;
mod caller;
mod credential_snapshot;
mod kept_assertion_keys;
mod resource_access;
mod serving;
mod system_user;
mod write_shares;
mod written_activity;

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{Arc, OnceLock},
    time::Duration,
};

use self::write_shares::WriteShares;
pub use self::{
    caller::{Administrator, Anonymous, Author, Caller, Local, Requester},
    resource_access::{ResourceAccess, ResourceAction},
    serving::Serving,
    system_user::KnownName,
};
use crate::{
    audit::Audit,
    auth::{Authenticator, Hasher, Identity, Throttle},
    clock::Clock,
    config::Settings,
    domain::Action,
    metrics::Metrics,
    secret::RootSecret,
    service::{
        Forbidden, ServiceError,
        activity::ActivityRecorder,
        assertion_keys::{AssertionPolicy, Keyring},
    },
    store::Store,
    system::NameService,
};

/// The bounds that an installation sets for users and their records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long a session lasts.
    pub session_lifetime: Duration,
    /// The minimum length of a new password, in bytes.
    pub min_password_bytes: usize,
    /// How many attempts may fail for an account from an address before further ones are refused for a while; 0 for any
    /// number.
    pub throttle_after: u32,
    /// Whether users who change their own password or e-mail address give the current password.
    pub require_current_password: bool,
    /// How many configurations a user may have.
    pub max_configurations: usize,
    /// How many API keys a user may have.
    pub max_api_keys: usize,
    /// How long the former value of a rotated API key may stay valid.
    pub max_key_overlap: Duration,
    /// Whether administrators are recognised on the socket for system users.
    pub user_socket_administrators: bool,
    /// For whom assertions are signed, and how.
    pub assertions: AssertionPolicy,
    /// The file with the random password of the first administrator, while that password is in use.
    pub initial_password_file: PathBuf,
}

impl From<&Settings> for Policy {
    fn from(settings: &Settings) -> Self {
        Self {
            session_lifetime: settings.session_lifetime,
            min_password_bytes: settings.password_min_length,
            throttle_after: settings.throttle_after,
            require_current_password: settings.require_current_password,
            max_configurations: settings.max_configurations,
            max_api_keys: settings.max_api_keys,
            max_key_overlap: settings.key_overlap_max,
            user_socket_administrators: settings.user_socket_administrators,
            assertions: settings.into(),
            initial_password_file: settings.data_dir.join("initial-admin-password"),
        }
    }
}

/// The application's state, which requests, commands and schedules share.
pub struct AppState {
    pub(crate) store: Store,
    /// The wall clock.
    pub clock: Clock,
    /// The bounds that the installation sets.
    pub policy: Policy,
    /// The system's users and groups.
    pub names: NameService,
    /// The audit log.
    pub audit: Arc<Audit>,
    /// When credentials, scopes and accounts were last used.
    pub activity: ActivityRecorder,
    /// Checks credentials.
    pub authenticator: Arc<Authenticator>,
    /// The keys that sign assertions.
    pub keyring: Keyring,
    /// What is counted while it works.
    pub metrics: Metrics,
    /// The server that serves it; not set in a process that serves itself alone.
    pub serving: OnceLock<Serving>,
    pub(crate) secret: RootSecret,
    write_shares: Arc<WriteShares>,
}

impl AppState {
    /// The state over a store; all keys are derived from the secret.
    #[must_use]
    pub fn new(store: Store, secret: RootSecret, clock: Clock, policy: Policy, hasher: Hasher) -> Self {
        let audit = Arc::new(Audit::new(&secret));
        let throttle = Throttle::new(clock.clone(), policy.throttle_after);
        let (rows, time, log, lifetime) = (store.clone(), clock.clone(), Arc::clone(&audit), policy.session_lifetime);
        let authenticator = Arc::new(Authenticator::new(rows, &secret, time, log, hasher, throttle, lifetime));
        let (names, activity, write_shares) = (NameService::start(), ActivityRecorder::new(), Arc::default());
        let (metrics, serving, keyring) = (Metrics::default(), OnceLock::new(), Keyring::new(&secret));
        Self {
            store,
            clock,
            policy,
            names,
            audit,
            activity,
            authenticator,
            keyring,
            metrics,
            serving,
            secret,
            write_shares,
        }
    }

    /// The caller whose request has these `Authorization` headers.
    ///
    /// # Errors
    /// [`ServiceError::Auth`] unless there is exactly one, and it is valid and can be checked now; [`Forbidden::Network`] for
    /// an API key that may not be used from that address.
    pub async fn authenticate<'a>(
        self: &Arc<Self>,
        headers: impl Iterator<Item = &'a [u8]> + Clone,
        address: IpAddr,
    ) -> Result<Caller, ServiceError> {
        let identity = self.authenticator.authenticate(headers, address).await?;
        if identity.api_key().is_some_and(|key| !key.allows(address)) {
            return Err(self.refuse_address(&identity).into());
        }
        if let Some(subject) = identity.activity_subject() {
            let address = Some(address).filter(|address| !address.is_unspecified());
            self.activity.record(subject, identity.at, address);
        }
        Ok(Caller { state: Arc::clone(self), identity })
    }

    /// The refusal of a session's cookie that a page of another origin makes the browser send; the audit log records it.
    #[must_use]
    pub fn refuse_other_origin(&self, identity: &Identity) -> Forbidden {
        self.audit.refused(identity.at, identity.actor(), Action::CheckCredential);
        Forbidden::OtherOrigin
    }

    /// The refusal of an API key that may not be used from the client's address; the audit log records it.
    #[must_use]
    pub fn refuse_address(&self, identity: &Identity) -> Forbidden {
        self.audit.refused(identity.at, identity.actor(), Action::CheckCredential);
        Forbidden::Network
    }
}
