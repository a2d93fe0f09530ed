use super::*;

/// A queue whose jobs record their accounts.
struct TestQueue {
    tested: Arc<HashQueue>,
    done: Arc<Mutex<Vec<u8>>>,
    queued: Vec<QueuedJob>,
}

fn requester(account: u8, address: u8, is_known_address: bool) -> HashRequester {
    let network = Network::of(IpAddr::from([192, 0, 2, address]));
    HashRequester { account: AccountHash::of_number(account.into()), network, is_known_address }
}

/// One of a flood: an account of that number at a new address, in the site of that number.
fn fresh(number: u16, site: u16) -> HashRequester {
    let network = Network::of(IpAddr::from([0x2001, 0xdb8, site, number, 0, 0, 0, 1]));
    HashRequester { account: AccountHash::of_number(number), network, is_known_address: false }
}

impl TestQueue {
    fn new(max: usize) -> Self {
        Self { tested: Arc::new(HashQueue::new(1, max)), done: Arc::default(), queued: Vec::new() }
    }

    /// Pushes a job of that account from that address; returns whether it was queued.
    fn push_of(&mut self, account: u8, address: u8, is_known_address: bool) -> bool {
        self.push_for(account, requester(account, address, is_known_address))
    }

    /// Whether a job that records that account finds a place.
    fn push_for(&mut self, account: u8, requester: HashRequester) -> bool {
        let done = Arc::clone(&self.done);
        let job = Box::new(move || done.lock().unwrap().push(account));
        let pushed = self.tested.push(requester, Duration::from_secs(5), job);
        let has_place = pushed.is_ok();
        self.queued.extend(pushed.ok());
        has_place
    }

    /// Pushes a job from a new address and an account of the same number; returns whether it was queued.
    fn push(&mut self, number: u8) -> bool {
        self.push_of(number, number, false)
    }

    /// Runs that many jobs.
    fn run(&self, jobs: usize) {
        for _ in 0..jobs {
            let job = self.tested.lock().pop().expect("a job is queued");
            job();
        }
    }

    /// Runs all queued jobs; returns the accounts of all jobs that have run, in their order.
    fn run_all(self) -> Vec<u8> {
        while let Some(job) = { self.tested.lock().pop() } {
            job();
        }
        self.done.lock().unwrap().clone()
    }
}

#[test]
fn networks_take_turns() {
    let mut queue = TestQueue::new(8);
    for number in [1, 1, 1, 1, 2, 2, 3] {
        assert!(queue.push(number));
    }
    assert_eq!(queue.run_all(), [1, 2, 3, 1, 2, 1, 1]);
}

#[test]
fn neither_an_account_nor_an_address_has_more_than_half_of_a_lane() {
    let mut queue = TestQueue::new(8);
    let of_an_account: Vec<_> = (0..8).map(|address| queue.push_of(1, address, false)).collect();
    let from_an_address: Vec<_> = (10..18).map(|account| queue.push_of(account, 99, false)).collect();

    for places in [of_an_account, from_an_address] {
        assert_eq!(places, [true, true, true, true, false, false, false, false]);
    }
}

#[test]
fn a_full_lane_refuses_those_with_as_many_jobs_as_any_and_makes_room_for_those_with_fewer() {
    let mut queue = TestQueue::new(8);
    for number in [1, 1, 1, 1, 2, 2, 2, 2] {
        assert!(queue.push(number));
    }
    assert!(!queue.push(1));
    assert!(queue.push(3));
    assert!(queue.push(3));
    assert!(!queue.push(3), "all have three or two");
    assert!(queue.push(4));
    assert_eq!(queue.run_all(), [1, 2, 3, 4, 1, 2, 3, 1]);
}

#[test]
fn seventeen_addresses_without_an_account_leave_turns_to_a_newcomer() {
    let mut queue = TestQueue::new(16);
    let attack = |queue: &mut TestQueue| (1..=17).filter(|attacker| queue.push(*attacker)).count();
    let mut rounds = 0;

    attack(&mut queue);
    while !queue.push(100) {
        queue.run(1);
        attack(&mut queue);
        rounds += 1;
        assert!(rounds <= 2, "those that had a turn already make room");
    }
}

#[test]
fn attempts_at_one_account_from_many_addresses_leave_turns_to_its_owner_at_a_new_address() {
    let mut queue = TestQueue::new(16);
    for _ in 0..2 {
        queue.run(queue.queued.len());
        (1..=8).for_each(|address| assert!(queue.push_of(1, address, false)));
    }

    assert!(queue.push_of(1, 100, false));
}

#[test]
fn a_user_known_at_many_addresses_leaves_turns_to_an_administrator() {
    let mut queue = TestQueue::new(16);
    for address in 1..=32 {
        queue.push_of(1, address, true);
    }

    assert!(queue.push_of(2, 100, true));
    queue.run(2);
    assert_eq!(queue.done.lock().unwrap().clone(), [1, 2]);
}

#[test]
fn a_user_at_the_administrators_address_leaves_turns_to_the_administrator() {
    let mut queue = TestQueue::new(16);
    for _ in 0..40 {
        queue.push_of(1, 1, true);
    }

    assert!(queue.push_of(2, 1, true));
    queue.run(2);
    assert_eq!(queue.done.lock().unwrap().clone(), [1, 2]);
}

#[test]
fn known_addresses_have_a_lane_of_their_own_and_every_other_turn() {
    let mut queue = TestQueue::new(4);
    for number in [1, 2, 3, 4] {
        assert!(queue.push(number));
    }
    assert!(!queue.push(5));
    for number in [11, 12] {
        assert!(queue.push_of(number, number, true));
    }
    assert_eq!(queue.run_all(), [1, 11, 2, 12, 3, 4]);
}

#[test]
fn all_networks_of_a_site_have_no_more_than_half_of_a_lane() {
    let mut queue = TestQueue::new(8);

    let places: Vec<_> = (0..8).map(|number| queue.push_for(1, fresh(number, 7))).collect();

    assert_eq!(places, [true, true, true, true, false, false, false, false]);
    assert!(queue.push_for(2, fresh(8, 8)));
}

#[test]
fn a_flood_of_new_addresses_leaves_known_ones_every_other_turn() {
    let mut queue = TestQueue::new(16);

    for round in 0..1_000 {
        for number in round * 16..(round + 1) * 16 {
            queue.push_for(1, fresh(number, number));
        }
        assert!(queue.push_of(2, 2, true));
        queue.run(2);
    }

    let of_known = queue.run_all().into_iter().filter(|account| *account == 2);
    assert_eq!(of_known.count(), 1_000);
}

#[test]
fn addresses_that_return_make_room_for_a_newcomer_even_after_thousands_of_others() {
    let mut queue = TestQueue::new(16);
    for number in 0..10_000 {
        assert!(queue.push_for(1, fresh(number, number)));
        queue.run(1);
    }

    for number in 0..16 {
        assert!(queue.push_for(1, fresh(number, number)));
    }

    assert!(queue.push_for(2, fresh(20_000, 20_000)));
}

#[test]
fn a_job_that_cannot_begin_in_time_is_refused_at_once() {
    let mut queue = TestQueue::new(16);
    queue.tested.record(Duration::from_secs(1));

    let places: Vec<_> = (0..8).map(|number| queue.push(number)).collect();

    // The fifth begins after four seconds and ends after five; the sixth would be late.
    assert_eq!(places, [true, true, true, true, true, false, false, false]);
}

#[test]
fn a_hash_that_takes_longer_than_the_bound_begins_where_a_thread_is_free() {
    let mut queue = TestQueue::new(16);
    queue.tested.record(Duration::from_mins(1));

    assert_eq!([queue.push(1), queue.push(2)], [true, false]);
}

#[test]
fn a_withdrawn_job_makes_room_and_never_runs() {
    let mut queue = TestQueue::new(2);
    assert!(queue.push(1));
    assert!(queue.push(2));
    assert!(!queue.push(3));

    drop(queue.queued.remove(0));

    assert!(queue.push(3));
    assert_eq!(queue.run_all(), [2, 3]);
}

#[test]
fn a_closed_queue_ends_its_threads() {
    let queue = HashQueue::new(1, 4);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| queue.pop().is_none());
        queue.close();
        assert!(waiting.join().unwrap());
    });
}
