//! The real binary, as its clients and operators see it.

mod backups;
mod commands;
mod console;
mod damage;
mod disks;
mod harness;
mod http;
mod packaging;
mod process;
mod proxies;
