//! The operating system's users and groups, as administrators may see them.

use super::{Administrator, ServiceError};
use crate::system::{SystemGroup, SystemUser};

/// All system users, by uid and name, read now.
///
/// # Errors
/// [`ServiceError::NameService`] if the whole list cannot be had in time.
pub async fn users(administrator: &Administrator) -> Result<Vec<SystemUser>, ServiceError> {
    Ok(administrator.0.state.names.users().await?)
}

/// All system groups, by gid and name, read now.
///
/// # Errors
/// [`ServiceError::NameService`] if the whole list cannot be had in time.
pub async fn groups(administrator: &Administrator) -> Result<Vec<SystemGroup>, ServiceError> {
    Ok(administrator.0.state.names.groups().await?)
}
