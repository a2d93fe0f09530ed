//! Users, sessions, settings and scoped API keys for an appliance, in one binary with its own store.
//!
//! # The way of a request
//!
//! | step | where | what it does |
//! |---|---|---|
//! | socket | [`server`] | accepts connections, ends them in time |
//! | entry | [`api::entry`] | checks the head, routes the raw path, adds headers, logs one line |
//! | guard | `api::guard`, [`auth`] | finds out who is asking and whether the scope and the role admit them |
//! | input | `api::input` | reads path, query and body, and parses them into [`domain`] values |
//! | handler | `api::*` | calls one use case and returns a view of its result |
//! | use case | [`service`] | decides what may be done, ownership and escalation included |
//! | store | [`store`] | reads on the spot; writes go through one committer that makes them durable in groups |
//!
//! Every operation is one row in [`api::operations`]; routing, scopes, the OpenAPI document and the authorization tests
//! are derived from it, and the document's schemas from the views and inputs of [`api`]. Each module uses only those after
//! it: [`commands`], [`server`], [`admin_socket`], [`api`], [`backup`], [`service`], [`auth`], [`audit`], [`store`],
//! [`doctor`], [`console`], [`domain`], [`config`], [`tls`], [`directory`], [`secret`], [`files`], [`privileges`], [`metrics`],
//! [`logging`], [`output`], [`service_manager`], [`system`], [`memory_limit`], [`clock`], [`random`], [`quick_hash`], [`error_chain`].
//!
//! `decisions.md` beside this file has the reasons; `.github/CONTRIBUTING.md` has the steps to add an operation, a setting,
//! a record or a command, the layout of the data directory, and the glossary.

#![deny(clippy::print_stdout, clippy::print_stderr, reason = "a closed output panics there: use `output`")]

pub mod admin_socket;
pub mod api;
pub mod audit;
pub mod auth;
pub mod backup;
pub mod clock;
pub mod commands;
pub mod config;
pub mod console;
pub mod directory;
pub mod doctor;
pub mod domain;
pub mod error_chain;
pub mod files;
pub mod logging;
pub mod memory_limit;
pub mod metrics;
pub mod output;
pub mod privileges;
pub mod quick_hash;
pub mod random;
pub mod secret;
pub mod server;
pub mod service;
pub mod service_manager;
pub mod store;
pub mod system;
pub mod tls;
