//! The audit log over HTTP.

use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::{
    context::RequestContext,
    description::Description,
    error::ApiError,
    input::Input,
    listing::{Listed, Listing},
    query,
};
use crate::{
    audit::{EntryView, Filter},
    domain::{AuditEntry, Page},
    service::{self, Administrator},
};

/// An entry of the audit log.
// Without the hashes that chain it to others.
#[derive(JsonSchema)]
#[schemars(rename = "audit_entry")]
pub(super) struct AuditEntryView(#[schemars(with = "EntryView<'static>")] AuditEntry);

impl Serialize for AuditEntryView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        EntryView::of(self.0.id, &self.0.event).serialize(serializer)
    }
}

impl Listed for AuditEntryView {
    const COLLECTION: &'static str = "audit_entries";
}

impl Input for Filter {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let (given, now) = (context.query(), context.app.state.clock.now());
        let moment = |name| {
            let text = query::text(given, name)?;
            text.map(|text| Self::moment(&text, now)).transpose().map_err(ApiError::Malformed)
        };
        let (since, until) = (moment("since")?, moment("until")?);
        Ok(Self { since, until, user: query::text(given, "user")?, action: query::text(given, "action")? })
    }

    fn describe(description: &mut Description) {
        for (name, text) in [
            ("since", "No entries before that time (RFC 3339) or longer ago than that (24h)."),
            ("until", "Only entries before that time, or longer ago than that."),
            ("user", "Only entries by or about the user of that name or id."),
            ("action", "Only entries of that action, as in `users / create`; either half may be `*`."),
        ] {
            description.shared_query_parameter::<String>(name, text);
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
