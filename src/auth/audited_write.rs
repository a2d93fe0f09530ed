//! Writes that leave an entry in the audit log.

use super::{AppState, Authentication, Caller};
use crate::{
    audit::done,
    domain::{Account, Action, Actor, AffectedResource, AuthMethod},
    error_chain,
    store::{StoreError, Txn},
};

impl AppState {
    /// Writes, and if that changes anything leaves an entry in the same transaction: neither is there without the other.
    ///
    /// # Errors
    /// Whatever [`crate::store::Store::write`] and the write itself say; then there is no entry.
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
        let (chain, now) = (self.audit.chain.clone(), self.clock.now());
        self.store
            .write(move |txn| {
                let (outcome, subject) = work(txn)?;
                if txn.has_changes() {
                    chain.append(txn, done(now, actor, action, subject))?;
                }
                Ok(outcome)
            })
            .await
    }

    /// Leaves an entry of what changes no row. A store that cannot take it keeps nobody from doing it.
    pub(crate) async fn tell(&self, actor: Actor, action: Action, subject: AffectedResource) {
        let (chain, event) = (self.audit.chain.clone(), done(self.clock.now(), actor, action, subject));
        if let Err(error) = self.store.write(move |txn| chain.append(txn, event)).await {
            log::error!("the audit log cannot tell of {}: {}", action.name(), error_chain::chain(&error));
        }
    }
}

impl Caller {
    /// As [`AppState::tell`], of what the caller does.
    pub(crate) async fn tell(&self, action: Action, subject: AffectedResource) {
        self.state.tell(self.actor(), action, subject).await;
    }

    /// The caller as the audit log names one.
    #[must_use]
    pub fn actor(&self) -> Actor {
        let method = match &self.authentication {
            Authentication::Password => AuthMethod::Password,
            Authentication::Session(jti) => AuthMethod::Session(*jti),
            Authentication::ApiKey(api_key) => AuthMethod::ApiKey(Some(api_key.id)),
        };
        Actor { account: Some(Account::of(&self.user)), method, address: Some(self.address) }
    }
}
