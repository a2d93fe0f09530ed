//! Sessions over HTTP.

use super::{
    error::ApiError,
    input::{Body, FromMembers, Members},
    reply::{NoContent, SignedIn},
    users::UserView,
};
use crate::{
    auth::{AuthError, Caller, Challenge, Rules, Visitor},
    domain::PresentedPassword,
    service::sessions,
};

/// What sign_in is given; `None` if it cannot be anybody's, which is no better than a wrong password.
pub(super) struct SignIn(Option<(String, PresentedPassword)>);

impl FromMembers for SignIn {
    const SCHEMA: &'static str = "sign_in";
    const MAY_BE_INVALID: bool = false;
    const IS_FROM_STRANGERS: bool = true;

    fn from_members(members: Members, _: &Rules) -> Self {
        Self(members.nested("user").and_then(|user| {
            let username = user.raw_text("username").filter(|username| !username.is_empty())?;
            let password = PresentedPassword::parse(user.raw_text("password")?)?;
            Some((username.to_owned(), password))
        }))
    }
}

pub(super) async fn sign_in(
    visitor: Visitor,
    Body(SignIn(given)): Body<SignIn>,
) -> Result<SignedIn<UserView>, ApiError> {
    let (username, password) = given.ok_or(AuthError::Refused(Challenge::Bearer))?;
    let (user, token) = sessions::sign_in(&visitor, &username, &password).await?;
    Ok(SignedIn { user: user.id, view: user.into(), token })
}

pub(super) async fn sign_out(caller: Caller) -> Result<NoContent, ApiError> {
    sessions::sign_out(&caller).await?;
    Ok(NoContent)
}
