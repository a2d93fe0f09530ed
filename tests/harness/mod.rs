//! A real server in a temporary directory, and clients that carry an identity.
//!
//! Every reply that a [`Client`] gets is checked against the served OpenAPI document, and whatever a [`Server`] has logged
//! against every secret that went to it or came from it.

mod client;
mod document;
mod preload;
mod process;
mod secrets;

pub use self::{
    client::{Client, Reply, Request, basic, exchange_raw},
    preload::compile_preloaded,
    process::{ADMIN_PASSWORD, Server, ServerBuilder, password_of, random_below},
    secrets::record_traffic,
};
