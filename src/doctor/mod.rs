//! Examines where the server runs, before a fault there becomes one of the server.
//!
//! Each check has facts, which are observed first, and a function from facts to findings, which asks nothing of the system.

mod accounts;
mod certificate;
mod container;
mod directory;
mod file_system;
mod hashing;
mod machine_clock;
mod mounts;
mod room;
mod secrets;

use std::{fs, path::Path};

use serde::{Deserialize, Serialize};

pub use self::{
    accounts::{Account, findings as accounts},
    hashing::Hashing,
};
use crate::{
    clock::Timestamp,
    config::{Settings, TlsSettings},
};

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Worth knowing; may be intended.
    Note,
    /// The server works, but not safely, or not for long.
    Warning,
    /// The server does not start, or refuses what it should do.
    Error,
}

/// What was examined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Check {
    /// Whether the settings can be used.
    Settings,
    /// The owner and the mode of the data directory.
    DataDirectory,
    /// The file system of the data directory.
    FileSystem,
    /// The free space on it.
    Room,
    /// The clock of the machine.
    Clock,
    /// The files of the certificate, and its end.
    Certificate,
    /// Who can read the files with secrets.
    Secrets,
    /// The memory for hashes of passwords.
    Memory,
    /// Whose users the system's users are.
    SystemUsers,
    /// The system users and groups that accounts represent.
    Accounts,
}

/// A fault or a danger, and its remedy.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What was examined.
    pub check: Check,
    /// What is wrong, with the name of the thing.
    pub problem: String,
    /// What to do.
    pub advice: String,
}

impl Finding {
    /// A finding of that check.
    pub fn new(severity: Severity, check: Check, problem: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { severity, check, problem: problem.into(), advice: advice.into() }
    }
}

/// Examines the data directory, its file system, the clock and the container of this process.
#[must_use]
pub fn of_machine(data_dir: &Path, now: Timestamp) -> Vec<Finding> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let file_system = file_system::FileSystem::observe(data_dir, &mounts);
    let of_file_system = file_system.map_or_else(
        |error| vec![unobserved(Check::FileSystem, data_dir, &error)],
        |facts| file_system::findings(data_dir, &facts),
    );
    [
        directory::findings(data_dir, directory::Directory::observe(data_dir)),
        of_file_system,
        machine_clock::findings(&machine_clock::MachineClock::observe(now)),
        container::findings(container::Container::observe(&mounts)),
    ]
    .concat()
}

/// Examines what the settings name: the reserve of disk space, the certificate and the files with secrets.
#[must_use]
pub fn of_settings(settings: &Settings, now: Timestamp) -> Vec<Finding> {
    let room = room::Room::observe(settings);
    let of_room = room.map_or_else(
        |error| vec![unobserved(Check::Room, &settings.data_dir, &error)],
        |facts| room::findings(&settings.data_dir, &facts),
    );
    let of_certificate = match &settings.tls {
        // The server renews its own certificate in time.
        TlsSettings::Off | TlsSettings::SelfSigned(_) => Vec::new(),
        TlsSettings::Files(files) => certificate::findings(&files.certificate, files.validity(), now),
    };
    let of_secrets = secrets::files(settings).into_iter().filter_map(|file| secrets::finding(&file));
    [of_room, of_certificate, of_secrets.collect()].concat()
}

fn unobserved(check: Check, path: &Path, error: &std::io::Error) -> Finding {
    let problem = format!("{} cannot be examined: {error}", path.display());
    Finding::new(Severity::Error, check, problem, "run this as the server's user or as root")
}

/// A number of bytes, as a person reads it.
fn bytes(number: u64) -> bytesize::ByteSize {
    bytesize::ByteSize(number)
}
