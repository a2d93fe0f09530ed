//! The two lanes of the queue, and the order of turns.

use std::{
    collections::{HashMap, VecDeque},
    hash::Hash,
    time::Duration,
};

use super::{HashRequester, Job};
use crate::{
    auth::{AccountHash, AuthError},
    domain::{Network, Site},
};

/// How many recent jobs a lane remembers, in about 2 MB: those of half an hour at the default cost on two cores.
const MAX_RECENT: usize = 16_384;

pub(super) struct Lanes {
    /// The lane for new addresses, and the one for known addresses.
    both: [Lane; 2],
    /// The lane whose turn it is.
    next: usize,
    last_number: u64,
    /// The mean duration of a job; zero until one has been measured.
    pub(super) job_time: Duration,
    pub(super) is_closed: bool,
}

struct Lane {
    max: usize,
    /// The queued jobs in the order of their arrival.
    jobs: VecDeque<Entry>,
    queued: Counts,
    /// The requesters of the last jobs that have begun, the oldest first.
    begun: VecDeque<HashRequester>,
    recent: Counts,
}

pub(super) struct Entry {
    number: u64,
    requester: HashRequester,
    job: Job,
}

/// What counts as one address: an IPv4 address, or all of an IPv6 site.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Origin {
    Address(Network),
    Site(Site),
}

/// How many jobs each account and each address has.
#[derive(Default)]
struct Counts {
    accounts: HashMap<AccountHash, usize>,
    origins: HashMap<Origin, usize>,
}

impl HashRequester {
    fn origin(&self) -> Origin {
        self.network.site().map_or(Origin::Address(self.network), Origin::Site)
    }
}

impl Lanes {
    /// Lanes of `max` jobs each.
    pub(super) fn new(max: usize) -> Self {
        let both = [Lane::new(max), Lane::new(max)];
        Self { both, next: 0, last_number: 0, job_time: Duration::ZERO, is_closed: false }
    }

    /// Adds a job; returns its number, and the job that was dropped for it, if any.
    pub(super) fn push(&mut self, requester: HashRequester, job: Job) -> Result<(u64, Option<Entry>), AuthError> {
        let number = self.last_number + 1;
        let displaced = self.both[lane_of(requester)].push(Entry { number, requester, job })?;
        self.last_number = number;
        Ok((number, displaced))
    }

    /// The job whose turn it is.
    pub(super) fn pop(&mut self) -> Option<Job> {
        for _ in 0..self.both.len() {
            let lane = self.next;
            self.next = (lane + 1) % self.both.len();
            if let Some(job) = self.both[lane].pop() {
                return Some(job);
            }
        }
        None
    }

    /// How many jobs wait.
    pub(super) fn waiting(&self) -> usize {
        self.both.iter().map(|lane| lane.jobs.len()).sum()
    }

    /// The minimum wait of a job of that requester: the duration of the jobs before it.
    pub(super) fn shortest_wait(&self, requester: HashRequester, threads: usize) -> Duration {
        let lane = lane_of(requester);
        let before = self.both[lane].before(requester);
        let ahead = before + self.both[1 - lane].jobs.len().min(before);
        self.job_time.saturating_mul(u32::try_from(ahead / threads.max(1)).unwrap_or(u32::MAX))
    }

    /// Removes the job of that number, if it is queued.
    pub(super) fn withdraw(&mut self, number: u64) -> Option<Entry> {
        self.both.iter_mut().find_map(|lane| lane.withdraw(number))
    }
}

impl Lane {
    fn new(max: usize) -> Self {
        let (queued, recent) = (Counts::default(), Counts::default());
        Self { max, jobs: VecDeque::new(), queued, begun: VecDeque::new(), recent }
    }

    /// The maximum number of jobs of an account or an address.
    fn share(&self) -> usize {
        self.max.div_ceil(2)
    }

    /// Adds a job; returns the job that was dropped for it, if any.
    fn push(&mut self, entry: Entry) -> Result<Option<Entry>, AuthError> {
        let displaced = self.to_displace(entry.requester)?.and_then(|position| self.remove(position));
        self.queued.add(entry.requester);
        self.jobs.push_back(entry);
        Ok(displaced)
    }

    /// The position of the job to drop for one of that requester; `None` if there is room.
    fn to_displace(&self, requester: HashRequester) -> Result<Option<usize>, AuthError> {
        let has_account_share = self.queued.of_account(requester) >= self.share();
        let has_origin_share = self.queued.of_origin(requester) >= self.share();
        if !has_account_share && !has_origin_share && self.jobs.len() < self.max {
            return Ok(None);
        }
        let may_go = |other: HashRequester| {
            (!has_account_share || other.account == requester.account)
                && (!has_origin_share || other.origin() == requester.origin())
        };
        let others = self.jobs.iter().map(|entry| entry.requester).enumerate().filter(|(_, other)| may_go(*other));
        let heaviest = others.max_by_key(|(_, other)| self.load(*other));
        let heaviest = heaviest.filter(|(_, other)| self.load(*other) > self.load_in_place_of(requester, *other));
        heaviest.map(|(position, _)| Some(position)).ok_or(AuthError::Busy)
    }

    /// The number of queued and recent jobs of the requester's account and address.
    fn load(&self, requester: HashRequester) -> usize {
        self.queued.of(requester) + self.recent.of(requester)
    }

    /// The requester's load with a further job that replaces one of the other's.
    fn load_in_place_of(&self, requester: HashRequester, other: HashRequester) -> usize {
        let is_of_others = [requester.account != other.account, requester.origin() != other.origin()];
        self.load(requester) + is_of_others.map(usize::from).iter().sum::<usize>()
    }

    /// How many jobs have turns before a further one of that requester.
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
        if self.begun.len() > MAX_RECENT
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
        *self.origins.entry(requester.origin()).or_default() += 1;
    }

    fn remove(&mut self, requester: HashRequester) {
        take_one(&mut self.accounts, &requester.account);
        take_one(&mut self.origins, &requester.origin());
    }

    fn of(&self, requester: HashRequester) -> usize {
        self.of_account(requester) + self.of_origin(requester)
    }

    fn of_account(&self, requester: HashRequester) -> usize {
        self.accounts.get(&requester.account).copied().unwrap_or_default()
    }

    fn of_origin(&self, requester: HashRequester) -> usize {
        self.origins.get(&requester.origin()).copied().unwrap_or_default()
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
