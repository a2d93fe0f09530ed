//! Locks over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    context::RequestContext,
    date_time::DateTime,
    description::Description,
    error::ApiError,
    input::Input,
    listing::{Listed, Listing},
    query,
    reply::NoContent,
};
use crate::{
    domain::{Network, Page, Username},
    service::{
        Administrator,
        locks::{self, Lock, LockFilter, LockKind},
    },
};

/// An account, an address or both, locked out after failed attempts.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "lock")]
pub(super) struct LockView {
    /// What is locked out: an account from one address, or an address or an account from all that are new to it.
    #[schemars(with = "String", extend("enum" = ["account_from_address", "address", "account"]))]
    kind: LockKind,
    /// The account's name; left out for an unknown name.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<Username>,
    /// An IPv4 address, or the /64 that an IPv6 address is in.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<Network>,
    /// The number of failed attempts that count.
    failures: u32,
    /// When the next attempt is accepted.
    waits_until: DateTime,
}

impl From<Lock> for LockView {
    fn from(Lock { kind, username, address, failures, waits_until }: Lock) -> Self {
        Self { kind, username, address, failures, waits_until: DateTime(waits_until) }
    }
}

impl Listed for LockView {
    const COLLECTION: &'static str = "locks";
}

impl Input for LockFilter {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let given = context.query();
        // Ignoring a mistyped name would clear all locks.
        if form_urlencoded::parse(given.as_bytes()).any(|(name, _)| name != "username" && name != "address") {
            return Err(ApiError::Malformed("The only parameters are username and address.".to_owned()));
        }
        let address = query::text(given, "address")?.map(|address| {
            let malformed = || ApiError::Malformed("The address is not an IP address.".to_owned());
            Network::parse(&address).ok_or_else(malformed)
        });
        Ok(Self { username: query::text(given, "username")?, address: address.transpose()? })
    }

    fn describe(description: &mut Description) {
        description.query_parameter("username", "Only the locks of this account.");
        description.query_parameter("address", "Only the locks of this IP address, or of the /64 that it is in.");
        description.error(400, "The username or the address is empty or invalid, or there is another parameter.");
    }
}

pub(super) async fn index(administrator: Administrator, page: Page) -> Result<Listing<LockView>, ApiError> {
    Ok(Listing::of(locks::index(&administrator, page)?, LockView::from))
}

pub(super) async fn destroy(administrator: Administrator, filter: LockFilter) -> Result<NoContent, ApiError> {
    locks::clear(&administrator, &filter).await?;
    Ok(NoContent)
}
