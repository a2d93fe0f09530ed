//! Signing in and out, and the sessions in between.

use std::{collections::BTreeMap, net::IpAddr, ops::ControlFlow};

use uuid::Uuid;

use super::{Anonymous, AppState, Caller, ResourceAccess, ResourceAction, ServiceError, never_taken};
use crate::{
    auth::{AuthError, Authentication, Challenge, RightPassword},
    clock::Timestamp,
    domain::{
        Account, Action, ActivitySubject, Actor, AffectedResource, AuditEntry, AuthMethod, Id, Outcome, Page,
        PasswordHash, PresentedPassword, Session, Target, User,
    },
    random::random_uuid,
    secret::Secret,
    store::{Sequence, Slice, StoreError, Tables, Txn, audit},
};

/// How many sessions a user may have; a further one replaces the oldest.
const MAX_SESSIONS_OF_USER: usize = 100;
/// How many sessions are removed in one write.
const MAX_SWEPT_AT_ONCE: usize = 500;

const DESTROY: ResourceAction =
    ResourceAction { own: Action::DestroyOwnSessions, of_user: Action::DestroyUserSessions };

const REFUSED: AuthError = AuthError::Refused(Challenge::Bearer);

/// Opens a session, and returns its user and its token.
///
/// # Errors
/// As [`crate::auth::Authenticator::sign_in`], and [`AuthError::Refused`] if the password is changed repeatedly
/// meanwhile.
pub async fn sign_in(
    anonymous: &Anonymous,
    username: &str,
    password: &PresentedPassword,
) -> Result<(User, Secret<String>), ServiceError> {
    // Another sign-in may have replaced the verified hash by a stronger one of the same password.
    for _ in 0..2 {
        let (user, right) = anonymous.state.authenticator.sign_in(username, password, anonymous.address).await?;
        if let Some(opened) = open_for(anonymous, user, right).await? {
            return Ok(opened);
        }
    }
    Err(REFUSED.into())
}

/// Opens a session for a user whose password was right; `None` if it has changed since.
async fn open_for(
    anonymous: &Anonymous,
    user: User,
    RightPassword { stronger }: RightPassword,
) -> Result<Option<(User, Secret<String>)>, ServiceError> {
    let state = &anonymous.state;
    let (jti, now) = (random_uuid(), state.clock.now());
    let expires_at = Timestamp::from_secs(now.as_secs() + state.policy.session_lifetime.as_secs());
    let actor = Actor::client(Some(Account::of(&user)), AuthMethod::Password, anonymous.address);
    let address = actor.address;
    let open = move |txn: &mut Txn<'_>| {
        let opened = open(txn, &user, stronger, Opening { jti, now, expires_at, address })?;
        let subject = opened.as_ref().map(|(_, session)| AffectedResource::from(session)).unwrap_or_default();
        Ok::<_, ServiceError>((opened, subject))
    };
    let opened = state.write(actor, Action::SignIn, open).await?;
    Ok(opened.map(|(user, session)| {
        state.activity.record(ActivitySubject::SignIn(user.id), now, address);
        let token = state.authenticator.tokens.issue(&session, now);
        (user, token)
    }))
}

/// Closes the session of the caller's token. Another credential has no session to close.
///
/// # Errors
/// [`ServiceError::Store`].
pub async fn sign_out(caller: &Caller) -> Result<(), ServiceError> {
    let Authentication::Session(jti) = caller.authentication else { return Ok(()) };
    caller
        .write(Action::SignOut, move |txn, user| {
            Ok((close(txn, user.id, jti)?, AffectedResource::owned(user.id, Target::Session(jti))))
        })
        .await
}

/// A page of the owner's sessions that are not over, in the order in which they were opened.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn index(access: &ResourceAccess, page: Page) -> Result<Slice<Session>, ServiceError> {
    let (now, lifetime) = (access.state.clock.now(), access.state.policy.session_lifetime);
    let mut sessions = access.store().sessions(access.owner)?;
    sessions.retain(|session| session.is_good(now, lifetime));
    sessions.sort_by_key(|session| session.number);
    let (count, offset) = (sessions.len() as u64, usize::try_from(page.offset).unwrap_or(usize::MAX));
    Ok(Slice { records: sessions.into_iter().skip(offset).take(page.limit).collect(), count })
}

/// When a session was last used, to the minute; `None` if that is not known.
///
/// # Errors
/// [`ServiceError::Store`].
pub fn last_seen(access: &ResourceAccess, session: &Session) -> Result<Option<Timestamp>, ServiceError> {
    let subject = ActivitySubject::Session(session.owner, session.jti);
    Ok(access.state.activity.last(access.store(), subject)?.map(|activity| activity.at))
}

/// Ends a session of the owner's.
///
/// # Errors
/// [`ServiceError::NotFound`] if the owner has none of that id.
pub async fn destroy(access: &ResourceAccess, jti: Uuid) -> Result<(), ServiceError> {
    access
        .write(DESTROY, move |txn, owner| {
            let session = txn.session(owner.id, jti)?.ok_or(ServiceError::NotFound)?;
            txn.remove(&session)?;
            Ok(((), AffectedResource::from(&session)))
        })
        .await
}

/// Ends all sessions of the owner's but that one.
///
/// # Errors
/// [`ServiceError::Store`].
pub async fn destroy_all(access: &ResourceAccess, kept: Option<Uuid>) -> Result<(), ServiceError> {
    access
        .write(DESTROY, move |txn, owner| {
            let mut ended = txn.sessions(owner.id)?;
            ended.retain(|session| Some(session.jti) != kept);
            ended.iter().try_for_each(|session| txn.remove(session))?;
            let number = format!("sessions = {}", ended.len());
            Ok(((), AffectedResource::from(&owner).with(vec![number])))
        })
        .await
}

/// Removes expired sessions, and those that would last longer than one lifetime from now; returns their number. Also removes
/// expired callers from the cache.
///
/// # Errors
/// [`StoreError`] if the store cannot be read or written.
pub async fn sweep(state: &AppState) -> Result<usize, StoreError> {
    state.authenticator.drop_idle_callers();
    let mut removed = 0;
    loop {
        let ended = ended_sessions(state)?;
        let found = ended.len();
        if found == 0 {
            return Ok(removed);
        }
        state.store.write(move |txn| ended.into_iter().try_for_each(|(owner, jti)| close(txn, owner, jti))).await?;
        removed += found;
    }
}

/// Some of the sessions that [`Session::is_good`] refuses.
fn ended_sessions(state: &AppState) -> Result<Vec<(Id, Uuid)>, StoreError> {
    let now = state.clock.now();
    let mut ended = state.store.expired_sessions(now, MAX_SWEPT_AT_ONCE)?;
    let last_end = Timestamp::from_secs(now.as_secs().saturating_add(state.policy.session_lifetime.as_secs()));
    ended.extend(state.store.sessions_ending_after(last_end, MAX_SWEPT_AT_ONCE - ended.len())?);
    Ok(ended)
}

/// Restores the throttle's known addresses from the newest entries of the audit log, so that a flood that continues
/// after a restart does not lock them out.
///
/// # Errors
/// [`StoreError`] if the log or the accounts cannot be read.
pub fn restore_known_addresses(state: &AppState) -> Result<(), StoreError> {
    let mut latest = BTreeMap::new();
    let pruned = audit::state(&state.store)?.unwrap_or_default().pruned.id;
    audit::visit_after(&state.store, pruned, &mut |AuditEntry { event, .. }| {
        let signed_in = (event.action, event.outcome) == (Action::SignIn, Outcome::Done);
        if let (true, Some(Account::Known(id, _)), Some(address)) =
            (signed_in, event.actor.account, event.actor.address)
        {
            latest.insert((id, address), event.at);
        }
        ControlFlow::Continue(())
    })?;
    let mut latest: Vec<_> = latest.into_iter().collect();
    latest.sort_unstable_by_key(|(_, at)| *at);
    for ((id, address), at) in latest {
        if let Some(user) = state.store.user(id)? {
            state.authenticator.throttle.remember(user.username.as_str(), id, address, at);
        }
    }
    Ok(())
}

/// A session to be opened.
#[derive(Clone, Copy)]
struct Opening {
    jti: Uuid,
    now: Timestamp,
    expires_at: Timestamp,
    address: Option<IpAddr>,
}

/// Stores the session, unless the user is suspended, has expired or the user's password is neither the hash that was verified nor the
/// stronger one of the same password, which an equal attempt may have stored before.
fn open(
    txn: &mut Txn<'_>,
    verified: &User,
    stronger: Option<PasswordHash>,
    opening: Opening,
) -> Result<Option<(User, Session)>, ServiceError> {
    let is_right = |hash: &PasswordHash| *hash == verified.password || stronger.as_ref() == Some(hash);
    let Opening { jti, now, expires_at, address } = opening;
    let is_current = |user: &User| is_right(&user.password) && user.is_active(now);
    let current = txn.user(verified.id)?.filter(is_current);
    let Some(mut user) = current else { return Ok(None) };
    if let Some(stronger) = stronger.filter(|stronger| *stronger != user.password) {
        user.password = stronger;
        txn.put(&user).map_err(never_taken)?;
    }
    remove_oldest(txn, user.id)?;
    let session = Session {
        owner: user.id,
        jti,
        number: txn.next_number(Sequence::Sessions)?,
        expires_at,
        created_at: Some(now),
        address,
    };
    txn.put(&session).map_err(never_taken)?;
    Ok(Some((user, session)))
}

fn remove_oldest(txn: &mut Txn<'_>, owner: Id) -> Result<(), StoreError> {
    let mut sessions = txn.sessions(owner)?;
    sessions.sort_by_key(|session| session.number);
    let excess = (sessions.len() + 1).saturating_sub(MAX_SESSIONS_OF_USER);
    sessions.iter().take(excess).try_for_each(|session| txn.remove(session))
}

fn close(txn: &mut Txn<'_>, owner: Id, jti: Uuid) -> Result<(), StoreError> {
    if let Some(session) = txn.session(owner, jti)? {
        txn.remove(&session)?;
    }
    Ok(())
}
