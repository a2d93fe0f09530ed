//! The operating system's users and groups over HTTP.

use serde::Serialize;

use super::{
    error::ApiError,
    reply::{Listed, Listing},
};
use crate::{
    auth::Administrator,
    system::{SystemGroup, SystemUser},
};

#[derive(Serialize)]
pub(super) struct SystemUserView {
    name: String,
    uid: u32,
    gid: u32,
    info: String,
}

#[derive(Serialize)]
pub(super) struct SystemGroupView {
    name: String,
    gid: u32,
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
    const SCHEMA: &'static str = "system_user_collection";
    const COLLECTION: &'static str = "users";
}

impl Listed for SystemGroupView {
    const SCHEMA: &'static str = "system_group_collection";
    const COLLECTION: &'static str = "groups";
}

pub(super) async fn users(Administrator(caller): Administrator) -> Result<Listing<SystemUserView>, ApiError> {
    let users = caller.state.names.users().await?;
    Ok(Listing::whole(users.into_iter().map(SystemUserView::from).collect()))
}

pub(super) async fn groups(Administrator(caller): Administrator) -> Result<Listing<SystemGroupView>, ApiError> {
    let groups = caller.state.names.groups().await?;
    Ok(Listing::whole(groups.into_iter().map(SystemGroupView::from).collect()))
}
