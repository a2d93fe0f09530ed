//! Backups that are made by themselves while the server runs.

use std::{
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use serde::Serialize;

use super::{BackupFileError, event, file::newest_in, of, save_in};
use crate::{auth::AppState, clock::Timestamp, config::BackupSchedule, domain::Actor, error_chain::chain};

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

/// Makes a backup each time the schedule says, on a thread of its own: the first once the newest in the directory is that old.
///
/// # Panics
/// If no thread can be started.
pub fn start(schedule: BackupSchedule, state: Arc<AppState>, log: BackupLog) {
    let run = move || {
        thread::sleep(first_wait(&schedule, state.clock.now()));
        loop {
            back_up(&schedule, &state, &log);
            thread::sleep(schedule.every);
        }
    };
    thread::Builder::new().name("backups".to_owned()).spawn(run).expect("a thread can be started");
}

/// A server that ends and starts again all the time must not push out every good backup.
fn first_wait(schedule: &BackupSchedule, now: Timestamp) -> Duration {
    // Where the directory cannot be read, the backup says so.
    let newest = newest_in(&schedule.directory, now).unwrap_or_default();
    let age = newest.map_or(Duration::MAX, |newest| Duration::from_millis(now.as_millis() - newest.as_millis()));
    schedule.every.saturating_sub(age)
}

fn back_up(schedule: &BackupSchedule, state: &AppState, log: &BackupLog) {
    let now = state.clock.now();
    let made = make(schedule, state, now);
    match &made {
        Ok(()) => tell(state, now),
        Err(error) => log::error!("no backup was made: {}", chain(error)),
    }
    log.note(now.to_string(), made.is_ok());
}

/// Has the audit log tell of a backup that was made; the server's secret is in none of these.
fn tell(state: &AppState, now: Timestamp) {
    if let Err(error) = state.audit.chain.record(&state.store, event(now, Actor::SERVER, false)) {
        log::error!("the audit log cannot tell of a backup: {}", chain(&error));
    }
}

fn make(schedule: &BackupSchedule, state: &AppState, now: Timestamp) -> Result<(), BackupFileError> {
    let write = |out: &mut dyn std::io::Write| of(state, false, out).map(|_| ());
    let (path, summary) = save_in(&schedule.directory, now, schedule.keep, write)?;
    log::info!("backed up {} records as of commit {} to {}", summary.records, summary.commit, path.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_first_backup_waits_until_the_newest_is_as_old_as_the_schedule_says() {
        let directory = tempfile::tempdir().unwrap();
        let schedule =
            BackupSchedule { directory: directory.path().join("backups"), every: Duration::from_mins(1), keep: 7 };
        let wait = |now| first_wait(&schedule, Timestamp::from_secs(now)).as_secs();
        assert_eq!(wait(1_000), 0, "there is no directory yet");
        fs::create_dir(&schedule.directory).unwrap();
        assert_eq!(wait(1_000), 0, "there is none yet");
        let name = Timestamp::from_secs(1_000).in_file_name();
        fs::write(schedule.directory.join(format!("lodge-{name}.backup")), "").unwrap();

        assert_eq!([1_000, 1_001, 1_059, 1_060, 2_000].map(wait), [60, 59, 1, 0, 0]);
        assert_eq!(wait(999), 0, "the clock has been set back");
    }
}
