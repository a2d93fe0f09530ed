//! The HTTP API: the only code that knows HTTP and JSON.

mod account_cache;
mod api_key_usage;
mod api_keys;
mod apply;
mod assertion_token;
mod assertions;
mod audit;
mod body;
mod client_request;
mod configurations;
mod connection;
mod console;
mod context;
mod cors;
mod date_time;
mod demand;
mod description;
pub mod entry;
mod error;
mod error_body;
mod explanation;
mod form;
mod forward_auth;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod head;
mod input;
mod introspection;
mod json;
mod json_object;
mod json_response;
mod lines;
mod listing;
mod local;
mod locks;
mod memory_budget;
mod metrics;
mod mount;
pub mod openapi;
pub mod operations;
mod path_segment;
mod public_endpoints;
mod query;
mod reply;
mod request_id;
mod response_budget;
mod routes;
mod schema;
mod scope_catalogue;
mod scopes;
mod session_cookie;
mod sessions;
mod sign_in_page;
mod sign_in_redirect;
mod status;
mod systems;
mod tls_policy;
mod turns;
mod user_list_cache;
mod user_query;
mod users;
mod worker;

pub use self::{
    body::BodyKind,
    client_request::HIDDEN_UPGRADE,
    connection::{Connection, Medium, Refusal},
    context::App,
    cors::Origins,
    forwarded::TrustedProxies,
    json::strict_value,
    lines::Line,
    memory_budget::{BudgetExhausted, Holder, MemoryBudget, Permit},
    tls_policy::TlsPolicy,
    user_list_cache::UserListCache,
    worker::{Serves, Worker},
};
