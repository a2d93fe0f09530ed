//! The queue of password hashes: short, and shared fairly between accounts and between addresses.
//!
//! There are two lanes, one for addresses that are known to the account and one for all others. They take turns, so that a
//! flood from new addresses leaves every other hash to known ones. In a lane no account and no address has more than half of
//! the places. The next turn is that of the account and the address that had the fewest recently. In a full lane a job of
//! whoever takes up most makes room for one of whoever takes up less.
//!
//! A job that cannot begin in time is refused: at once where the jobs ahead of it make that certain.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Condvar, Mutex, MutexGuard},
    time::Duration,
};

use super::{AccountHash, AuthError};
use crate::domain::Network;

/// How many of the last jobs a lane remembers for each of its places: at the default cost, those of two minutes or so.
const RECENT_PER_PLACE: usize = 32;

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

struct Lanes {
    /// For new addresses, and for known ones.
    both: [Lane; 2],
    /// The lane whose turn it is.
    next: usize,
    last_number: u64,
    /// What a job takes; zero until one has been measured.
    job_time: Duration,
    is_closed: bool,
}

struct Lane {
    max: usize,
    /// In the order of their arrival.
    jobs: VecDeque<Entry>,
    queued: Counts,
    /// The last ones that have begun, the oldest first.
    begun: VecDeque<HashRequester>,
    recent: Counts,
}

struct Entry {
    number: u64,
    requester: HashRequester,
    job: Job,
}

/// How many jobs each account and each address has.
#[derive(Default)]
struct Counts {
    accounts: HashMap<AccountHash, usize>,
    networks: HashMap<Network, usize>,
}

impl HashQueue {
    /// A queue for that many threads, in which each lane holds `max` jobs.
    pub(super) fn new(threads: usize, max: usize) -> Self {
        let both = [Lane::new(max), Lane::new(max)];
        let lanes = Lanes { both, next: 0, last_number: 0, job_time: Duration::ZERO, is_closed: false };
        Self { threads, lanes: Mutex::new(lanes), changed: Condvar::new() }
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
        let withdrawn = self.queue.lock().both.iter_mut().find_map(|lane| lane.withdraw(self.number));
        withdrawn.is_some()
    }
}

impl Drop for QueuedJob {
    fn drop(&mut self) {
        self.withdraw();
    }
}

impl Lanes {
    fn push(&mut self, requester: HashRequester, job: Job) -> Result<(u64, Option<Entry>), AuthError> {
        let number = self.last_number + 1;
        let displaced = self.both[lane_of(requester)].push(Entry { number, requester, job })?;
        self.last_number = number;
        Ok((number, displaced))
    }

    fn pop(&mut self) -> Option<Job> {
        for _ in 0..self.both.len() {
            let lane = self.next;
            self.next = (lane + 1) % self.both.len();
            if let Some(job) = self.both[lane].pop() {
                return Some(job);
            }
        }
        None
    }

    /// How long a job of that requester waits at least: for the jobs that have their turns before it.
    fn shortest_wait(&self, requester: HashRequester, threads: usize) -> Duration {
        let lane = lane_of(requester);
        let before = self.both[lane].before(requester);
        let ahead = before + self.both[1 - lane].jobs.len().min(before);
        self.job_time.saturating_mul(u32::try_from(ahead / threads.max(1)).unwrap_or(u32::MAX))
    }
}

impl Lane {
    fn new(max: usize) -> Self {
        let (queued, recent) = (Counts::default(), Counts::default());
        Self { max, jobs: VecDeque::new(), queued, begun: VecDeque::new(), recent }
    }

    /// How many jobs an account or an address may have at most.
    fn share(&self) -> usize {
        self.max.div_ceil(2)
    }

    /// Adds a job; gives back the one that made room for it, if one had to.
    fn push(&mut self, entry: Entry) -> Result<Option<Entry>, AuthError> {
        let displaced = self.to_displace(entry.requester)?.and_then(|position| self.remove(position));
        self.queued.add(entry.requester);
        self.jobs.push_back(entry);
        Ok(displaced)
    }

    /// The position of the job that makes room for one of that requester; `None` if there is room.
    fn to_displace(&self, requester: HashRequester) -> Result<Option<usize>, AuthError> {
        let has_account_share = self.queued.of_account(requester) >= self.share();
        let has_network_share = self.queued.of_network(requester) >= self.share();
        if !has_account_share && !has_network_share && self.jobs.len() < self.max {
            return Ok(None);
        }
        let may_go = |other: HashRequester| {
            (!has_account_share || other.account == requester.account)
                && (!has_network_share || other.network == requester.network)
        };
        let others = self.jobs.iter().map(|entry| entry.requester).enumerate().filter(|(_, other)| may_go(*other));
        let heaviest = others.max_by_key(|(_, other)| self.load(*other));
        let heaviest = heaviest.filter(|(_, other)| self.load(*other) > self.load_in_place_of(requester, *other));
        heaviest.map(|(position, _)| Some(position)).ok_or(AuthError::Busy)
    }

    /// How many jobs the requester's account and address have and had recently.
    fn load(&self, requester: HashRequester) -> usize {
        self.queued.of(requester) + self.recent.of(requester)
    }

    /// The requester's load with one job more, which takes the place of the other's.
    fn load_in_place_of(&self, requester: HashRequester, other: HashRequester) -> usize {
        let is_of_others = [requester.account != other.account, requester.network != other.network];
        self.load(requester) + is_of_others.map(usize::from).iter().sum::<usize>()
    }

    /// How many jobs have their turns before a further one of that requester.
    fn before(&self, requester: HashRequester) -> usize {
        let recent = self.recent.of(requester);
        self.jobs.iter().filter(|entry| self.recent.of(entry.requester) <= recent).count()
    }

    fn pop(&mut self) -> Option<Job> {
        let turns = self.jobs.iter().map(|entry| self.recent.of(entry.requester)).enumerate();
        let (next, _) = turns.min_by_key(|(_, recent)| *recent)?;
        let entry = self.remove(next)?;
        self.recent.add(entry.requester);
        self.begun.push_back(entry.requester);
        if self.begun.len() > self.max * RECENT_PER_PLACE
            && let Some(oldest) = self.begun.pop_front()
        {
            self.recent.remove(oldest);
        }
        Some(entry.job)
    }

    fn withdraw(&mut self, number: u64) -> Option<Entry> {
        let position = self.jobs.iter().position(|entry| entry.number == number)?;
        self.remove(position)
    }

    fn remove(&mut self, position: usize) -> Option<Entry> {
        let entry = self.jobs.remove(position)?;
        self.queued.remove(entry.requester);
        Some(entry)
    }
}

impl Counts {
    fn add(&mut self, requester: HashRequester) {
        *self.accounts.entry(requester.account).or_default() += 1;
        *self.networks.entry(requester.network).or_default() += 1;
    }

    fn remove(&mut self, requester: HashRequester) {
        take_one(&mut self.accounts, &requester.account);
        take_one(&mut self.networks, &requester.network);
    }

    fn of(&self, requester: HashRequester) -> usize {
        self.of_account(requester) + self.of_network(requester)
    }

    fn of_account(&self, requester: HashRequester) -> usize {
        self.accounts.get(&requester.account).copied().unwrap_or_default()
    }

    fn of_network(&self, requester: HashRequester) -> usize {
        self.networks.get(&requester.network).copied().unwrap_or_default()
    }
}

fn take_one<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

fn lane_of(requester: HashRequester) -> usize {
    usize::from(requester.is_known_address)
}

#[cfg(test)]
mod tests;
