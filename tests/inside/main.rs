//! The API over a store in memory and without sockets: what cannot be seen from outside, or not often enough.

mod assertions;
mod current_password;
mod escalation;
mod expiry;
mod guessing;
mod hashes;
mod key_ends;
mod long_bodies;
mod memory;
mod system_users;
mod test_app;
mod updates;
mod user_lists;
