//! Users over HTTP.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    error::ApiError,
    guard::Oneself,
    input::{Body, FromMembers, Members, PathId},
    pages::UserPages,
    reply::{Created, Encoded, Listed, Listing, NoContent, Permitted, Shown, View, encode},
    transfer::Growing,
};
use crate::{
    auth::{Administrator, Caller, Rules},
    domain::{Email, NewPassword, Page, SystemId, User, Username},
    service::users::{self, UserDraft},
};

/// A user as clients see one: never with the password or what it is checked against.
pub(super) struct UserView(User);

impl Serialize for UserView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let user = &self.0;
        let mut members = serializer.serialize_struct("user", 8)?;
        members.serialize_field("id", &user.id)?;
        if let Some(id) = &user.user_id {
            members.serialize_field("user_id", id)?;
        }
        if let Some(id) = &user.group_id {
            members.serialize_field("group_id", id)?;
        }
        members.serialize_field("username", &user.username)?;
        if let Some(email) = &user.email {
            members.serialize_field("email", email)?;
        }
        members.serialize_field("is_admin", &user.is_admin)?;
        members.serialize_field("created_at", user.created_at.text().as_str())?;
        members.serialize_field("updated_at", user.updated_at.text().as_str())?;
        members.end()
    }
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self(user)
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

pub(super) async fn show_current(caller: Caller) -> Result<Encoded<Shown<UserView>>, ApiError> {
    Ok(Encoded::new(caller.user.told(|user| encode(&UserView(user.clone())).into())))
}

pub(super) async fn index(
    administrator: Administrator,
    page: Page,
    pages: Arc<UserPages>,
) -> Result<Encoded<Listing<UserView>>, ApiError> {
    let mark = administrator.0.store().mark_of_users();
    let write = async |answer: &mut Growing| {
        Listing::of(users::index(&administrator, page)?, UserView::from).write_to(answer).await
    };
    Ok(Encoded::new(pages.page(page, mark, write).await?))
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
