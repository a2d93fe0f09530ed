//! Checks credentials: who is asking.

use std::{net::IpAddr, sync::Arc};

use zeroize::Zeroizing;

use super::{
    ApiKeyIssuer, AuthError, Authentication, Challenge, Credential, Hasher, Identity, PresentedKey, SessionTokens,
    Throttle,
    caller_cache::{self, CallerCache, Entry},
    password_cache::PasswordCache,
};
use crate::{
    audit::Audit,
    clock::{Clock, Timestamp},
    domain::{Account, Action, Actor, AuthMethod, Id, PresentedPassword, User, Username},
    secret::RootSecret,
    store::{Store, Tables},
};

/// Answers who is asking: checks credentials against the store, and remembers for a while those that were good.
pub struct Authenticator {
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Slows guessing down.
    pub throttle: Arc<Throttle>,
    /// Signs and reads session tokens.
    pub tokens: SessionTokens,
    /// Makes API keys.
    pub api_keys: ApiKeyIssuer,
    store: Store,
    clock: Clock,
    audit: Arc<Audit>,
    password_cache: PasswordCache,
    caller_cache: CallerCache,
}

impl Authenticator {
    /// An authenticator of the users, sessions and keys in the store, whose own keys all come from the secret; it reports
    /// refused credentials to the audit log.
    #[must_use]
    pub fn new(
        store: Store,
        secret: &RootSecret,
        clock: Clock,
        audit: Arc<Audit>,
        hasher: Hasher,
        throttle: Arc<Throttle>,
    ) -> Self {
        Self {
            hasher,
            throttle,
            tokens: SessionTokens::new(secret),
            api_keys: ApiKeyIssuer::new(secret),
            store,
            clock,
            audit,
            password_cache: PasswordCache::new(secret),
            caller_cache: CallerCache::new(),
        }
    }

    /// The identity that these `Authorization` headers prove.
    ///
    /// # Errors
    /// [`AuthError`] unless there is exactly one, which is valid and can be checked now.
    pub async fn authenticate<'a>(
        self: &Arc<Self>,
        headers: impl Iterator<Item = &'a [u8]> + Clone,
        address: IpAddr,
    ) -> Result<Identity, AuthError> {
        let mut all = headers.clone();
        let only = all.next().filter(|_| all.next().is_none());
        let now = self.clock.now();
        let fingerprint = only.map(|header| self.caller_cache.fingerprint(header, address));
        if let Some(entry) = fingerprint.and_then(caller_cache::entry)
            && entry.is_valid(self.store.owner_version(entry.user.id), now)
        {
            if matches!(entry.authentication, Authentication::Password) {
                self.check(Action::CheckCredential, entry.user.username.as_str(), address)?;
            }
            return Ok(Identity { user: entry.user, authentication: entry.authentication, address });
        }
        let read_guard = self.store.read_guard();
        let (user, authentication, ends) = self.identify(Credential::parse(headers)?, address).await?;
        let user = Arc::new(user);
        if let Some((fingerprint, version)) = fingerprint.zip(read_guard.version(user.id)) {
            let entry =
                Entry { version, user: Arc::clone(&user), authentication: authentication.clone(), ends, since: now };
            caller_cache::insert(fingerprint, entry);
        }
        Ok(Identity { user, authentication, address })
    }

    /// The user of the credential, and when it expires.
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

    /// The user of that name and password.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for an unknown user as for a wrong password, in the same time; [`AuthError::Throttled`] and
    /// [`AuthError::Busy`] before any hash is computed.
    pub async fn sign_in(
        &self,
        username: &str,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<User, AuthError> {
        self.check(Action::SignIn, username, address)?;
        let user = self.user_named(username)?;
        let is_right = self.is_right(Action::SignIn, username, user.as_ref(), password, address).await?;
        user.filter(|_| is_right).ok_or(AuthError::Refused(Challenge::Bearer))
    }

    async fn by_password(
        self: &Arc<Self>,
        username: &str,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<User, AuthError> {
        const REFUSED: AuthError = AuthError::Refused(Challenge::Basic);
        // Before the passwords of lately: where tries wait these would tell a right guess from a wrong one.
        self.check(Action::CheckCredential, username, address)?;
        let user = self.user_named(username)?;
        let cache_key = self.password_cache.cache_key(username, user.as_ref(), password, address);
        let (authenticator, name) = (Arc::clone(self), Zeroizing::new(username.to_owned()));
        let (tried, password) = (user.clone(), password.clone());
        let verify = async move {
            let is_right =
                authenticator.is_right(Action::CheckCredential, &name, tried.as_ref(), &password, address).await?;
            if is_right { Ok(()) } else { Err(REFUSED) }
        };
        self.password_cache.check(cache_key, verify).await?;
        user.ok_or(REFUSED)
    }

    /// Refuses an attempt at the account from that address while it is locked out.
    fn check(&self, action: Action, username: &str, address: IpAddr) -> Result<(), AuthError> {
        self.throttle.check(username, address).inspect_err(|_| self.record_wait(action, username, address))
    }

    /// Records an attempt that is refused without a look at its password.
    fn record_wait(&self, action: Action, username: &str, address: IpAddr) {
        let account = Some(self.audit.unknown(username));
        let actor = Actor { account, method: AuthMethod::Password, address: Some(address) };
        self.audit.had_to_wait(self.clock.now(), actor, action, Username::parse(username).ok());
    }

    /// Whether the password is that of the user of that name, who may be none. Every password that is tried comes by here,
    /// those of sign_in and of Basic alike; the audit log tells of those that are refused.
    async fn is_right(
        &self,
        action: Action,
        username: &str,
        user: Option<&User>,
        password: &PresentedPassword,
        address: IpAddr,
    ) -> Result<bool, AuthError> {
        let begun = self.throttle.begin(username, user.map(|user| user.id), address).await;
        let attempt = begun.inspect_err(|error| {
            if matches!(error, AuthError::Throttled { .. }) {
                self.record_wait(action, username, address);
            }
        })?;
        // The text of a name that no account has is not kept.
        let account = user.map_or_else(|| self.audit.unknown(username), Account::of);
        let actor = Actor { account: Some(account), method: AuthMethod::Password, address: Some(address) };
        let (audit, clock) = (Arc::clone(&self.audit), self.clock.clone());
        let refused = move || audit.refused(clock.now(), actor, action);
        self.hasher.verify(attempt, user.map(|user| user.password.clone()), password, refused).await
    }

    fn by_session(&self, token: &str) -> Result<(User, Authentication, Option<Timestamp>), AuthError> {
        const REFUSED: AuthError = AuthError::Refused(Challenge::Bearer);
        let now = self.clock.now();
        let (owner, jti) = self.tokens.read(token, now).ok_or(REFUSED)?;
        let session = self.store.session(owner, jti)?.filter(|session| now.as_secs() < session.expires_at.as_secs());
        let session = session.ok_or(REFUSED)?;
        Ok((self.owner(owner)?, Authentication::Session(session.jti), Some(session.expires_at)))
    }

    fn by_api_key(
        &self,
        key: &PresentedKey,
        address: IpAddr,
    ) -> Result<(User, Authentication, Option<Timestamp>), AuthError> {
        const REFUSED: AuthError = AuthError::Refused(Challenge::Bearer);
        let now = self.clock.now();
        let Some(api_key) = self.store.api_key_by_digest(key.digest())? else {
            self.count_unknown_key(key, address)?;
            return Err(REFUSED);
        };
        if api_key.expires_at.is_some_and(|end| end <= now) {
            return Err(REFUSED);
        }
        let ends = api_key.expires_at;
        Ok((self.owner(api_key.owner)?, Authentication::ApiKey(Arc::new(api_key)), ends))
    }

    /// Counts and records an unknown API key.
    fn count_unknown_key(&self, key: &PresentedKey, address: IpAddr) -> Result<(), AuthError> {
        let (now, action) = (self.clock.now(), Action::CheckCredential);
        let actor = Actor { account: None, method: AuthMethod::ApiKey(None), address: Some(address) };
        // A program that still uses a key that was issued once does not guess.
        let counted = if self.api_keys.was_issued(key) { Ok(()) } else { self.throttle.count_unknown_key(address) };
        match &counted {
            Ok(()) => self.audit.refused(now, actor, action),
            Err(_) => self.audit.had_to_wait(now, actor, action, None),
        }
        counted
    }

    fn owner(&self, id: Id) -> Result<User, AuthError> {
        self.store.user(id)?.ok_or(AuthError::Refused(Challenge::Bearer))
    }
}
