//! What a token is good for, which a service asks that was given it (RFC 7662).

use super::{Caller, ServiceError};
use crate::auth::{Authentication, GoodToken};

/// The token of that text, if it is good; `None` for every other, whatever is wrong with it.
///
/// An API key that is bound to networks is not good here: from where it was presented is not known.
///
/// # Errors
/// [`ServiceError::Auth`] if the caller has asked about too many tokens that are not good, or if the store cannot be read.
pub fn introspect(caller: &Caller, text: &str) -> Result<Option<GoodToken>, ServiceError> {
    let authenticator = &caller.state.authenticator;
    let examined = authenticator.examine_token(text)?.ok();
    let good = examined.filter(|token| !is_bound_to_networks(&token.authentication));
    if good.is_none() {
        authenticator.count_asked_token(caller.user.id)?;
    }
    Ok(good)
}

fn is_bound_to_networks(authentication: &Authentication) -> bool {
    match authentication {
        Authentication::ApiKey(key) => key.allowed_networks.is_some(),
        Authentication::Password | Authentication::Session(_) | Authentication::SystemUser(_) => false,
    }
}
