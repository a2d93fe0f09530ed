//! What a service demands of those who use it.

use super::Forbidden;
use crate::{
    auth::Authentication,
    domain::{Scope, User},
};

/// Refuses a credential that lacks one of these scopes, or the role.
///
/// # Errors
/// [`Forbidden::LacksScope`] with the first that is lacking, then [`Forbidden::Role`].
pub fn satisfy(
    user: &User,
    authentication: &Authentication,
    scopes: &[Scope],
    needs_administrator: bool,
) -> Result<(), Forbidden> {
    let is_lacking = |scope: &&Scope| !authentication.permits(scope.controller(), scope.action());
    if let Some(lacking) = scopes.iter().find(is_lacking) {
        return Err(Forbidden::LacksScope(lacking.clone()));
    }
    // The role alone is nothing that a restricted key was given.
    let may_lend_role = user.is_admin && (!scopes.is_empty() || !authentication.is_restricted());
    if needs_administrator && !may_lend_role { Err(Forbidden::Role) } else { Ok(()) }
}
