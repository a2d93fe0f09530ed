//! The queue in front of the hashes: short, fair by address, with a reserve for those who signed in lately.

use std::{
    collections::VecDeque,
    net::{IpAddr, Ipv4Addr},
    sync::{Condvar, Mutex},
};

use super::AuthError;
use crate::domain::Network;

/// Whose turn a hash is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashRequester {
    /// Where they are; turns go from one network to the next.
    pub network: Network,
    /// Whether they signed in from there lately, or are signed in.
    pub is_known_address: bool,
}

impl HashRequester {
    /// Somebody at that address who is signed in.
    #[must_use]
    pub fn signed_in(address: IpAddr) -> Self {
        Self { network: Network::of(address), is_known_address: true }
    }

    /// The server itself.
    #[must_use]
    pub fn server() -> Self {
        Self::signed_in(Ipv4Addr::LOCALHOST.into())
    }
}

pub(super) type Job = Box<dyn FnOnce() + Send>;

/// Jobs that wait for a thread.
///
/// There are two lanes, one for familiar askers and one for all others. Each has its own bound, and they take turns, so a
/// flood of strangers leaves every other hash to those who signed in lately. Within a lane networks take turns.
pub(super) struct HashQueue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

struct Lanes {
    /// For strangers, and for familiar askers.
    both: [Lane; 2],
    /// The lane whose turn it is.
    next: usize,
    is_closed: bool,
}

struct Lane {
    most: usize,
    length: usize,
    /// Networks in the order of their turns; none is without a job.
    turns: VecDeque<(Network, VecDeque<Job>)>,
}

impl HashQueue {
    /// A queue in which each lane holds that many jobs.
    pub(super) fn new(most: usize) -> Self {
        let lane = || Lane { most, length: 0, turns: VecDeque::new() };
        let lanes = Lanes { both: [lane(), lane()], next: 0, is_closed: false };
        Self { lanes: Mutex::new(lanes), changed: Condvar::new() }
    }

    /// Adds a job. In a full lane the last job of the network with the most of them makes room, and is dropped.
    ///
    /// # Errors
    /// [`AuthError::Busy`] if the lane is full and no network has more jobs in it than this one would have.
    pub(super) fn push(&self, requester: HashRequester, job: Job) -> Result<(), AuthError> {
        let mut lanes = self.lock();
        let pushed = lanes.both[usize::from(requester.is_known_address)].push(requester.network, job);
        drop(lanes);
        // What made room is dropped here, without the lock: its end may be somebody's business.
        pushed.map(drop)?;
        self.changed.notify_one();
        Ok(())
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

    /// Lets everybody who waits for a job go.
    pub(super) fn close(&self) {
        self.lock().is_closed = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Lanes> {
        self.lanes.lock().expect("no holder of the lock panics")
    }
}

impl Lanes {
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
}

impl Lane {
    /// Adds a job; gives back the one that made room for it, if one had to.
    fn push(&mut self, network: Network, job: Job) -> Result<Option<Job>, AuthError> {
        let displaced = if self.length < self.most { None } else { Some(self.displace(network)?) };
        match self.turns.iter_mut().find(|(holder, _)| *holder == network) {
            Some((_, jobs)) => jobs.push_back(job),
            None => self.turns.push_back((network, VecDeque::from([job]))),
        }
        self.length += 1;
        Ok(displaced)
    }

    fn displace(&mut self, network: Network) -> Result<Job, AuthError> {
        let own = self.turns.iter().find(|(holder, _)| *holder == network).map_or(0, |(_, jobs)| jobs.len());
        let longest = self.turns.iter_mut().max_by_key(|(_, jobs)| jobs.len());
        let (_, jobs) = longest.filter(|(_, jobs)| jobs.len() > own + 1).ok_or(AuthError::Busy)?;
        self.length -= 1;
        Ok(jobs.pop_back().expect("no network is without a job"))
    }

    fn pop(&mut self) -> Option<Job> {
        let (network, mut jobs) = self.turns.pop_front()?;
        let job = jobs.pop_front();
        if !jobs.is_empty() {
            self.turns.push_back((network, jobs));
        }
        self.length -= 1;
        job
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// A queue whose jobs write down whose they were.
    struct Queue {
        queue: HashQueue,
        done: Arc<Mutex<Vec<u8>>>,
    }

    impl Queue {
        fn new(most: usize) -> Self {
            Self { queue: HashQueue::new(most), done: Arc::default() }
        }

        fn push(&self, last_octet: u8, is_known_address: bool) -> bool {
            let done = Arc::clone(&self.done);
            let network = Network::of(IpAddr::from([192, 0, 2, last_octet]));
            let job = Box::new(move || done.lock().unwrap().push(last_octet));
            self.queue.push(HashRequester { network, is_known_address }, job).is_ok()
        }

        /// Runs everything that waits; tells whose jobs they were, in their order.
        fn run(self) -> Vec<u8> {
            let mut lanes = self.queue.lock();
            while let Some(job) = lanes.pop() {
                job();
            }
            drop(lanes);
            Arc::into_inner(self.done).unwrap().into_inner().unwrap()
        }
    }

    #[test]
    fn networks_take_turns() {
        let queue = Queue::new(8);
        for octet in [1, 1, 1, 1, 2, 2, 3] {
            assert!(queue.push(octet, false));
        }
        assert_eq!(queue.run(), [1, 2, 3, 1, 2, 1, 1]);
    }

    #[test]
    fn a_full_queue_refuses_a_network_with_as_many_jobs_as_any_and_makes_room_for_one_with_fewer() {
        let queue = Queue::new(4);
        for octet in [1, 1, 1, 1] {
            assert!(queue.push(octet, false));
        }
        assert!(!queue.push(1, false));
        assert!(queue.push(2, false));
        assert!(queue.push(2, false));
        assert!(!queue.push(2, false), "both have two");
        assert!(queue.push(3, false));
        assert_eq!(queue.run(), [1, 2, 3, 1]);
    }

    #[test]
    fn those_who_signed_in_lately_have_a_lane_of_their_own_and_every_other_turn() {
        let queue = Queue::new(4);
        for octet in [1, 2, 3, 4] {
            assert!(queue.push(octet, false));
        }
        assert!(!queue.push(5, false));
        for octet in [11, 12] {
            assert!(queue.push(octet, true));
        }
        assert_eq!(queue.run(), [1, 11, 2, 12, 3, 4]);
    }

    #[test]
    fn a_closed_queue_lets_everybody_go() {
        let queue = HashQueue::new(4);
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| queue.pop().is_none());
            queue.close();
            assert!(waiting.join().unwrap());
        });
    }
}
