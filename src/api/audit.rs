//! The audit log over HTTP.

use serde::{Serialize, Serializer};

use super::{
    context::RequestContext,
    error::ApiError,
    input::{Input, text_in_query},
    openapi::Description,
    reply::{Listed, Listing},
};
use crate::{
    audit::{EntryView, Filter},
    auth::Administrator,
    domain::{AuditEntry, Page},
    service,
};

/// An entry as clients see it: without what chains it to others.
pub(super) struct AuditEntryView(AuditEntry);

impl Serialize for AuditEntryView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EntryView::of(self.0.id, &self.0.event).serialize(serializer)
    }
}

impl Listed for AuditEntryView {
    const SCHEMA: &'static str = "audit_entry_collection";
    const COLLECTION: &'static str = "audit_entries";
}

impl Input for Filter {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        let (query, now) = (context.http.query_string(), context.app.state.clock.now());
        let moment = |name| {
            let text = text_in_query(query, name)?;
            text.map(|text| Self::moment(&text, now)).transpose().map_err(ApiError::Malformed)
        };
        let (since, until) = (moment("since")?, moment("until")?);
        Ok(Self { since, until, user: text_in_query(query, "user")?, action: text_in_query(query, "action")? })
    }

    fn describe(description: &mut Description) {
        for name in ["since", "until", "user", "action"] {
            description.shared_parameter(name);
        }
    }
}

pub(super) async fn index(
    administrator: Administrator,
    filter: Filter,
    page: Page,
) -> Result<Listing<AuditEntryView>, ApiError> {
    Ok(Listing::of(service::audit::index(&administrator, filter, page).await?, AuditEntryView))
}
