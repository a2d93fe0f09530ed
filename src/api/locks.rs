//! Locks over HTTP.

use serde::Serialize;

use super::{
    context::RequestContext,
    error::ApiError,
    input::{Input, text_in_query},
    openapi::Description,
    reply::{Listed, Listing, NoContent},
};
use crate::{
    auth::Administrator,
    domain::{Network, Page, Username},
    service::locks::{self, Lock, LockFilter, LockKind},
};

/// A lock as clients see one.
#[derive(Serialize)]
pub(super) struct LockView {
    kind: LockKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Username>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Network>,
    failures: u32,
    waits_until: String,
}

impl From<Lock> for LockView {
    fn from(Lock { kind, username, address, failures, waits_until }: Lock) -> Self {
        Self { kind, username, address, failures, waits_until: waits_until.to_string() }
    }
}

impl Listed for LockView {
    const SCHEMA: &'static str = "lock_collection";
    const COLLECTION: &'static str = "locks";
}

impl Input for LockFilter {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        let query = context.http.query_string();
        // A mistyped name would clear them all.
        if form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name != "username" && name != "address") {
            return Err(ApiError::Malformed("Only a username and an address tell which locks are meant.".to_owned()));
        }
        let address = text_in_query(query, "address")?.map(|address| {
            let malformed = || ApiError::Malformed("The address is not an IP address.".to_owned());
            Network::parse(&address).ok_or_else(malformed)
        });
        Ok(Self { username: text_in_query(query, "username")?, address: address.transpose()? })
    }

    fn describe(description: &mut Description) {
        description.query_parameter("username", "Only the locks of this account.");
        description.query_parameter("address", "Only the locks of this IP address, or of the /64 that it is in.");
        description.error(400, "The username or the address is empty or is none, or something else is given.");
    }
}

pub(super) async fn index(administrator: Administrator, page: Page) -> Result<Listing<LockView>, ApiError> {
    Ok(Listing::of(locks::index(&administrator, page)?, LockView::from))
}

pub(super) async fn destroy(administrator: Administrator, filter: LockFilter) -> Result<NoContent, ApiError> {
    locks::clear(&administrator, &filter).await?;
    Ok(NoContent)
}
