//! Users over HTTP.

use serde::Serialize;

use super::{
    error::ApiError,
    guard::Oneself,
    input::{Body, FromMembers, Members, PathId},
    reply::{Created, Listed, Listing, NoContent, Permitted, Shown, View},
};
use crate::{
    auth::{Administrator, Caller, Rules},
    domain::{Email, Id, NewPassword, Page, SystemId, User, Username},
    service::users::{self, UserDraft},
};

/// A user as clients see one: never with the password or what it is checked against.
#[derive(Serialize)]
pub(super) struct UserView {
    id: Id,
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<SystemId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<SystemId>,
    username: Username,
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    is_admin: bool,
    created_at: String,
    updated_at: String,
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            user_id: user.user_id,
            group_id: user.group_id,
            username: user.username,
            email: user.email,
            is_admin: user.is_admin,
            created_at: user.created_at.to_string(),
            updated_at: user.updated_at.to_string(),
        }
    }
}

impl View for UserView {
    const SCHEMA: &'static str = "user";
}

impl Listed for UserView {
    const SCHEMA: &'static str = "user_collection";
    const COLLECTION: &'static str = "users";
}

impl FromMembers for UserDraft {
    const SCHEMA: &'static str = "user";

    fn from_members(mut members: Members, rules: &Rules) -> Self {
        Self {
            username: members.text("username", Username::parse),
            password: members.secret_text("password", |text| NewPassword::parse(text, rules.password_shortest)),
            email: members.optional_text("email", Email::parse),
            user_id: members.optional_integer("user_id", SystemId::new),
            group_id: members.optional_integer("group_id", SystemId::new),
            is_admin: members.truth("is_admin"),
            violations: members.violations,
        }
    }
}

pub(super) async fn show_current(caller: Caller) -> Result<Shown<UserView>, ApiError> {
    Ok(Shown(caller.user.into()))
}

pub(super) async fn index(administrator: Administrator, page: Page) -> Result<Listing<UserView>, ApiError> {
    Ok(Listing::of(users::index(&administrator, page)?, UserView::from))
}

pub(super) async fn create(
    administrator: Administrator,
    Body(draft): Body<UserDraft>,
) -> Result<Created<UserView>, ApiError> {
    Ok(Created(users::create(&administrator, draft).await?.into()))
}

pub(super) async fn show(Oneself(caller): Oneself, PathId(id): PathId) -> Result<Shown<UserView>, ApiError> {
    Ok(Shown(users::show(&caller, id)?.into()))
}

pub(super) async fn update(
    Oneself(caller): Oneself,
    PathId(id): PathId,
    Body(draft): Body<UserDraft>,
) -> Result<Shown<UserView>, ApiError> {
    Ok(Shown(users::update(&caller, id, draft).await?.into()))
}

pub(super) async fn destroy(
    administrator: Administrator,
    PathId(id): PathId,
) -> Result<Permitted<NoContent>, ApiError> {
    users::destroy(&administrator, id).await?;
    Ok(Permitted(NoContent))
}
