//! API keys and session tokens: as the credentials of requests, and as what others ask about who were given them.

use std::{net::IpAddr, sync::Arc};

use thiserror::Error;

use super::Authenticator;
use crate::{
    auth::{
        AuthError, Authentication, Challenge, Credential, PresentedKey, PresentedSession, asked_tokens::TooMany,
        credential,
    },
    clock::Timestamp,
    domain::{Action, Actor, AuthMethod, Id, Session, User},
    store::{StoreError, Tables},
};

const REFUSED: AuthError = AuthError::Refused(Challenge::Bearer);

/// An API key or a session token that is good now.
#[derive(Debug)]
pub struct GoodToken {
    /// The account that it stands for.
    pub user: User,
    /// The kind of the credential, and the rights that it gives.
    pub authentication: Authentication,
    /// When it was issued, if that is known.
    pub issued_at: Option<Timestamp>,
    /// When it ends by itself, if it does; the account may end earlier.
    pub ends: Option<Timestamp>,
}

impl GoodToken {
    /// When it ends, if it does: by itself or with its account.
    #[must_use]
    pub fn end(&self) -> Option<Timestamp> {
        self.ends.into_iter().chain(self.user.expired_at).min()
    }
}

/// Why a token is not good, in a sentence for the operator; no client reads it. The account is named where there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TokenFlaw {
    /// It has the form of neither kind, or a wrong checksum.
    #[error("This is neither an API key nor a session token; it may be mistyped.")]
    Malformed,
    /// No API key has this value.
    #[error("This server has no such API key; it may have been removed or rotated.")]
    UnknownKey,
    /// The API key has ended.
    #[error("This API key has expired.")]
    ExpiredKey(Id),
    /// It is the token of no session.
    #[error("This is the token of no session of this server; the session may have ended.")]
    NoSession,
    /// The account is suspended.
    #[error("The account of this credential is suspended.")]
    Suspended(Id),
    /// The account has expired, or was removed this moment.
    #[error("The account of this credential has expired.")]
    ExpiredAccount(Id),
}

impl TokenFlaw {
    /// The account whose token it is, if that is known.
    #[must_use]
    pub fn account(self) -> Option<Id> {
        match self {
            Self::Malformed | Self::UnknownKey | Self::NoSession => None,
            Self::ExpiredKey(id) | Self::Suspended(id) | Self::ExpiredAccount(id) => Some(id),
        }
    }
}

type Examined = Result<Result<GoodToken, TokenFlaw>, StoreError>;
type Found = (User, Authentication, Option<Timestamp>);

impl Authenticator {
    /// The token of that text, or why it is not good. It takes a look-up, and is neither an attempt at the token's account nor a
    /// use of the token. A user name and a password are no token.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub fn examine_token(&self, text: &str) -> Examined {
        match credential::parse_token(text.as_bytes()) {
            Some(Credential::SessionToken(token)) => self.session_of(token.expose()),
            Some(Credential::ApiKey(key)) => self.key_of(&key),
            Some(Credential::Basic(..)) | None => Ok(Err(TokenFlaw::Malformed)),
        }
    }

    /// Counts that this account asked about a token that is not good.
    ///
    /// # Errors
    /// [`AuthError::Throttled`] if it has asked about too many of them.
    pub fn count_asked_token(&self, asker: Id) -> Result<(), AuthError> {
        let now = self.clock.reading();
        let counted = self.asked_tokens.count(asker, now.monotonic);
        counted.map_err(|TooMany { retry_after_secs }| {
            // Once an hour, because those who send a service tokens need none of their own.
            if self.asked_tokens.warning.is_due(now.wall) {
                log::warn!("user_id={asker} asks about too many tokens that are not good");
            }
            AuthError::Throttled { retry_after_secs }
        })
    }

    pub(super) fn by_session(&self, token: &str) -> Result<Found, AuthError> {
        self.session_of(token)?.map(GoodToken::into_found).map_err(|_| REFUSED)
    }

    pub(super) fn by_api_key(&self, key: &PresentedKey, address: IpAddr) -> Result<Found, AuthError> {
        let examined = self.key_of(key)?;
        if matches!(examined, Err(TokenFlaw::UnknownKey)) {
            self.count_unknown_key(key, address)?;
        }
        examined.map(GoodToken::into_found).map_err(|_| REFUSED)
    }

    fn session_of(&self, token: &str) -> Examined {
        let now = self.clock.now();
        let Some(PresentedSession { owner, jti, ends }) = self.tokens.read(token, now) else {
            return Ok(Err(TokenFlaw::NoSession));
        };
        let is_good = |session: &Session| session.is_good(now, self.session_lifetime);
        let Some(session) = self.store.session(owner, jti)?.filter(is_good) else {
            return Ok(Err(TokenFlaw::NoSession));
        };
        let (authentication, ends) = (Authentication::Session(jti), Some(ends.min(session.expires_at)));
        Ok(self.active(owner)?.map(|user| GoodToken { user, authentication, issued_at: session.created_at, ends }))
    }

    fn key_of(&self, key: &PresentedKey) -> Examined {
        let Some(api_key) = self.store.api_key_by_digest(key.digest())? else {
            return Ok(Err(TokenFlaw::UnknownKey));
        };
        if api_key.has_ended(self.clock.now()) {
            return Ok(Err(TokenFlaw::ExpiredKey(api_key.owner)));
        }
        let (owner, ends) = (self.active(api_key.owner)?, api_key.expires_at);
        let authentication = Authentication::ApiKey(Arc::new(api_key));
        // When a value was issued is not known: a rotation keeps the time at which the key was made.
        Ok(owner.map(|user| GoodToken { user, authentication, issued_at: None, ends }))
    }

    /// The account of that id, if its credentials may be good.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub fn active(&self, id: Id) -> Result<Result<User, TokenFlaw>, StoreError> {
        Ok(match self.store.user(id)? {
            Some(user) if self.is_current(&user) => Ok(user),
            Some(user) if user.suspended => Err(TokenFlaw::Suspended(id)),
            Some(_) | None => Err(TokenFlaw::ExpiredAccount(id)),
        })
    }

    /// Counts an unknown key, and records it in the audit log.
    fn count_unknown_key(&self, key: &PresentedKey, address: IpAddr) -> Result<(), AuthError> {
        let (now, action) = (self.clock.now(), Action::CheckCredential);
        let actor = Actor::client(None, AuthMethod::ApiKey(None), address);
        // A program that still uses a removed key is not guessing.
        let counted = if self.api_keys.was_issued(key) { Ok(()) } else { self.throttle.count_unknown_key(address) };
        match &counted {
            Ok(()) => self.audit.refused(now, actor, action),
            Err(_) => self.audit.had_to_wait(now, actor, action, None),
        }
        counted
    }
}

impl GoodToken {
    fn into_found(self) -> Found {
        (self.user, self.authentication, self.ends)
    }
}
