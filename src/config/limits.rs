//! Groups of settings that belong together: the limits of requests, and the schedule of backups.

use std::{path::PathBuf, time::Duration};

use super::Settings;

/// The limits of connections and their requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The maximum size of a body in bytes.
    pub body_bytes: usize,
    /// The maximum size of the headers in bytes.
    pub head_bytes: usize,
    /// The maximum size of path and query in bytes.
    pub path_bytes: usize,
    /// How deep the JSON of a body may be nested.
    pub json_depth: usize,
    /// How long a head or a TLS handshake may take to arrive.
    pub head_deadline: Duration,
    /// How long a body may take to arrive.
    pub body_deadline: Duration,
    /// How long an idle connection is kept.
    pub idle_deadline: Duration,
    /// How long a client may read a response more slowly than 32 KiB a second.
    pub send_deadline: Duration,
    /// How long a slow client may take over one response.
    pub answer_deadline: Duration,
    /// How many connections are served at once.
    pub connections: usize,
    /// How many of these one address may have, if it is set.
    pub connections_per_address: Option<usize>,
    /// The maximum memory of large bodies and responses in progress, in bytes.
    pub transfer_bytes: usize,
}

/// When backups are made, and how many are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSchedule {
    /// Where they are kept.
    pub directory: PathBuf,
    /// The time between two of them.
    pub every: Duration,
    /// How many are kept.
    pub keep: usize,
}

impl Settings {
    /// The limits of connections and their requests.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            body_bytes: self.body_limit,
            head_bytes: self.head_limit,
            path_bytes: self.path_limit,
            json_depth: self.json_depth,
            head_deadline: self.head_deadline,
            body_deadline: self.body_deadline,
            idle_deadline: self.idle_deadline,
            send_deadline: self.send_deadline,
            answer_deadline: self.answer_deadline,
            connections: self.max_connections,
            connections_per_address: self.max_connections_per_address,
            transfer_bytes: self.transfer_memory,
        }
    }

    /// When backups are made, if a directory for them is given.
    #[must_use]
    pub fn backups(&self) -> Option<BackupSchedule> {
        let directory = self.backup_dir.clone()?;
        Some(BackupSchedule { directory, every: self.backup_every, keep: self.backup_keep })
    }
}
