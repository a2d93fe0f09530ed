//! The state's activity in its store.

use super::AppState;
use crate::store::{StoreError, activity};

impl AppState {
    /// Begins to record activity: stores since when, unless the store has that already.
    ///
    /// # Errors
    /// [`StoreError`] if that cannot be written.
    pub async fn begin_activity(&self) -> Result<(), StoreError> {
        if activity::since(&self.store)?.is_some() {
            return Ok(());
        }
        let now = self.clock.now();
        self.store.write(move |txn| txn.begin_activity(now)).await
    }

    /// Writes the activity that waits; a failure is logged.
    pub async fn write_activity(&self) {
        if let Err(error) = self.activity.write(&self.store).await {
            log::error!("the last use of credentials cannot be written: {error}");
        }
    }
}
