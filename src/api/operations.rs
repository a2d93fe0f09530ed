//! The table of operations: every operation is one row, and everything else about operations is derived from it.

use std::{fmt, sync::LazyLock};

use actix_web::http::Method;

use super::{
    api_key_usage, api_keys, apply, assertions, audit,
    body::BodyKind,
    configurations, explanation, forward_auth,
    guard::{Authenticated, Forwarded, SelfOrAdministrator, UserAdministrator},
    introspection, local, locks, metrics,
    mount::{Mounted, mount},
    scope_catalogue::{AdmittedRole, ScopeDescription},
    scopes, sessions, status, systems, users,
};
use crate::service::{Administrator, Anonymous, Caller, Local};

/// The prefix of all operations' paths.
pub const PREFIX: &str = "/api/v2";

/// Who may call an operation, given the right credential and scope.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admits {
    /// Every caller, without a credential.
    Anonymous,
    /// Every valid credential, whatever its scopes.
    Authenticated,
    /// Every user.
    Caller,
    /// The user in the path, and administrators.
    SelfOrAdministrator,
    /// Administrators only.
    Administrator,
    /// Administrators only; the path begins with the user whose resources it is about.
    UserAdministrator,
    /// The operator on the local socket; elsewhere the path is unknown.
    Local,
    /// Every user whose credential a proxy passes on and who has what the proxy's query demands.
    Forwarded,
}

/// Which requests an operation answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// Those with its method and its path.
    Exactly,
    /// Those with any method, with its path or with one below it.
    Everything,
}

/// One row of the table.
pub struct Operation {
    /// Its name.
    pub id: &'static str,
    /// What it does, in one sentence.
    pub summary: &'static str,
    /// Its method; the one that is documented if it answers every method.
    pub method: Method,
    /// Which requests it answers.
    pub answers: Answers,
    /// Its path below [`PREFIX`], with at most two parameters in braces.
    pub path: &'static str,
    /// The controller of its scope.
    pub controller: &'static str,
    /// The action of its scope.
    pub action: &'static str,
    /// Who may call it.
    pub admits: Admits,
    /// Its place in the table.
    pub(super) place: usize,
    pub(super) mounted: Mounted,
}

impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id)
    }
}

impl Operation {
    /// The kind of its body; `None` if it takes none.
    #[must_use]
    pub fn body(&self) -> Option<BodyKind> {
        self.mounted.body
    }

    /// Whether it answers that method on its path.
    pub(super) fn answers_to(&self, method: &Method) -> bool {
        match self.answers {
            Answers::Exactly => self.method == *method,
            Answers::Everything => true,
        }
    }
}

/// The operations that are not the local socket's alone, which the OpenAPI document has.
pub fn public_operations() -> impl Iterator<Item = &'static Operation> {
    OPERATIONS.iter().filter(|operation| operation.admits != Admits::Local)
}

/// The documented method of a row, and which requests it answers.
macro_rules! answered {
    (ANY) => {
        (Method::GET, Answers::Everything)
    };
    ($method:ident) => {
        (Method::$method, Answers::Exactly)
    };
}

fn placed(mut operations: Vec<Operation>) -> Vec<Operation> {
    operations.iter_mut().enumerate().for_each(|(place, operation)| operation.place = place);
    operations
}

macro_rules! operations {
    ($( #[doc = $summary:literal] $id:ident $method:ident $path:literal $controller:ident / $action:ident $admits:ident $handler:path; )*) => {
        /// Every operation: those of the reference in its order, then our own.
        pub static OPERATIONS: LazyLock<Vec<Operation>> = LazyLock::new(|| placed(vec![$(
            Operation {
                id: stringify!($id),
                summary: $summary.trim_ascii(),
                method: answered!($method).0,
                answers: answered!($method).1,
                path: $path,
                controller: stringify!($controller),
                action: stringify!($action),
                admits: Admits::$admits,
                place: 0,
                mounted: mount::<$admits, _, _>($handler),
            },
        )*]));
    };
}

operations! {
    /// Open a new session
    sign_in POST "/users/sign_in" sessions / create Anonymous sessions::sign_in;
    /// Close the session
    sign_out DELETE "/users/sign_out" sessions / destroy Caller sessions::sign_out;
    /// Lists all configurations of current user.
    index_configurations GET "/users/me/configurations" configurations / index Caller configurations::index;
    /// Creates a new configuration value for current user.
    create_configuration POST "/users/me/configurations" configurations / create Caller configurations::create;
    /// Displays a specific configuration value.
    show_configuration GET "/users/me/configurations/{configuration_id}" configurations / show Caller configurations::show;
    /// Updates a specific configuration value.
    update_configuration PUT "/users/me/configurations/{configuration_id}" configurations / update Caller configurations::update;
    /// Destroys a specific configuration value.
    destroy_configuration DELETE "/users/me/configurations/{configuration_id}" configurations / destroy Caller configurations::destroy;
    /// Lists all API keys of current user.
    index_api_keys GET "/users/me/api_keys" api_keys / index Caller api_keys::index;
    /// Creates a new API Key for current user.
    create_api_key POST "/users/me/api_keys" api_keys / create Caller api_keys::create;
    /// Displays a specific API Key with its scopes.
    show_api_key GET "/users/me/api_keys/{api_key_id}" api_keys / show Caller api_keys::show;
    /// Updates a specific API Key.
    update_api_key PUT "/users/me/api_keys/{api_key_id}" api_keys / update Caller api_keys::update;
    /// Destroys a specific API Key.
    destroy_api_key DELETE "/users/me/api_keys/{api_key_id}" api_keys / destroy Caller api_keys::destroy;
    /// Displays current user.
    show_current_user GET "/users/me" users / show Caller users::show_current;
    /// Lists all users.
    index_users GET "/users" users / index Administrator users::index;
    /// Creates a new user.
    create_user POST "/users" users / create Administrator users::create;
    /// Displays a specific user.
    show_user GET "/users/{user_id}" users / show SelfOrAdministrator users::show;
    /// Updates a specific user.
    update_user PUT "/users/{user_id}" users / update SelfOrAdministrator users::update;
    /// Destroys a specific user.
    destroy_user DELETE "/users/{user_id}" users / destroy Administrator users::destroy;
    /// List all system users.
    index_system_users GET "/users/-/systems" users / systems Administrator systems::users;
    /// List all system groups.
    index_system_groups GET "/groups/-/systems" groups / systems Administrator systems::groups;
    /// Lists the audit log's entries that are in the store, the oldest first.
    index_audit GET "/audit" audit / index Administrator audit::index;
    /// Lists locked-out accounts and addresses.
    index_locks GET "/locks" locks / index Administrator locks::index;
    /// Clears the locks of an account, of an address, of an account from one address, or all of them.
    destroy_locks DELETE "/locks" locks / destroy Administrator locks::destroy;
    /// Lists the scopes of the credential that the request came with.
    index_scopes GET "/users/me/scopes" scopes / index Authenticated scopes::index;
    /// Lists the sessions of current user, in the order in which they were opened.
    index_own_sessions GET "/users/me/sessions" own_sessions / index Caller sessions::index;
    /// Ends all sessions of current user, or all but the one that the request came with.
    destroy_own_sessions DELETE "/users/me/sessions" own_sessions / destroy Caller sessions::destroy_all;
    /// Ends a session of current user.
    destroy_own_session DELETE "/users/me/sessions/{session_id}" own_sessions / destroy Caller sessions::destroy;
    /// Lists the sessions of a user, in the order in which they were opened.
    index_user_sessions GET "/users/{user_id}/sessions" user_sessions / index UserAdministrator sessions::index;
    /// Ends all sessions of a user, or all but the one that the request came with.
    destroy_user_sessions DELETE "/users/{user_id}/sessions" user_sessions / destroy UserAdministrator sessions::destroy_all;
    /// Ends a session of a user.
    destroy_user_session DELETE "/users/{user_id}/sessions/{session_id}" user_sessions / destroy UserAdministrator sessions::destroy;
    /// Lists all configurations of a user.
    index_user_configurations GET "/users/{user_id}/configurations" user_configurations / index UserAdministrator configurations::index;
    /// Creates a new configuration value for a user.
    create_user_configuration POST "/users/{user_id}/configurations" user_configurations / create UserAdministrator configurations::create;
    /// Displays a specific configuration value of a user.
    show_user_configuration GET "/users/{user_id}/configurations/{configuration_id}" user_configurations / show UserAdministrator configurations::show;
    /// Updates a specific configuration value of a user.
    update_user_configuration PUT "/users/{user_id}/configurations/{configuration_id}" user_configurations / update UserAdministrator configurations::update;
    /// Destroys a specific configuration value of a user.
    destroy_user_configuration DELETE "/users/{user_id}/configurations/{configuration_id}" user_configurations / destroy UserAdministrator configurations::destroy;
    /// Lists all API keys of a user; the keys are masked.
    index_user_api_keys GET "/users/{user_id}/api_keys" user_api_keys / index UserAdministrator api_keys::index;
    /// Creates a new API Key for a user; only this response has the whole key.
    create_user_api_key POST "/users/{user_id}/api_keys" user_api_keys / create UserAdministrator api_keys::create;
    /// Displays a specific API Key of a user with its scopes; the key is masked.
    show_user_api_key GET "/users/{user_id}/api_keys/{api_key_id}" user_api_keys / show UserAdministrator api_keys::show;
    /// Updates a specific API Key of a user.
    update_user_api_key PUT "/users/{user_id}/api_keys/{api_key_id}" user_api_keys / update UserAdministrator api_keys::update;
    /// Destroys a specific API Key of a user.
    destroy_user_api_key DELETE "/users/{user_id}/api_keys/{api_key_id}" user_api_keys / destroy UserAdministrator api_keys::destroy;
    /// Makes a backup of the present moment, and sends it.
    create_backup POST "/backups" backups / create Local local::create_backup;
    /// Verifies that the store agrees with itself.
    verify_store GET "/store/verification" store / verify Local local::verify_store;
    /// Sends the whole audit log, or the entries that match.
    export_audit GET "/audit/export" audit / export Local local::export_audit;
    /// Verifies that the audit log is what the server wrote.
    verify_audit GET "/audit/verification" audit / verify Local local::verify_audit;
    /// Gives an API key a new value; the old one may stay valid for a while.
    rotate_api_key POST "/users/me/api_keys/{api_key_id}/rotate" api_keys / rotate Caller api_keys::rotate;
    /// Displays which scopes an API key has used, and when last.
    show_api_key_usage GET "/users/me/api_keys/{api_key_id}/usage" api_keys / usage Caller api_key_usage::show;
    /// Displays the API key that the request came with.
    show_presented_api_key GET "/users/me/api_key" api_keys / presented Authenticated api_key_usage::presented;
    /// Gives an API key of a user a new value; the old one may stay valid for a while.
    rotate_user_api_key POST "/users/{user_id}/api_keys/{api_key_id}/rotate" user_api_keys / rotate UserAdministrator api_keys::rotate;
    /// Displays which scopes an API key of a user has used, and when last.
    show_user_api_key_usage GET "/users/{user_id}/api_keys/{api_key_id}/usage" user_api_keys / usage UserAdministrator api_key_usage::show;
    /// Lists all scopes that API keys can have here: what each opens, and for whom.
    index_scope_catalogue GET "/scopes" scopes / index Caller scopes::catalogue;
    /// Displays the status of the server, with what is wrong where it runs.
    show_status GET "/status" status / show Administrator status::show;
    /// Whether a proxy may pass a request on to a service: the caller has the scopes that the query names.
    forward_auth ANY "/forward-auth" forward_auth / show Forwarded forward_auth::show;
    /// Makes accounts, configurations and API keys what the body has, in one transaction.
    apply_accounts POST "/apply" accounts / apply Local apply::apply;
    /// Displays the server's metrics for Prometheus.
    show_metrics GET "/metrics" metrics / show Administrator metrics::show;
    /// Displays what an API key or a session token is good for (RFC 7662).
    introspect POST "/introspect" introspection / create Caller introspection::create;
    /// Explains who a credential stands for, and why it passes or not where scopes are demanded.
    explain_credential POST "/explanation" credentials / explain Local explanation::show;
    /// Ends the value that an API key had before its rotation.
    destroy_api_key_former_value DELETE "/users/me/api_keys/{api_key_id}/former_value" api_keys / destroy_former_value Caller api_keys::destroy_former_value;
    /// Ends the value that an API key of a user had before its rotation.
    destroy_user_api_key_former_value DELETE "/users/{user_id}/api_keys/{api_key_id}/former_value" user_api_keys / destroy_former_value UserAdministrator api_keys::destroy_former_value;
    /// Signs a statement about the caller for one service, which the service checks by itself.
    create_assertion POST "/assertions" assertions / create Caller assertions::create;
}

/// The scopes of all operations that need one.
pub(super) fn catalogue() -> Vec<ScopeDescription> {
    OPERATIONS.iter().filter_map(|row| Some(described(row, admitted_role(row.admits)?))).collect()
}

fn described(row: &Operation, admits: AdmittedRole) -> ScopeDescription {
    ScopeDescription {
        controller: row.controller,
        action: row.action,
        operation: row.id,
        method: row.method.to_string(),
        path: row.path,
        description: row.summary,
        admits,
    }
}

/// Whom an operation admits that needs a scope; `None` for one that needs none.
fn admitted_role(admits: Admits) -> Option<AdmittedRole> {
    match admits {
        Admits::Anonymous | Admits::Authenticated | Admits::Local | Admits::Forwarded => None,
        Admits::Caller => Some(AdmittedRole::User),
        Admits::SelfOrAdministrator => Some(AdmittedRole::SelfOrAdministrator),
        Admits::Administrator | Admits::UserAdministrator => Some(AdmittedRole::Administrator),
    }
}
