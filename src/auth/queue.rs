//! The queue of password hashes: short, and shared fairly between accounts and between addresses.
//!
//! There are two lanes, one for addresses that are known to the account and one for all others. They take turns, so that a
//! flood from new addresses leaves every other hash to known ones. In a lane no account and no address has more than half of
//! the places. The next turn is that of the account and the address that had the fewest recently. In a full lane a job of
//! whoever takes up most makes room for one of whoever takes up less.
//!
//! A job that cannot begin in time is refused: at once where the jobs ahead of it make that certain.

mod lanes;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use self::lanes::Lanes;
use super::{AccountHash, AuthError};
use crate::domain::Network;

/// Who asks for a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRequester {
    /// The account that the hash is for, or that changes a password.
    pub account: AccountHash,
    /// The network of the client.
    pub network: Network,
    /// Whether the user signed in from there recently, or is signed in.
    pub is_known_address: bool,
}

impl HashRequester {
    /// The server itself.
    #[must_use]
    pub fn server() -> Self {
        let network = Network::of(IpAddr::V4(Ipv4Addr::LOCALHOST));
        Self { account: AccountHash::SERVER, network, is_known_address: true }
    }
}

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait for a thread.
pub(super) struct HashQueue {
    threads: usize,
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

/// A job in the queue, taken out of it when this is dropped.
pub(super) struct QueuedJob {
    queue: Arc<HashQueue>,
    number: u64,
    /// How long it may wait until it begins.
    pub(super) max_wait: Duration,
}

impl HashQueue {
    /// A queue for that many threads, in which each lane holds `max` jobs.
    pub(super) fn new(threads: usize, max: usize) -> Self {
        Self { threads, lanes: Mutex::new(Lanes::new(max)), changed: Condvar::new() }
    }

    /// Adds a job that is to end within `max_wait`. Where there is no place for it, a job of whoever has most makes room,
    /// and is dropped.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if it cannot begin in time, or if no other takes up more than this one would.
    pub(super) fn push(
        self: &Arc<Self>,
        requester: HashRequester,
        max_wait: Duration,
        job: Job,
    ) -> Result<QueuedJob, AuthError> {
        let mut lanes = self.lock();
        // A hash that takes longer than half of the bound is not refused for that alone: nobody could sign in any more.
        let max_wait = max_wait.saturating_sub(lanes.job_time).max(max_wait / 2);
        if lanes.shortest_wait(requester, self.threads) > max_wait {
            return Err(AuthError::Busy);
        }
        let (number, displaced) = lanes.push(requester, job)?;
        drop(lanes);
        // Dropped without the lock: an attempt that ends takes locks of its own.
        drop(displaced);
        self.changed.notify_one();
        Ok(QueuedJob { queue: Arc::clone(self), number, max_wait })
    }

    /// Waits for the next job; `None` once the queue is closed.
    pub(super) fn pop(&self) -> Option<Job> {
        let mut lanes = self.lock();
        loop {
            if lanes.is_closed {
                return None;
            }
            if let Some(job) = lanes.pop() {
                return Some(job);
            }
            lanes = self.changed.wait(lanes).expect("no holder of the lock panics");
        }
    }

    /// Records how long a job took.
    pub(super) fn record(&self, took: Duration) {
        let mut lanes = self.lock();
        // A running mean, so that one disturbed hash decides nothing.
        lanes.job_time = if lanes.job_time.is_zero() { took } else { (lanes.job_time * 3 + took) / 4 };
    }

    /// Ends the threads that wait for a job.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().expect("no holder of the lock panics")
    }
}

impl QueuedJob {
    /// Takes the job out of the queue; false if it has begun or made room already.
    pub(super) fn withdraw(&self) -> bool {
        let withdrawn = self.queue.lock().withdraw(self.number);
        withdrawn.is_some()
    }
}

impl Drop for QueuedJob {
    fn drop(&mut self) {
        self.withdraw();
    }
}

#[cfg(test)]
mod tests;
