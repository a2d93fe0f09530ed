//! A real server in a temporary directory, and clients that carry an identity.
//!
//! Every reply that a [`Client`] gets is checked against the served OpenAPI document.

mod client;
mod document;
mod process;

pub use self::{
    client::{Client, Reply, Request, basic, exchange_raw},
    process::{ADMIN_PASSWORD, Server, ServerBuilder, password_of},
};
