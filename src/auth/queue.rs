//! The queue of password hashes: short, and shared fairly between accounts and between addresses.
//!
//! There are two lanes, one for addresses that are known to the account and one for all others. They take turns, so
//! that a flood from new addresses leaves every other hash to known ones. No account and no address has more than half
//! of a lane's slots; an IPv6 /48 counts as one address. The next job is one of the account and the address with the
//! fewest recent turns. In a full lane a job of the account and address with the most jobs is dropped for one of those
//! with fewer.
//!
//! A client at a new address is refused while the lane is full of others that had no turn either. To keep it full of
//! such jobs, a flood needs more addresses than the lane remembers. Whether the account exists makes no difference,
//! because that would reveal it.
//!
//! A job that cannot begin in time is refused, at once if the queued jobs make that certain.

mod lanes;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use self::lanes::Lanes;
use super::{AccountHash, AuthError};
use crate::domain::Network;

/// The account and the network that a hash is computed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRequester {
    /// The account whose password is verified, or who changes a password.
    pub account: AccountHash,
    /// The network of the client.
    pub network: Network,
    /// Whether the user signed in from the network recently, or is signed in.
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
    /// How many jobs run.
    running: AtomicUsize,
}

/// A job in the queue, which is removed when this is dropped.
pub(super) struct QueuedJob {
    queue: Arc<HashQueue>,
    number: u64,
    /// How long the job may wait before it begins.
    pub(super) max_wait: Duration,
}

impl HashQueue {
    /// A queue for that many threads, in which each lane holds `max` jobs.
    pub(super) fn new(threads: usize, max: usize) -> Self {
        Self { threads, lanes: Mutex::new(Lanes::new(max)), changed: Condvar::new(), running: AtomicUsize::new(0) }
    }

    /// Adds a job that is to end within `max_wait`. If the lane is full, it drops a job of the requester with the most
    /// jobs.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if it cannot begin in time, or if the lane is full and no other requester has more jobs.
    pub(super) fn push(
        self: &Arc<Self>,
        requester: HashRequester,
        max_wait: Duration,
        job: Job,
    ) -> Result<QueuedJob, AuthError> {
        let mut lanes = self.lock();
        // If a hash takes longer than half of the bound, it may still begin: otherwise no sign-in would be possible.
        let max_wait = max_wait.saturating_sub(lanes.job_time).max(max_wait / 2);
        if lanes.shortest_wait(requester, self.threads) > max_wait {
            return Err(AuthError::Busy);
        }
        let (number, displaced) = lanes.push(requester, job)?;
        drop(lanes);
        // Dropped after the lock is released: the end of an attempt takes locks of its own.
        drop(displaced);
        self.changed.notify_one();
        Ok(QueuedJob { queue: Arc::clone(self), number, max_wait })
    }

    /// How many jobs wait, and how many run.
    pub(super) fn waiting_and_running(&self) -> (usize, usize) {
        (self.lock().waiting(), self.running.load(Ordering::Relaxed))
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

    /// Runs a job that was popped.
    pub(super) fn run(&self, job: Job) {
        let began = Instant::now();
        self.running.fetch_add(1, Ordering::Relaxed);
        job();
        self.running.fetch_sub(1, Ordering::Relaxed);
        self.record(began.elapsed());
    }

    /// Records how long a job took.
    fn record(&self, took: Duration) {
        let mut lanes = self.lock();
        // A running mean, so that a single slow hash has little effect.
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
    /// Removes the job from the queue; false if it has begun or was dropped.
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
