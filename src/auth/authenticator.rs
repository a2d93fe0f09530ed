//! Checks credentials, and finds out who sent a request.

mod operator;
mod tokens;

use std::{net::IpAddr, sync::Arc, time::Duration};

use zeroize::Zeroizing;

pub use self::tokens::{GoodToken, TokenFlaw};
use super::{
    ApiKeyIssuer, AuthError, Authentication, Challenge, Credential, Hasher, Identity, RightPassword, SessionTokens,
    Throttle, Verification,
    asked_tokens::AskedTokens,
    caller_cache::{CallerCache, Entry},
    credential::Presented,
    password_cache::PasswordCache,
    shared_attempts::{CacheKey, SharedAttempts},
};
use crate::{
    audit::Audit,
    clock::{Clock, MonotonicTime, Timestamp},
    domain::{Account, Action, Actor, AuthMethod, Id, PresentedPassword, User, Username},
    logging::RateLimitedLog,
    secret::RootSecret,
    store::{Store, Tables},
};

/// Logged once an hour when the first administrator's password was wrong; by id, because no log has the names of refused attempts.
const LOST_PASSWORD: &str =
    "a password of the first administrator is refused; if it is lost, `lodge user password 1` replaces it";

/// Checks credentials against the store, and caches valid ones for a short time.
pub struct Authenticator {
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Limits the attempts at passwords and keys.
    pub throttle: Arc<Throttle>,
    /// Signs and reads session tokens.
    pub tokens: SessionTokens,
    /// Issues API keys.
    pub api_keys: ApiKeyIssuer,
    store: Store,
    clock: Clock,
    audit: Arc<Audit>,
    session_lifetime: Duration,
    password_cache: PasswordCache,
    sign_ins: Arc<SharedAttempts<RightPassword>>,
    caller_cache: CallerCache,
    asked_tokens: AskedTokens,
    lost_password_log: Arc<RateLimitedLog>,
}

impl Authenticator {
    /// An authenticator for the users, sessions and keys in the store. Its own keys are derived from the secret, and it
    /// reports refused credentials to the audit log. A session that ends later than `session_lifetime` from now is
    /// invalid.
    #[must_use]
    pub fn new(
        store: Store,
        secret: &RootSecret,
        clock: Clock,
        audit: Arc<Audit>,
        hasher: Hasher,
        throttle: Arc<Throttle>,
        session_lifetime: Duration,
    ) -> Self {
        Self {
            hasher,
            throttle,
            tokens: SessionTokens::new(secret),
            api_keys: ApiKeyIssuer::new(secret),
            store,
            clock,
            audit,
            session_lifetime,
            password_cache: PasswordCache::new(secret),
            sign_ins: SharedAttempts::new(),
            caller_cache: CallerCache::new(),
            asked_tokens: AskedTokens::default(),
            lost_password_log: Arc::default(),
        }
    }

    /// The identity that these `Authorization` headers prove.
    ///
    /// # Errors
    /// [`AuthError`] unless there is exactly one, and it is valid and can be checked now.
    pub async fn authenticate<'a>(
        self: &Arc<Self>,
        headers: impl Iterator<Item = &'a [u8]> + Clone,
        address: IpAddr,
    ) -> Result<Identity, AuthError> {
        let mut all = headers.clone();
        let only = all.next().filter(|_| all.next().is_none());
        let reading = self.clock.reading();
        let now = reading.wall;
        let presented = only.and_then(Presented::of);
        let fingerprint = presented.map(|presented| self.caller_cache.fingerprint(presented, address));
        let is_valid = |entry: &Entry| entry.is_valid(self.store.owner_version(entry.user.id), now);
        if let Some(entry) = fingerprint.and_then(|fingerprint| self.caller_cache.get(fingerprint, is_valid)) {
            if matches!(entry.authentication, Authentication::Password) {
                self.check(Action::CheckCredential, entry.user.username.as_str(), address, reading.monotonic)?;
            }
            let Entry { user, authentication, ends, .. } = entry;
            return Ok(Identity { user, authentication, address, at: now, ends });
        }
        let read_guard = self.store.read_guard();
        let (user, authentication, ends) = self.identify(Credential::parse(headers)?, address).await?;
        let ends = ends.into_iter().chain(user.expired_at).min();
        let user = Arc::new(user);
        if let Some((fingerprint, version)) = fingerprint.zip(read_guard.version(user.id)) {
            let entry =
                Entry { version, user: Arc::clone(&user), authentication: authentication.clone(), ends, since: now };
            self.caller_cache.insert(fingerprint, entry);
        }
        Ok(Identity { user, authentication, address, at: now, ends })
    }

    /// The user of the credential, and when the credential expires.
    async fn identify(
        self: &Arc<Self>,
        presented: Credential,
        address: IpAddr,
    ) -> Result<(User, Authentication, Option<Timestamp>), AuthError> {
        match presented {
            Credential::Basic(username, password) => {
                // Boxed, because it is ten times as large as the rest of a request's state.
                let user = Box::pin(self.by_password(&username, &password, address)).await?;
                Ok((user, Authentication::Password, None))
            }
            Credential::SessionToken(token) => self.by_session(token.expose()),
            Credential::ApiKey(key) => self.by_api_key(&key, address),
        }
    }

    /// The user of that name, in any case.
    ///
    /// # Errors
    /// [`AuthError::Store`] if the store cannot be read.
    pub fn user_named(&self, username: &str) -> Result<Option<User>, AuthError> {
        let Ok(username) = Username::parse(username) else { return Ok(None) };
        Ok(self.store.user_by_username(&username.folded())?)
    }

    /// Removes expired callers from the cache.
    pub fn drop_idle_callers(&self) {
        self.caller_cache.drop_idle(self.clock.now());
    }

    /// The user of that name and password; equal attempts that arrive together share one verification.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for an unknown user as for a wrong password, in the same time; [`AuthError::Throttled`]
    /// and [`AuthError::Busy`] before any hash is computed.
    pub async fn sign_in(
        self: &Arc<Self>,
        username: &str,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<(User, RightPassword), AuthError> {
        const REFUSED: AuthError = AuthError::Refused(Challenge::Bearer);
        self.check(Action::SignIn, username, address, self.clock.monotonic())?;
        let user = self.user_named(username)?;
        let cache_key = self.cache_key(username, user.as_ref(), password, address);
        let attempt = PasswordAttempt::new(Action::SignIn, username, user.as_ref(), password, address);
        let authenticator = Arc::clone(self);
        let verify = async move {
            let verification = authenticator.begin(attempt)?;
            authenticator.hasher.verify_and_strengthen(verification).await?.ok_or(REFUSED)
        };
        let right = self.sign_ins.join(cache_key, verify).await?;
        user.filter(|user| self.is_current(user)).map(|user| (user, right)).ok_or(REFUSED)
    }

    /// Whether that is the password of a user who has proved already who they are. Guesses count as those at sign_in do.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] and [`AuthError::Busy`] before any hash is computed.
    pub async fn confirm_password(
        self: &Arc<Self>,
        user: &User,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let (action, username) = (Action::UpdateUser, user.username.as_str());
        self.check(action, username, address, self.clock.monotonic())?;
        let attempt = PasswordAttempt::new(action, username, Some(user), password, address);
        self.hasher.verify(self.begin(attempt)?).await
    }

    async fn by_password(
        self: &Arc<Self>,
        username: &str,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<User, AuthError> {
        const REFUSED: AuthError = AuthError::Refused(Challenge::Basic);
        // Before the cache: during a lockout a hit would distinguish a right guess from a wrong one.
        self.check(Action::CheckCredential, username, address, self.clock.monotonic())?;
        let user = self.user_named(username)?;
        let cache_key = self.cache_key(username, user.as_ref(), password, address);
        let attempt = PasswordAttempt::new(Action::CheckCredential, username, user.as_ref(), password, address);
        let authenticator = Arc::clone(self);
        let verify = async move {
            let verification = authenticator.begin(attempt)?;
            if authenticator.hasher.verify(verification).await? { Ok(()) } else { Err(REFUSED) }
        };
        self.password_cache.check(cache_key, verify).await?;
        user.filter(|user| self.is_current(user)).ok_or(REFUSED)
    }

    /// What equal attempts have in common. A suspended or expired account has no password that could be right: its attempts are like
    /// those at an unknown one, in time too.
    fn cache_key(
        &self,
        username: &str,
        user: Option<&User>,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> CacheKey {
        let current = user.filter(|user| self.is_current(user));
        self.password_cache.cache_key(username, current, password, address)
    }

    fn is_current(&self, user: &User) -> bool {
        user.is_active(self.clock.now())
    }

    /// Refuses an attempt at the account from that address while it is locked out.
    fn check(&self, action: Action, username: &str, address: IpAddr, now: MonotonicTime) -> Result<(), AuthError> {
        self.throttle.check(username, address, now).inspect_err(|_| self.record_wait(action, username, address))
    }

    /// Records an attempt that is refused without a check of its password.
    fn record_wait(&self, action: Action, username: &str, address: IpAddr) {
        let actor = Actor::client(Some(self.audit.unknown(username)), AuthMethod::Password, address);
        self.audit.had_to_wait(self.clock.now(), actor, action, Username::parse(username).ok());
    }

    /// Begins an attempt at a password, in sign_in and in Basic alike; the audit log records those that are refused.
    fn begin(&self, attempt: PasswordAttempt) -> Result<Verification, AuthError> {
        let PasswordAttempt { action, username, user, password, address } = attempt;
        let begun = self.throttle.begin(&username, user.as_ref().map(|user| user.id), address);
        let attempt = begun.inspect_err(|error| {
            if matches!(error, AuthError::Throttled { .. }) {
                self.record_wait(action, &username, address);
            }
        })?;
        // A name that no account has is not stored in clear: it may be a password in the wrong field.
        let account = user.as_ref().map_or_else(|| self.audit.unknown(&username), Account::of);
        let actor = Actor::client(Some(account), AuthMethod::Password, address);
        let is_first = user.as_ref().is_some_and(|user| user.id == Id::FIRST);
        let lost_password_log = is_first.then(|| Arc::clone(&self.lost_password_log));
        let (audit, clock) = (Arc::clone(&self.audit), self.clock.clone());
        let refused = Box::new(move || {
            audit.refused(clock.now(), actor, action);
            if lost_password_log.is_some_and(|log| log.is_due(clock.now())) {
                log::info!("{LOST_PASSWORD}");
            }
        });
        let current = user.filter(|user| self.is_current(user));
        Ok(Verification { attempt, stored: current.map(|user| user.password), password, refused })
    }
}

/// An attempt at a password, which equal attempts may join.
struct PasswordAttempt {
    action: Action,
    username: Zeroizing<String>,
    user: Option<User>,
    password: PresentedPassword,
    address: IpAddr,
}

impl PasswordAttempt {
    fn new(action: Action, username: &str, user: Option<&User>, password: &PresentedPassword, address: IpAddr) -> Self {
        let (username, user, password) = (Zeroizing::new(username.to_owned()), user.cloned(), password.clone());
        Self { action, username, user, password, address }
    }
}
