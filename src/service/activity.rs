//! Records when credentials, scopes and accounts were last used, to the minute: in memory at once, in the store every
//! minute.
//!
//! No request waits for it. One atomic read shows that a use was already recorded in this minute. A crash loses at most
//! one minute of activity; while the memory for it is full, further subjects are not recorded.

use std::{
    collections::{BTreeMap, HashMap, hash_map::Entry},
    hash::{Hash, Hasher},
    iter,
    net::IpAddr,
    sync::{
        Mutex, MutexGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    clock::Timestamp,
    domain::{Activity, ActivitySubject, Id, Scope},
    quick_hash::QuickHasher,
    store::{Store, StoreError, activity},
};

/// How many recorded uses are remembered, in 128 KiB.
const SLOTS: usize = 1 << 14;
/// The maximum number of subjects that wait to be written, some 2 MiB.
const MAX_WAITING: usize = 1 << 14;
/// How many of them may be scopes of one owner's API keys: a caller chooses freely which scopes a key is asked for.
const MAX_WAITING_SCOPES: usize = 1 << 10;
/// How many rows are written at once, which delays other writes by a few milliseconds.
const MAX_WRITTEN_AT_ONCE: usize = 500;

/// The activity of one installation that is not yet in its store.
pub struct ActivityRecorder {
    /// Hashes of subjects with the minute in which they were recorded.
    recorded: Box<[AtomicU64]>,
    waiting: Mutex<Waiting>,
}

/// What is not yet written, by the keys of its rows.
#[derive(Default)]
struct Waiting {
    activities: HashMap<Vec<u8>, Activity>,
    /// The number of scopes of each owner who has any.
    scopes: HashMap<Id, usize>,
}

impl ActivityRecorder {
    /// A recorder without activity.
    #[must_use]
    pub fn new() -> Self {
        let recorded = iter::repeat_with(|| AtomicU64::new(0)).take(SLOTS).collect();
        Self { recorded, waiting: Mutex::default() }
    }

    /// Records that the subject is being used from that address.
    pub fn record(&self, subject: ActivitySubject<'_>, now: Timestamp, address: Option<IpAddr>) {
        let activity = Activity::at(now, address);
        let mut hasher = QuickHasher::default();
        subject.hash(&mut hasher);
        let hash = hasher.finish();
        let slot = &self.recorded[usize::try_from(hash >> 32).unwrap_or_default() % SLOTS];
        let mark = hash ^ activity.minute();
        if slot.load(Ordering::Relaxed) != mark && self.keep(subject, activity) {
            slot.store(mark, Ordering::Relaxed);
        }
    }

    /// The last activity of the subject, written or not.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be read.
    pub fn last(&self, store: &Store, subject: ActivitySubject<'_>) -> Result<Option<Activity>, StoreError> {
        let waiting = self.waiting().activities.get(&activity::key_of(subject)).copied();
        waiting.map_or_else(|| activity::last(store, subject), |activity| Ok(Some(activity)))
    }

    /// The scopes that an API key of that owner has used, sorted by name, written or not.
    ///
    /// # Errors
    /// [`StoreError`] if they cannot be read.
    pub fn scopes_of_key(&self, store: &Store, owner: Id, id: Id) -> Result<Vec<(Scope, Activity)>, StoreError> {
        let mut scopes: BTreeMap<_, _> = activity::scopes_of_key(store, owner, id)?.into_iter().collect();
        let waiting = self.waiting();
        let own =
            waiting.activities.iter().filter_map(|(key, at)| Some((activity::scope_of_key(key, owner, id)?, *at)));
        scopes.extend(own);
        Ok(scopes.into_iter().collect())
    }

    /// Writes the waiting activity in batches. If a batch cannot be written, it keeps waiting.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub async fn write(&self, store: &Store) -> Result<(), StoreError> {
        let waiting: Vec<_> =
            self.waiting().activities.iter().map(|(key, activity)| (key.clone(), *activity)).collect();
        for batch in waiting.chunks(MAX_WRITTEN_AT_ONCE) {
            let rows = batch.to_vec();
            store.write(move |txn| rows.into_iter().try_for_each(|(key, at)| txn.put_activity(key, &at))).await?;
            self.forget(batch);
        }
        Ok(())
    }

    /// Keeps an activity until it is written; returns whether there was room for it.
    #[cold]
    fn keep(&self, subject: ActivitySubject<'_>, activity: Activity) -> bool {
        self.waiting().keep(subject, activity)
    }

    /// Removes written activity, unless there is a later one of the subject.
    fn forget(&self, written: &[(Vec<u8>, Activity)]) {
        let mut waiting = self.waiting();
        for (key, activity) in written {
            waiting.forget(key, activity);
        }
        if waiting.activities.is_empty() {
            *waiting = Waiting::default();
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder of the lock panics")
    }
}

impl Waiting {
    /// Keeps an activity; returns whether there was room for it.
    fn keep(&mut self, subject: ActivitySubject<'_>, activity: Activity) -> bool {
        let key = activity::key_of(subject);
        if let Some(waiting) = self.activities.get_mut(&key) {
            *waiting = activity;
            return true;
        }
        let owner = activity::owner_of_scope(&key);
        let scopes = owner.and_then(|owner| self.scopes.get(&owner)).copied().unwrap_or_default();
        if self.activities.len() >= MAX_WAITING || scopes >= MAX_WAITING_SCOPES {
            return false;
        }
        if let Some(owner) = owner {
            self.scopes.insert(owner, scopes + 1);
        }
        self.activities.insert(key, activity);
        true
    }

    fn forget(&mut self, key: &[u8], written: &Activity) {
        if self.activities.get(key) != Some(written) {
            return;
        }
        self.activities.remove(key);
        if let Some(owner) = activity::owner_of_scope(key)
            && let Entry::Occupied(mut scopes) = self.scopes.entry(owner)
        {
            *scopes.get_mut() -= 1;
            if *scopes.get() == 0 {
                scopes.remove();
            }
        }
    }
}

impl Default for ActivityRecorder {
    fn default() -> Self {
        Self::new()
    }
}
