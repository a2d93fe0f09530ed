//! The keys of assertions in the store.

use super::AppState;
use crate::{
    domain::{Action, Actor, AffectedResource},
    error_chain::chain,
    store::{StoreError, Txn, assertion_keys},
};

impl AppState {
    /// Publishes the stored keys of assertions, and takes the step that is due for them, at the start and every minute. If that
    /// cannot be stored, the failure is logged and the keys stay as they are.
    pub async fn keep_assertion_keys(&self) {
        if let Err(error) = self.step_assertion_keys().await {
            log::error!("the keys of assertions cannot be renewed: {}", chain(&error));
        }
    }

    async fn step_assertion_keys(&self) -> Result<(), StoreError> {
        if !self.policy.assertions.is_on() {
            return Ok(());
        }
        let stored = assertion_keys::stored(&self.store)?;
        let (keys, step) = self.keyring.open(stored, &self.policy.assertions, self.clock.reading());
        self.keyring.publish(keys);
        let Some(step) = step else { return Ok(()) };
        if step.lost > 0 {
            log::warn!(
                "keys of assertions were made under another secret and are replaced; services fetch the new ones"
            );
        }
        let stored = step.keys.to_stored();
        let details = step.keys.iter().map(|(place, key)| format!("{place} = {}", key.id())).collect();
        let store = move |txn: &mut Txn<'_>| {
            txn.set_assertion_keys(&stored);
            Ok::<_, StoreError>(((), AffectedResource::details(details)))
        };
        // Published once it is durable: no service keeps a key that a crash takes back.
        self.write(Actor::SERVER, Action::RotateAssertionKeys, store).await?;
        self.keyring.publish(step.keys);
        Ok(())
    }
}
