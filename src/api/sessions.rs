//! Sessions over HTTP.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{
    error::ApiError,
    input::{Body, FromObject},
    json_object::JsonObject,
    reply::{NoContent, SignedIn},
    users::UserView,
};
use crate::{
    auth::{AuthError, Challenge},
    domain::PresentedPassword,
    service::{Anonymous, Caller, Policy, sessions},
};

/// The credentials in the body; `None` if no account can have them, which is the same as a wrong password.
pub(super) struct SignIn(Option<(String, PresentedPassword)>);

impl FromObject for SignIn {
    type Schema = Self;

    const MAY_BE_INVALID: bool = false;
    const IS_ANONYMOUS: bool = true;

    fn from_object(object: JsonObject, _: &Policy) -> Self {
        Self(object.nested("user").and_then(|user| {
            let username = user.raw_text("username").filter(|username| !username.is_empty())?;
            let password = PresentedPassword::parse(user.raw_text("password")?)?;
            Some((username.to_owned(), password))
        }))
    }
}

impl JsonSchema for SignIn {
    fn schema_name() -> Cow<'static, str> {
        "sign_in".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let credentials = json_schema!({
            "type": "object",
            "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
        });
        json_schema!({"type": "object", "properties": {"user": credentials}})
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
