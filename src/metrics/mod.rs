//! What the server counts while it works, and the text in which it is read.
//!
//! A number that many threads would write costs each of them a cache line that moves from core to core. So every worker
//! counts in memory of its own, and a reader adds up what it finds. What can be found out when it is asked for is not
//! counted at all.
//!
//! No label has a value that comes from a client.

mod families;
mod histogram;
mod listeners;
mod requests;

use std::sync::{Arc, Mutex, MutexGuard};

pub use self::{
    families::{CONTENT_TYPE, Families, Labels},
    histogram::{Counts, GROUP_SIZES, Histogram, SECONDS},
    listeners::ListenerReadings,
    requests::{Answered, RequestMetrics},
};

/// What the parts of a server count, and where they can be read.
#[derive(Default)]
pub struct Metrics {
    workers: Mutex<Vec<Arc<RequestMetrics>>>,
    listeners: Mutex<Vec<ListenerReadings>>,
}

impl Metrics {
    /// The counters of a new worker for requests to endpoints of these names. They are kept after the worker has ended.
    pub fn worker(&self, endpoints: &'static [&'static str]) -> Arc<RequestMetrics> {
        let metrics = Arc::new(RequestMetrics::new(endpoints));
        self.workers().push(Arc::clone(&metrics));
        metrics
    }

    /// Adds a listener.
    pub fn add_listener(&self, readings: ListenerReadings) {
        self.listeners().push(readings);
    }

    /// The answered requests of all workers by endpoint and status, those that there were.
    #[must_use]
    pub fn answered(&self) -> Vec<Answered> {
        Answered::sum(self.workers().iter().flat_map(|worker| worker.answered()))
    }

    /// The listeners, in the order in which they were added.
    ///
    /// # Panics
    /// Never: nothing panics while it holds the lock.
    pub fn listeners(&self) -> MutexGuard<'_, Vec<ListenerReadings>> {
        self.listeners.lock().expect("no holder of the lock panics")
    }

    fn workers(&self) -> MutexGuard<'_, Vec<Arc<RequestMetrics>>> {
        self.workers.lock().expect("no holder of the lock panics")
    }
}
