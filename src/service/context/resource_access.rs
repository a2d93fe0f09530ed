//! Access to the configurations, API keys and sessions of the caller's own account, or of another one.

use std::ops::Deref;

use super::{Administrator, Author, Caller, Requester};
use crate::{
    domain::{Action, AffectedResource, Id, User},
    service::{ServiceError, refuse_restricted_key},
    store::{Tables, Txn},
};

/// A [`Requester`], and the account whose resources the request is about.
pub struct ResourceAccess {
    requester: Requester,
    /// The account whose resources they are.
    pub owner: Id,
    /// Whether the request is for the caller's own resources, and not for those of a named user.
    pub is_own: bool,
}

/// The actions of a write for the audit log.
#[derive(Clone, Copy, Debug)]
pub struct ResourceAction {
    /// On the caller's own resources.
    pub own: Action,
    /// On those of another account.
    pub of_user: Action,
}

impl ResourceAccess {
    /// The access of an administrator to the resources of that user.
    ///
    /// # Errors
    /// [`ServiceError::NotFound`] if there is no such user.
    pub fn of_user(Administrator(requester): Administrator, owner: Id) -> Result<Self, ServiceError> {
        requester.store().user(owner)?.ok_or(ServiceError::NotFound)?;
        Ok(Self { requester, owner, is_own: false })
    }

    /// Runs a write as [`Caller::write`] does; the write gets the owner's current account.
    ///
    /// # Errors
    /// Those of [`Caller::write`]; [`ServiceError::NotFound`] if the owner has been removed,
    /// [`ServiceError::Forbidden`] for a restricted key on the resources of an administrator.
    pub async fn write<T: Send + 'static>(
        &self,
        action: ResourceAction,
        work: impl FnOnce(&mut Txn<'_>, User) -> Result<(T, AffectedResource), ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (owner, is_own, principal) = (self.owner, self.is_own, self.principal.clone());
        let action = if is_own { action.own } else { action.of_user };
        self.requester
            .write(action, move |txn, author| match author {
                Author::Account(user) if is_own => work(txn, user.clone()),
                Author::Account(_) | Author::Local => {
                    let owner = txn.user(owner)?.ok_or(ServiceError::NotFound)?;
                    refuse_restricted_key(&principal, owner.is_admin)?;
                    let owned_by = format!("owner = {}", owner.username.as_str());
                    let (outcome, mut subject) = work(txn, owner)?;
                    subject.details.push(owned_by);
                    Ok((outcome, subject))
                }
            })
            .await
    }
}

impl From<Caller> for ResourceAccess {
    fn from(caller: Caller) -> Self {
        let owner = caller.user.id;
        Self { requester: caller.into(), owner, is_own: true }
    }
}

impl Deref for ResourceAccess {
    type Target = Requester;

    fn deref(&self) -> &Requester {
        &self.requester
    }
}
