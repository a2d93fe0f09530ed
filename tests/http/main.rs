//! The API as clients see it: black box, against the real binary.

mod answers;
mod api_keys;
mod audit;
mod authorization;
mod basic;
mod bodies;
mod configurations;
mod connections;
mod conversation;
mod cors;
mod crash;
mod document;
mod expectations;
mod floods;
mod guessing;
#[allow(dead_code, reason = "each test binary uses its part of the harness")]
mod harness;
mod hash_floods;
mod health;
mod lists;
mod memory;
mod privacy;
mod protocol;
mod restricted_keys;
mod revocation;
mod secrecy;
mod sessions;
mod systems;
mod timing;
mod tls;
mod tokens;
mod user_roles;
mod users;
