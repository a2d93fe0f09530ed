//! Scheduled backups while the server runs.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
    thread,
    time::{Duration, Instant},
};

use serde::Serialize;

use super::{BackupFileError, event, of, scheduled_files::ScheduledBackups};
use crate::{
    clock::Timestamp,
    config::BackupSchedule,
    domain::Actor,
    error_chain::chain,
    service::AppState,
    store::{StoreError, Tables},
};

/// How often the thread checks that the last backup still exists.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The results of the last backups; a clone shares them.
#[derive(Clone, Debug, Default)]
pub struct BackupLog(Arc<Mutex<Results>>);

#[derive(Debug, Default)]
struct Results {
    last: Option<LastBackup>,
    /// When the newest that exists was begun, also before the server started.
    newest: Option<Timestamp>,
}

/// The result of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastBackup {
    /// When it began, in RFC 3339.
    pub at: String,
    /// Whether it was written and read back, and still exists.
    pub succeeded: bool,
}

impl BackupLog {
    /// The result of the last backup, `None` if there was none since the server started.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the lock.
    #[must_use]
    pub fn last(&self) -> Option<LastBackup> {
        self.lock().last.clone()
    }

    /// When the newest backup in the directory was begun, also before the server started; `None` if there is none.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the lock.
    #[must_use]
    pub fn newest(&self) -> Option<Timestamp> {
        self.lock().newest
    }

    fn record(&self, at: Timestamp, succeeded: bool) {
        let mut results = self.lock();
        results.last = Some(LastBackup { at: at.to_string(), succeeded });
        results.newest = if succeeded { Some(at) } else { results.newest };
    }

    fn record_missing(&self, newest: Option<Timestamp>) {
        let mut results = self.lock();
        results.newest = newest;
        if let Some(last) = &mut results.last {
            last.succeeded = false;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Results> {
        self.0.lock().expect("no holder of the lock panics")
    }
}

/// Makes scheduled backups on a thread of its own. The first is due once the store's newest backup in the directory is
/// older than the schedule's interval.
///
/// # Errors
/// [`StoreError`] if the store's id cannot be read.
///
/// # Panics
/// If no thread can be started.
pub fn start(schedule: BackupSchedule, state: Arc<AppState>, log: BackupLog) -> Result<(), StoreError> {
    let backups = ScheduledBackups::of(&schedule.directory, state.store.store_id()?.unwrap_or_default());
    let run = move || {
        log.lock().newest = newest(&backups, &state);
        thread::sleep(first_wait(&backups, schedule.every, state.clock.now()));
        loop {
            let made = back_up(&backups, &schedule, &state, &log);
            watch(made.as_deref(), schedule.every, || log.record_missing(newest(&backups, &state)));
        }
    };
    thread::Builder::new().name("backups".to_owned()).spawn(run).expect("a thread can be started");
    Ok(())
}

/// The time of the newest backup in the directory. If it cannot be read, the next backup reports that.
fn newest(backups: &ScheduledBackups, state: &AppState) -> Option<Timestamp> {
    backups.newest(state.clock.now()).unwrap_or_default()
}

/// The time until the first backup is due: a server that restarts all the time must not replace all older backups.
fn first_wait(backups: &ScheduledBackups, every: Duration, now: Timestamp) -> Duration {
    // If the directory cannot be read, the backup reports it.
    let newest = backups.newest(now).unwrap_or_default();
    let age = newest.map_or(Duration::MAX, |newest| Duration::from_millis(now.as_millis() - newest.as_millis()));
    every.saturating_sub(age)
}

/// Waits until the next backup is due, and reports it if the last one is deleted meanwhile.
fn watch(mut made: Option<&Path>, every: Duration, is_missing: impl Fn()) {
    let due = Instant::now() + every;
    while let Some(left) = due.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) {
        thread::sleep(left.min(LOOK_EVERY));
        if let Some(missing) = made.take_if(|path| !path.exists()) {
            log::error!("the last backup has been deleted: {}", missing.display());
            is_missing();
        }
    }
}

/// Makes a backup and returns its file, if it was made.
fn back_up(
    backups: &ScheduledBackups,
    schedule: &BackupSchedule,
    state: &AppState,
    log: &BackupLog,
) -> Option<PathBuf> {
    let now = state.clock.now();
    let made = make(backups, schedule.keep, state, now);
    match &made {
        Ok(_) => record(state, now),
        Err(error) => log::error!("no backup was made: {}", chain(error)),
    }
    log.record(now, made.is_ok());
    made.ok()
}

/// Records a backup in the audit log; scheduled backups never contain the secret.
fn record(state: &AppState, now: Timestamp) {
    if let Err(error) = state.audit.chain.record(&state.store, event(now, Actor::SERVER, false)) {
        log::error!("the audit log cannot record a backup: {}", chain(&error));
    }
}

fn make(backups: &ScheduledBackups, keep: usize, state: &AppState, now: Timestamp) -> Result<PathBuf, BackupFileError> {
    let write = |out: &mut dyn std::io::Write| of(state, false, out).map(|_| ());
    let (path, summary) = backups.save(now, keep, write)?;
    log::info!("backed up {} records as of commit {} to {}", summary.records, summary.commit, path.display());
    Ok(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use uuid::Uuid;

    use super::*;

    #[test]
    fn the_first_backup_waits_until_the_newest_is_as_old_as_the_interval() {
        let directory = tempfile::tempdir().unwrap();
        let backups = ScheduledBackups::of(&directory.path().join("backups"), Uuid::nil());
        let wait = |now| first_wait(&backups, Duration::from_mins(1), Timestamp::from_secs(now)).as_secs();
        assert_eq!(wait(1_000), 0, "there is no directory yet");
        fs::create_dir(directory.path().join("backups")).unwrap();
        assert_eq!(wait(1_000), 0, "there is none yet");
        let name = format!("lodge-{}-{}.backup", Uuid::nil().simple(), Timestamp::from_secs(1_000).in_file_name());
        fs::write(directory.path().join("backups").join(name), "").unwrap();

        assert_eq!([1_000, 1_001, 1_059, 1_060, 2_000].map(wait), [60, 59, 1, 0, 0]);
        assert_eq!(wait(999), 0, "the clock has been set back");
    }
}
