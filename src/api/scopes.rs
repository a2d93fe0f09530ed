//! The scopes of the caller's credential over HTTP.

use super::{
    api_keys::ScopeView,
    error::ApiError,
    guard::Authenticated,
    listing::{Listed, Listing},
};

impl Listed for ScopeView {
    const COLLECTION: &'static str = "scopes";
}

pub(super) async fn index(Authenticated(caller): Authenticated) -> Result<Listing<ScopeView>, ApiError> {
    Ok(Listing::whole(caller.scopes().into_iter().map(ScopeView).collect()))
}
