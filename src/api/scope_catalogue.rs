//! The catalogue of scopes: what each opens, and for whom.

use schemars::JsonSchema;
use serde::Serialize;

/// A scope, one of the operations that it opens, and who may call that.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "scope_description")]
pub(super) struct ScopeDescription {
    pub(super) controller: &'static str,
    pub(super) action: &'static str,
    /// The operation's name.
    pub(super) operation: &'static str,
    pub(super) method: String,
    /// The operation's path, below that of the API.
    pub(super) path: &'static str,
    /// What the operation does.
    pub(super) description: &'static str,
    /// Whom the operation admits.
    pub(super) admits: AdmittedRole,
}

/// Whom an operation admits that has a scope.
#[derive(Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(super) enum AdmittedRole {
    /// Every user.
    User,
    /// The user whose account it is, and administrators.
    SelfOrAdministrator,
    /// Administrators.
    Administrator,
}
