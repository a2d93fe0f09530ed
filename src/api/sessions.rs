//! Sessions over HTTP.

use super::{
    error::ApiError,
    input::{Body, FromObject, JsonObject},
    reply::{NoContent, SignedIn},
    users::UserView,
};
use crate::{
    auth::{Anonymous, AuthError, Caller, Challenge, Policy},
    domain::PresentedPassword,
    service::sessions,
};

/// What sign_in is given; `None` if it cannot be anybody's, which is no better than a wrong password.
pub(super) struct SignIn(Option<(String, PresentedPassword)>);

impl FromObject for SignIn {
    const SCHEMA: &'static str = "sign_in";
    const MAY_BE_INVALID: bool = false;
    const IS_FROM_STRANGERS: bool = true;

    fn from_object(object: JsonObject, _: &Policy) -> Self {
        Self(object.nested("user").and_then(|user| {
            let username = user.raw_text("username").filter(|username| !username.is_empty())?;
            let password = PresentedPassword::parse(user.raw_text("password")?)?;
            Some((username.to_owned(), password))
        }))
    }
}

pub(super) async fn sign_in(
    anonymous: Anonymous,
    Body(SignIn(given)): Body<SignIn>,
) -> Result<SignedIn<UserView>, ApiError> {
    let (username, password) = given.ok_or(AuthError::Refused(Challenge::Bearer))?;
    let (user, token) = sessions::sign_in(&anonymous, &username, &password).await?;
    Ok(SignedIn { user: user.id, view: user.into(), token })
}

pub(super) async fn sign_out(caller: Caller) -> Result<NoContent, ApiError> {
    sessions::sign_out(&caller).await?;
    Ok(NoContent)
}
