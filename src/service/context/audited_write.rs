//! Writes with an entry in the audit log.

use super::{AppState, Author, Caller, Requester, credential_snapshot::CredentialSnapshot};
use crate::{
    audit::done,
    auth::Principal,
    domain::{Action, Actor, AffectedResource, User},
    error_chain,
    service::ServiceError,
    store::{StoreError, Txn},
};

impl AppState {
    /// Runs a write; the change and its audit entry commit atomically. A write that changes nothing adds no entry.
    ///
    /// # Errors
    /// Those of [`Self::write_all`].
    pub(crate) async fn write<T, E>(
        &self,
        actor: Actor,
        action: Action,
        work: impl FnOnce(&mut Txn<'_>) -> Result<(T, AffectedResource), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
    {
        self.write_all(actor, move |txn| {
            let (outcome, subject) = work(txn)?;
            Ok((outcome, txn.has_changes().then_some((action, subject))))
        })
        .await
    }

    /// Runs a write of several changes; they and their audit entries commit atomically.
    ///
    /// # Errors
    /// Those of [`crate::store::Store::write`] and of the write itself, and [`StoreError::Busy`] if the actor's account has its
    /// share of the writes that wait; then there is no entry.
    pub(crate) async fn write_all<T, E, D>(
        &self,
        actor: Actor,
        work: impl FnOnce(&mut Txn<'_>) -> Result<(T, D), E> + Send + 'static,
    ) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<StoreError> + Send + 'static,
        D: IntoIterator<Item = (Action, AffectedResource)>,
    {
        let waiting = self.write_shares.begin(actor.account_id())?;
        let (chain, now) = (self.audit.chain.clone(), self.clock.now());
        self.store
            .write(move |txn| {
                drop(waiting);
                let (outcome, changes) = work(txn)?;
                for (action, subject) in changes {
                    chain.append(txn, done(now, actor.clone(), action, subject))?;
                }
                Ok(outcome)
            })
            .await
    }

    /// Records an action that changes no row. If the entry cannot be written, as on a full disk, the failure is logged
    /// and the action goes ahead.
    pub(crate) async fn record(&self, actor: Actor, action: Action, subject: AffectedResource) {
        let (chain, event) = (self.audit.chain.clone(), done(self.clock.now(), actor, action, subject));
        if let Err(error) = self.store.write(move |txn| chain.append(txn, event)).await {
            log::error!("{} is missing in the audit log: {}", action.name(), error_chain::chain(&error));
        }
    }
}

impl Caller {
    /// Runs a write, if the credential still has the rights that it had when the request was admitted. The write gets
    /// the current account, and returns the resource of the audit entry.
    ///
    /// # Errors
    /// [`ServiceError::Auth`] or [`ServiceError::Forbidden`] if the credential's rights have been reduced; those of
    /// `AppState::write`.
    pub async fn write<T: Send + 'static>(
        &self,
        action: Action,
        work: impl FnOnce(&mut Txn<'_>, User) -> Result<(T, AffectedResource), ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (credential, now) = (CredentialSnapshot(self.identity.clone()), self.state.clock.now());
        self.state
            .write(self.actor(), action, move |txn| {
                let user = credential.confirm(txn, now)?;
                work(txn, user)
            })
            .await
    }
}

impl Requester {
    /// Writes as [`Caller::write`] does; the write is given its author as the commit finds it. The operator on the local socket
    /// has nothing that could have been taken away meanwhile.
    ///
    /// # Errors
    /// Those of [`Caller::write`].
    pub async fn write<T: Send + 'static>(
        &self,
        action: Action,
        work: impl FnOnce(&mut Txn<'_>, Author<'_>) -> Result<(T, AffectedResource), ServiceError> + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (principal, now) = (self.principal.clone(), self.state.clock.now());
        self.state
            .write(self.actor(), action, move |txn| match principal {
                Principal::Account(identity) => {
                    let user = CredentialSnapshot(identity).confirm(txn, now)?;
                    work(txn, Author::Account(&user))
                }
                Principal::Local(_) => work(txn, Author::Local),
            })
            .await
    }

    /// Records an action of the requester's that changes no row, as [`AppState::record`] does.
    pub(crate) async fn record(&self, action: Action, subject: AffectedResource) {
        self.state.record(self.actor(), action, subject).await;
    }
}
