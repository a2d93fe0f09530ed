//! Backups that are made by themselves while the server runs.

use std::{
    sync::{Arc, Mutex},
    thread,
};

use serde::Serialize;

use super::{BackupFileError, event, of, save_in};
use crate::{auth::Realm, clock::Timestamp, config::BackupSchedule, domain::Actor, logging::chain};

/// How the last backup went; a clone tells the same.
#[derive(Clone, Debug, Default)]
pub struct BackupLog(Arc<Mutex<Option<LastBackup>>>);

/// How a backup went.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastBackup {
    /// When it was begun, as RFC 3339.
    pub at: String,
    /// Whether it was made and read back.
    pub succeeded: bool,
}

impl BackupLog {
    /// How the last backup went, `None` if none was made since the server started.
    ///
    /// # Panics
    /// Never: nobody panics with the log in hand.
    #[must_use]
    pub fn last(&self) -> Option<LastBackup> {
        self.0.lock().expect("no holder of the lock panics").clone()
    }

    fn note(&self, at: String, succeeded: bool) {
        *self.0.lock().expect("no holder of the lock panics") = Some(LastBackup { at, succeeded });
    }
}

/// Makes a backup now and then again each time the schedule says, on a thread of its own.
///
/// # Panics
/// If no thread can be started.
pub fn start(schedule: BackupSchedule, realm: Arc<Realm>, log: BackupLog) {
    let run = move || loop {
        let now = realm.clock.now();
        if let Err(error) = realm.audit.chain.record(&realm.store, event(now, Actor::SERVER, false)) {
            log::error!("the audit log cannot tell of a backup: {}", chain(&error));
        }
        let made = make(&schedule, &realm, now);
        if let Err(error) = &made {
            log::error!("no backup was made: {}", chain(error));
        }
        log.note(now.to_string(), made.is_ok());
        thread::sleep(schedule.every);
    };
    thread::Builder::new().name("backups".to_owned()).spawn(run).expect("a thread can be started");
}

fn make(schedule: &BackupSchedule, realm: &Realm, now: Timestamp) -> Result<(), BackupFileError> {
    let write = |out: &mut dyn std::io::Write| of(realm, false, out).map(|_| ());
    let (path, summary) = save_in(&schedule.directory, now, schedule.keep, write)?;
    log::info!("backed up {} records as of commit {} to {}", summary.records, summary.commit, path.display());
    Ok(())
}
