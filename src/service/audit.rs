//! The audit log, as administrators read it.

use super::{Administrator, ServiceError};
use crate::{
    audit::{self, Filter},
    domain::{AuditEntry, Page},
    store::{Slice, StoreError},
};

/// A page of the entries that match the filter and are still in the store.
///
/// # Errors
/// [`ServiceError::Store`].
pub async fn index(
    administrator: &Administrator,
    filter: Filter,
    page: Page,
) -> Result<Slice<AuditEntry>, ServiceError> {
    let store = administrator.0.store().clone();
    // Reads every entry, which takes too long for a thread that other requests wait for.
    let found = tokio::task::spawn_blocking(move || audit::page(&store, &filter, page)).await;
    Ok(found.map_err(|_| StoreError::Panicked)??)
}
