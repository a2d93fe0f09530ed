//! The operating system's users and groups over HTTP.

use schemars::JsonSchema;
use serde::Serialize;

use super::{
    error::ApiError,
    listing::{Listed, Listing},
    schema::all_optional,
};
use crate::{
    service::{Administrator, systems},
    system::{SystemGroup, SystemUser},
};

/// A user of the operating system.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "system_user", transform = all_optional)]
pub(super) struct SystemUserView {
    #[schemars(extend("readOnly" = true))]
    name: String,
    #[schemars(extend("readOnly" = true))]
    uid: u32,
    #[schemars(extend("readOnly" = true))]
    gid: u32,
    #[schemars(extend("readOnly" = true))]
    info: String,
}

/// A group of the operating system.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "system_group", transform = all_optional)]
pub(super) struct SystemGroupView {
    #[schemars(extend("readOnly" = true))]
    name: String,
    #[schemars(extend("readOnly" = true))]
    gid: u32,
    #[schemars(extend("readOnly" = true))]
    users: Vec<String>,
}

impl From<SystemUser> for SystemUserView {
    fn from(SystemUser { name, uid, gid, info }: SystemUser) -> Self {
        Self { name, uid, gid, info }
    }
}

impl From<SystemGroup> for SystemGroupView {
    fn from(SystemGroup { name, gid, users }: SystemGroup) -> Self {
        Self { name, gid, users }
    }
}

impl Listed for SystemUserView {
    const COLLECTION: &'static str = "users";
}

impl Listed for SystemGroupView {
    const COLLECTION: &'static str = "groups";
}

pub(super) async fn users(administrator: Administrator) -> Result<Listing<SystemUserView>, ApiError> {
    let users = systems::users(&administrator).await?;
    Ok(Listing::whole(users.into_iter().map(SystemUserView::from).collect()))
}

pub(super) async fn groups(administrator: Administrator) -> Result<Listing<SystemGroupView>, ApiError> {
    let groups = systems::groups(&administrator).await?;
    Ok(Listing::whole(groups.into_iter().map(SystemGroupView::from).collect()))
}
