//! A real server in a temporary directory, and clients that carry an identity.
//!
//! Every reply that a [`Client`] gets is checked against the served OpenAPI document, and whatever a [`Server`] has logged
//! against every secret that went to it or came from it.

mod client;
mod command_output;
mod document;
pub mod journal;
mod metrics;
pub mod older;
mod possible;
mod process;
mod programs;
mod repetitions;
mod secrets;
mod service_manager;

pub use self::{
    client::{Client, Reply, Request, basic, exchange_raw},
    command_output::{CommandOutput, run, run_with_input},
    metrics::Metrics,
    possible::{is_possible, is_root},
    process::{ADMIN_PASSWORD, Server, ServerBuilder, password_of, pause, random_below, wait_until},
    programs::{compile_preloaded, copy_lodge},
    repetitions::repetitions,
    secrets::record_traffic,
    service_manager::ServiceManager,
};
