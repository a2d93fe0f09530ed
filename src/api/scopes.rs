//! Scopes over HTTP: those of the caller's credential, and the catalogue of all.

use super::{
    api_keys::ScopeView,
    context::RequestContext,
    description::Description,
    error::ApiError,
    guard::Authenticated,
    input::Input,
    listing::{Listed, Listing},
    scope_catalogue::ScopeDescription,
};
use crate::service::Caller;

impl Listed for ScopeView {
    const COLLECTION: &'static str = "scopes";
}

pub(super) async fn index(Authenticated(caller): Authenticated) -> Result<Listing<ScopeView>, ApiError> {
    Ok(Listing::whole(caller.scopes().into_iter().map(ScopeView).collect()))
}

impl Listed for ScopeDescription {
    const COLLECTION: &'static str = "scopes";
}

/// The catalogue, in the order of the operations.
pub(super) struct Catalogue(Vec<ScopeDescription>);

impl Input for Catalogue {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(Self((context.catalogue)()))
    }

    fn describe(_: &mut Description) {}
}

pub(super) async fn catalogue(_: Caller, Catalogue(scopes): Catalogue) -> Result<Listing<ScopeDescription>, ApiError> {
    Ok(Listing::whole(scopes))
}
