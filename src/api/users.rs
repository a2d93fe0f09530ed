//! Users over HTTP.

use std::sync::Arc;

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::{
    error::ApiError,
    guard::SelfOrAdministrator,
    input::{Body, FromObject, JsonObject, PathId},
    memory_budget::BudgetedBuffer,
    reply::{Created, Encoded, Listed, Listing, NoContent, Permitted, Shown, View, encode},
    user_list_cache::UserListCache,
};
use crate::{
    auth::{Administrator, Caller, Policy},
    domain::{Email, NewPassword, Page, SystemId, User, Username},
    service::users::{self, UserDraft},
};

/// A user as clients see one: never with the password or what it is checked against.
pub(super) struct UserView(User);

impl Serialize for UserView {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let user = &self.0;
        let mut object = serializer.serialize_struct("user", 8)?;
        object.serialize_field("id", &user.id)?;
        if let Some(id) = &user.user_id {
            object.serialize_field("user_id", id)?;
        }
        if let Some(id) = &user.group_id {
            object.serialize_field("group_id", id)?;
        }
        object.serialize_field("username", &user.username)?;
        if let Some(email) = &user.email {
            object.serialize_field("email", email)?;
        }
        object.serialize_field("is_admin", &user.is_admin)?;
        object.serialize_field("created_at", user.created_at.text().as_str())?;
        object.serialize_field("updated_at", user.updated_at.text().as_str())?;
        object.end()
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

impl FromObject for UserDraft {
    const SCHEMA: &'static str = "user";

    fn from_object(mut object: JsonObject, policy: &Policy) -> Self {
        Self {
            username: object.text("username", Username::parse),
            password: object.secret_text("password", |text| NewPassword::parse(text, policy.min_password_bytes)),
            email: object.optional_text("email", Email::parse),
            user_id: object.optional_integer("user_id", SystemId::new),
            group_id: object.optional_integer("group_id", SystemId::new),
            is_admin: object.truth("is_admin"),
            violations: object.violations,
        }
    }
}

pub(super) async fn show_current(caller: Caller) -> Result<Encoded<Shown<UserView>>, ApiError> {
    Ok(Encoded::new(caller.user.told(|user| encode(&UserView(user.clone())).into())))
}

pub(super) async fn index(
    administrator: Administrator,
    page: Page,
    user_list_cache: Arc<UserListCache>,
) -> Result<Encoded<Listing<UserView>>, ApiError> {
    let version = administrator.0.store().users_version();
    let write = async |answer: &mut BudgetedBuffer| {
        Listing::of(users::index(&administrator, page)?, UserView::from).write_to(answer).await
    };
    Ok(Encoded::new(user_list_cache.page(page, version, write).await?))
}

pub(super) async fn create(
    administrator: Administrator,
    Body(draft): Body<UserDraft>,
) -> Result<Created<UserView>, ApiError> {
    Ok(Created(users::create(&administrator, draft).await?.into()))
}

pub(super) async fn show(
    SelfOrAdministrator(caller): SelfOrAdministrator,
    PathId(id): PathId,
) -> Result<Shown<UserView>, ApiError> {
    Ok(Shown(users::show(&caller, id)?.into()))
}

pub(super) async fn update(
    SelfOrAdministrator(caller): SelfOrAdministrator,
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
