//! The HTTP API: the only code that knows HTTP and JSON.

mod api_keys;
mod audit;
mod configurations;
mod connection;
mod cors;
mod documents;
pub mod entry;
mod error;
mod exchange;
mod forwarded;
#[cfg(fuzzing)]
pub mod fuzzing;
mod guard;
mod hourly;
mod input;
mod json;
mod locks;
mod mount;
pub mod openapi;
pub mod operations;
mod pages;
mod privacy;
mod reply;
mod routes;
mod sessions;
mod systems;
mod transfer;
mod users;

pub use self::{
    connection::Connection, cors::Origins, exchange::App, forwarded::TrustedProxies, pages::UserPages,
    privacy::Privacy, transfer::TransferMemory,
};
