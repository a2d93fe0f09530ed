//! Users of the operating system, recognised by the uid with which they connected.
//!
//! A uid stands for an account only as long as the name service has it under the name that it had when the account was given
//! it: a uid that was given to another person inherits nothing. The name service is asked for each connection, and again while
//! one goes on.

use std::{cell::RefCell, fs, net::Ipv4Addr, sync::Arc, time::Duration};

use super::{AppState, Caller};
use crate::{
    auth::{AuthError, Authentication, Challenge, Identity},
    clock::MonotonicTime,
    domain::{Action, Actor, AuthMethod, Page, SystemId, User},
    service::ServiceError,
    store::{IdSet, StoreError, Tables, id_set},
    system::NameServiceError,
};

/// How long the name of a connection's uid is taken for its present one.
const NAME_TIMEOUT: Duration = Duration::from_secs(5);

/// The system's name of the uid of one connection, once it was asked for.
#[derive(Debug, Default)]
pub struct KnownName(RefCell<Option<Answered>>);

/// What the name service answered, and when it was asked.
#[derive(Clone, Debug)]
struct Answered {
    at: MonotonicTime,
    name: Option<String>,
}

impl KnownName {
    /// Records what the name service answered.
    pub fn record(&self, at: MonotonicTime, name: Option<String>) {
        self.0.replace(Some(Answered { at, name }));
    }

    /// The answer, if it is recent enough.
    fn current(&self, now: MonotonicTime) -> Option<Answered> {
        self.0.borrow().clone().filter(|answered| now.since(answered.at) < NAME_TIMEOUT)
    }
}

const REFUSED: AuthError = AuthError::Refused(Challenge::Any);

impl AppState {
    /// The caller whose account that user of the operating system is; `known` is of the connection on which the user asks.
    ///
    /// # Errors
    /// [`AuthError::Refused`] unless exactly one account has the uid, under the system's name of it, and that account is valid
    /// and, unless the policy lets those in, no administrator.
    pub async fn system_user(self: &Arc<Self>, uid: u32, known: &KnownName) -> Result<Caller, ServiceError> {
        let found = self.user_of(uid)?;
        let name = match &found {
            Some((uid, _)) => self.name_of(*uid, known).await?,
            None => None,
        };
        let Some((uid, user)) = found.filter(|(_, user)| user.system_name.is_some() && user.system_name == name) else {
            self.audit.refused(self.clock.now(), refused_actor(uid), Action::CheckCredential);
            return Err(REFUSED.into());
        };
        let (at, address) = (self.clock.now(), Ipv4Addr::UNSPECIFIED.into());
        let (authentication, ends) = (Authentication::SystemUser(uid), user.expired_at);
        let identity = Identity { user: Arc::new(user), authentication, address, at, ends };
        Ok(Caller { state: Arc::clone(self), identity })
    }

    /// The system's name of the uid, which is asked for unless it is known.
    async fn name_of(&self, uid: SystemId, known: &KnownName) -> Result<Option<String>, NameServiceError> {
        let now = self.clock.monotonic();
        if let Some(answered) = known.current(now) {
            return Ok(answered.name);
        }
        let name = self.names.user_name(uid.get()).await?;
        known.record(now, name.clone());
        Ok(name)
    }

    /// The only account with that uid, if it may be recognised by it.
    fn user_of(&self, uid: u32) -> Result<Option<(SystemId, User)>, StoreError> {
        let Some(uid) = SystemId::new(uid.into()).ok().filter(|uid| is_of_one_person(*uid)) else { return Ok(None) };
        let user = only_user_of(&self.store, uid)?;
        let may_enter = |user: &User| self.policy.user_socket_administrators || !user.is_admin;
        let user = user.filter(|user| user.user_id == Some(uid) && may_enter(user) && user.is_active(self.clock.now()));
        Ok(user.map(|user| (uid, user)))
    }
}

/// The account with that uid, if no other has it.
pub(super) fn only_user_of(rows: &impl Tables, uid: SystemId) -> Result<Option<User>, StoreError> {
    let (ids, count) = id_set::page(rows, IdSet::SystemUser(uid), Page { limit: 1, offset: 0 })?;
    match ids.first() {
        Some(id) if count == 1 => rows.user(*id),
        Some(_) | None => Ok(None),
    }
}

/// Whether the uid is one person's: neither root's nor the one that the kernel shows in place of those it cannot.
fn is_of_one_person(uid: SystemId) -> bool {
    const DEFAULT_OVERFLOW: u32 = 65_534;
    let overflow = fs::read_to_string("/proc/sys/kernel/overflowuid").ok();
    let overflow = overflow.and_then(|text| text.trim().parse().ok()).unwrap_or(DEFAULT_OVERFLOW);
    uid != SystemId::ROOT && ![overflow, DEFAULT_OVERFLOW].contains(&uid.get())
}

fn refused_actor(uid: u32) -> Actor {
    Actor { account: None, method: AuthMethod::SystemUser(uid), address: None }
}
