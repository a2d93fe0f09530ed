use std::{pin::pin, sync::atomic::AtomicU64};

use futures_util::FutureExt;

use super::*;

/// A throttle with a clock that is set by hand.
pub(super) struct TestApp {
    pub(super) throttle: Arc<Throttle>,
    millis: Arc<AtomicU64>,
}

/// How a try goes: after how many seconds another one is worth it, if it is not admitted.
pub(super) type Tried = Result<(), u64>;

impl TestApp {
    pub(super) fn new(after: u32) -> Self {
        Self::with_room(after, MAX)
    }

    fn with_room(after: u32, most: usize) -> Self {
        let millis = Arc::new(AtomicU64::new(1_800_000_000_000));
        let hand = Arc::clone(&millis);
        let clock = Clock::new(move || Timestamp::from_millis(hand.load(Ordering::SeqCst)));
        Self { throttle: Throttle::with_room(clock, after, most), millis }
    }

    pub(super) fn forward_millis(&self, millis: u64) {
        self.millis.fetch_add(millis, Ordering::SeqCst);
    }

    fn forward(&self, secs: u64) {
        self.forward_millis(secs * 1000);
    }

    /// A try that runs, `None` if it is held back until others have ended.
    pub(super) fn begin(&self, username: &str, address: &str) -> Option<Result<Attempt, u64>> {
        let begun = self.throttle.begin(username, None, address.parse().unwrap()).now_or_never();
        begun.map(|begun| begun.map_err(|error| retry_after(&error)))
    }

    /// Tries a wrong password.
    pub(super) fn fail(&self, username: &str, address: &str) -> Tried {
        self.begin(username, address).expect("nothing else is running").map(|attempt| attempt.finish(false))
    }

    /// Tries the right password.
    pub(super) fn sign_in(&self, username: &str, address: &str) -> Tried {
        self.begin(username, address).expect("nothing else is running").map(|attempt| attempt.finish(true))
    }

    /// Fails that often, and waits as long as it has to in between.
    fn fail_times(&self, times: usize, username: &str, address: &str) {
        for _ in 0..times {
            if let Err(secs) = self.fail(username, address) {
                self.forward(secs);
                assert_eq!(self.fail(username, address), Ok(()));
            }
        }
    }

    /// Fails for the account from more addresses than is good for it.
    fn flood_account(&self, username: &str) {
        for number in 0..120 {
            let _ = self.fail(username, &format!("198.51.100.{number}"));
        }
    }

    /// Fails from the address for more accounts than is good for it.
    fn flood_address(&self, address: &str) {
        for number in 0..60 {
            let _ = self.fail(&format!("nobody{number}"), address);
        }
    }

    /// Whether somebody signed in to the account from there lately.
    fn is_known_address(&self, username: &str, address: &str) -> bool {
        self.begin(username, address).unwrap().unwrap().requester().is_known_address
    }

    /// Whether a password could be tried, without trying one.
    pub(super) fn check(&self, username: &str, address: &str) -> Tried {
        self.throttle.check(username, address.parse().unwrap()).map_err(|error| retry_after(&error))
    }
}

fn retry_after(error: &AuthError) -> u64 {
    match error {
        AuthError::Throttled { retry_after_secs } => *retry_after_secs,
        other => panic!("{other:?}"),
    }
}

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

#[test]
fn after_five_failures_each_further_try_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
    let test_app = TestApp::new(5);
    for _ in 0..5 {
        assert_eq!(test_app.fail("ann", HERE), Ok(()));
    }

    for wait in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900] {
        assert_eq!(test_app.sign_in("ann", HERE), Err(wait), "the right password waits too");
        test_app.forward_millis(wait * 1000 - 1);
        assert_eq!((test_app.check("ann", HERE), test_app.fail("ann", HERE)), (Err(1), Err(1)));
        test_app.forward_millis(1);
        assert_eq!((test_app.check("ann", HERE), test_app.fail("ann", HERE)), (Ok(()), Ok(())));
    }
}

#[test]
fn a_success_clears_the_account_from_that_address() {
    let test_app = TestApp::new(5);
    for _ in 0..3 {
        test_app.fail_times(4, "ann", HERE);
        assert_eq!(test_app.sign_in("ann", HERE), Ok(()));
    }
    test_app.fail_times(5, "ann", HERE);
    test_app.forward(1);
    assert_eq!(test_app.sign_in("ann", HERE), Ok(()));
    test_app.fail_times(5, "ann", HERE);
    assert_eq!(test_app.fail("ann", HERE), Err(1), "and not a second one");
}

#[test]
fn others_are_not_concerned_until_their_own_bounds() {
    let test_app = TestApp::new(5);
    test_app.fail_times(5, "ann", HERE);

    assert_eq!(test_app.fail("ann", HERE), Err(1));
    assert_eq!(test_app.fail("ann", THERE), Ok(()));
    assert_eq!(test_app.fail("ben", HERE), Ok(()));
}

#[test]
fn an_address_waits_over_all_accounts_from_ten_times_as_many_failures_on() {
    let test_app = TestApp::new(5);
    for number in 0..50 {
        assert_eq!(test_app.fail(&format!("nobody{number}"), HERE), Ok(()));
    }

    for wait in [1, 2, 4] {
        assert_eq!(test_app.fail("ann", HERE), Err(wait));
        test_app.forward(wait);
        assert_eq!(test_app.fail(&format!("ann{wait}"), HERE), Ok(()));
    }
    assert_eq!(test_app.fail("ann", THERE), Ok(()));
}

#[test]
fn whoever_owns_an_account_gets_no_more_tries_at_others_by_signing_in() {
    let test_app = TestApp::new(5);
    test_app.sign_in("eve", HERE).unwrap();
    for number in 0..50 {
        assert_eq!(test_app.fail(&format!("victim{number}"), HERE), Ok(()));
        assert_eq!(test_app.sign_in("eve", HERE), Ok(()));
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));

    test_app.forward(1);
    assert_eq!(test_app.sign_in("mallory", HERE), Ok(()), "the first sign-in of another account of theirs");
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
    assert_eq!(test_app.fail("ann", HERE), Err(2), "that gave them nothing");
}

#[test]
fn an_account_gets_a_try_every_30_s_once_100_in_a_row_have_failed_from_everywhere() {
    let test_app = TestApp::new(5);
    let address = |number: usize| format!("198.51.100.{number}");
    for number in 0..100 {
        assert_eq!(test_app.fail("ann", &address(number)), Ok(()));
    }

    for number in 100..105 {
        assert_eq!(test_app.fail("ann", &address(number)), Err(30));
        test_app.forward(29);
        assert_eq!(test_app.fail("ann", &address(number)), Err(1));
        test_app.forward(1);
        assert_eq!(test_app.fail("ann", &address(number)), Ok(()));
    }
    test_app.forward(30);
    assert_eq!(test_app.sign_in("ann", &address(200)), Ok(()));
    assert_eq!(test_app.fail("ann", &address(201)), Ok(()), "the row was broken");
}

#[test]
fn no_flood_takes_the_turns_of_an_address_that_signed_in_lately() {
    let test_app = TestApp::new(5);
    test_app.sign_in("ann", HERE).unwrap();
    test_app.flood_account("ann");
    test_app.flood_address(HERE);
    assert_eq!((test_app.check("ann", THERE), test_app.check("ben", HERE)), (Err(30), Err(1)));

    assert_eq!((test_app.check("ann", HERE), test_app.sign_in("ann", HERE)), (Ok(()), Ok(())));

    test_app.fail_times(5, "ann", HERE);
    assert_eq!(test_app.sign_in("ann", HERE), Err(1), "its own failures count");
    assert!(test_app.check("ann", THERE).is_err(), "its success did not end the row of the others");
}

#[test]
fn lately_is_a_week() {
    let test_app = TestApp::new(5);
    test_app.sign_in("ann", HERE).unwrap();
    test_app.forward(7 * 24 * 3600 - 1);
    test_app.flood_address(HERE);
    assert_eq!(test_app.check("ann", HERE), Ok(()));
    test_app.forward(1);
    test_app.flood_address(HERE);
    assert!(test_app.check("ann", HERE).is_err());
}

#[test]
fn tries_at_the_same_time_cannot_slip_past_the_bound() {
    let test_app = TestApp::new(5);
    let running: Vec<_> = (0..5).map(|_| test_app.begin("ann", HERE).unwrap().unwrap()).collect();

    assert!(test_app.begin("ann", HERE).is_none(), "it is held back until one has ended");
    assert_eq!(test_app.check("ann", HERE), Ok(()));

    for attempt in running {
        attempt.finish(false);
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));
    test_app.forward(1);
    let only = test_app.begin("ann", HERE).unwrap().unwrap();
    assert!(matches!(test_app.begin("ann", HERE), Some(Err(2))), "one try a wait");
    only.finish(true);
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
}

#[test]
fn what_is_held_back_goes_on_when_a_try_ends_well_or_unchecked_and_is_refused_when_all_end_badly() {
    let ends: [(fn(Attempt), Tried); 3] =
        [(|attempt| attempt.finish(true), Ok(())), (drop, Ok(())), (|attempt| attempt.finish(false), Err(1))];
    for (end, expected) in ends {
        let test_app = TestApp::new(2);
        let running: Vec<_> = (0..2).map(|_| test_app.begin("ann", HERE).unwrap().unwrap()).collect();
        let mut held = pin!(test_app.throttle.begin("ann", None, HERE.parse().unwrap()));
        assert!(held.as_mut().now_or_never().is_none());

        running.into_iter().for_each(end);

        let begun = held.now_or_never().expect("it is told that they have ended");
        assert_eq!(begun.map(drop).map_err(|error| retry_after(&error)), expected);
    }
}

#[test]
fn a_try_whose_password_was_never_checked_counts_for_nothing() {
    let test_app = TestApp::new(5);
    test_app.fail_times(4, "ann", HERE);
    for _ in 0..20 {
        drop(test_app.begin("ann", HERE).unwrap().unwrap());
    }
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
    test_app.forward(1);
    drop(test_app.begin("ann", HERE).unwrap().unwrap());
    assert_eq!(test_app.fail("ann", HERE), Ok(()), "it did not have to wait for the one that was none");
    assert_eq!(test_app.fail("ann", HERE), Err(2));
}

#[test]
fn names_count_without_their_case_and_addresses_as_networks() {
    let test_app = TestApp::new(5);
    for name in ["ann", "Ann", "ANN", "aNN", "annA"] {
        test_app.fail(name, "2001:db8::1").unwrap();
    }
    for address in ["2001:db8::2", "2001:db8::ffff:ffff:ffff:ffff"] {
        assert_eq!(test_app.fail("ann", address), Ok(()), "four so far");
        assert_eq!(test_app.fail("ann", address), Err(1));
        test_app.throttle.clear(None, None);
        test_app.fail_times(4, "ann", "2001:db8::1");
    }
    assert_eq!(test_app.fail("ann", "2001:db8:0:1::1"), Ok(()));
    test_app.fail_times(5, "ben", "::ffff:192.0.2.1");
    assert_eq!(test_app.fail("ben", HERE), Err(1));
}

#[test]
fn unknown_keys_count_for_their_address() {
    let test_app = TestApp::new(5);
    let try_key = || test_app.throttle.count_unknown_key(HERE.parse().unwrap()).map_err(|error| retry_after(&error));
    for _ in 0..50 {
        assert_eq!(try_key(), Ok(()));
    }
    assert_eq!((try_key(), test_app.fail("ann", HERE), test_app.fail("ann", THERE)), (Err(1), Err(1), Ok(())));
}

#[test]
fn an_address_is_forgiven_a_failure_for_each_five_quiet_minutes() {
    let test_app = TestApp::new(5);
    for number in 0..50 {
        test_app.fail(&format!("nobody{number}"), HERE).unwrap();
    }
    test_app.forward(15 * 60);
    for number in 0..3 {
        assert_eq!(test_app.fail(&format!("somebody{number}"), HERE), Ok(()));
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));
}

#[test]
fn when_memory_runs_out_the_coldest_go_and_never_one_that_waits() {
    let test_app = TestApp::with_room(2, 4);
    let address = |number: u8| format!("192.0.2.{number}");
    test_app.fail_times(4, "ann", &address(1));
    for number in 2..=4 {
        test_app.fail(&format!("ben{number}"), &address(number)).unwrap();
        test_app.forward_millis(1);
    }

    test_app.fail("cid", &address(5)).unwrap();

    assert_eq!(test_app.check("ann", &address(1)), Err(4), "the oldest of them waits");
    assert_eq!(test_app.fail("ben3", &address(3)), Ok(()));
    assert_eq!(test_app.fail("ben3", &address(3)), Err(1), "this one was kept");
    assert_eq!(test_app.fail("ben2", &address(2)), Ok(()));
    assert_eq!(test_app.fail("ben2", &address(2)), Ok(()), "this one was the coldest");
}

#[test]
fn when_all_memory_waits_newcomers_wait_for_the_first_to_end_and_those_of_lately_do_not() {
    let test_app = TestApp::with_room(2, 4);
    test_app.sign_in("ann", HERE).unwrap();
    test_app.fail_times(3, "ben", "192.0.2.8");
    for number in 9..12 {
        test_app.fail_times(2, "ben", &format!("192.0.2.{number}"));
    }

    assert_eq!(test_app.fail("cid", THERE), Err(1));
    assert_eq!(test_app.sign_in("ann", HERE), Ok(()));
    test_app.forward(1);
    assert_eq!(test_app.fail("cid", THERE), Ok(()));
}

#[test]
fn a_throttle_that_is_off_slows_nobody() {
    let test_app = TestApp::new(0);
    for _ in 0..1000 {
        assert_eq!((test_app.check("ann", HERE), test_app.fail("ann", HERE)), (Ok(()), Ok(())));
    }
    test_app.throttle.count_unknown_key(HERE.parse().unwrap()).unwrap();
    test_app.sign_in("ann", HERE).unwrap();
    assert_eq!(test_app.throttle.waiting(), []);
}

#[test]
fn an_account_has_32_familiar_addresses_the_coldest_goes() {
    let test_app = TestApp::new(5);
    for number in 0..33 {
        test_app.sign_in("eve", &format!("198.51.100.{number}")).unwrap();
        test_app.forward(1);
    }
    let is_strange = |number: &u8| !test_app.is_known_address("eve", &format!("198.51.100.{number}"));
    assert_eq!((0..33).filter(is_strange).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_quarter_of_the_memory_is_for_what_is_familiar_the_coldest_goes() {
    let test_app = TestApp::with_room(5, 16);
    for number in 0..5 {
        test_app.sign_in(&format!("eve{number}"), HERE).unwrap();
        test_app.forward(1);
    }
    let is_strange = |number: &u8| !test_app.is_known_address(&format!("eve{number}"), HERE);
    assert_eq!((0..5).filter(is_strange).collect::<Vec<_>>(), [0]);
}

#[test]
fn what_waits_is_listed_and_cleared_by_account_by_address_or_both() {
    let lock = |test_app: &TestApp| {
        for (name, address) in [("ann", HERE), ("ann", THERE), ("ben", HERE), ("ben", THERE)] {
            test_app.fail_times(2, name, address);
        }
        test_app.sign_in("cid", HERE).unwrap();
        test_app.fail_times(2, "cid", HERE);
    };
    let waiting = |test_app: &TestApp| {
        let (names, waiting) = (["ann", "ben", "cid"], test_app.throttle.waiting());
        let name =
            |waiting: &Lockout| names.into_iter().find(|name| Some(test_app.throttle.account(name)) == waiting.account);
        let mut shown: Vec<_> =
            waiting.iter().map(|it| format!("{} {}", name(it).unwrap_or("-"), it.network.unwrap())).collect();
        shown.sort();
        shown
    };
    for (username, address, left) in [
        (None, None, &[][..]),
        (Some("ANN"), None, &["ben 192.0.2.1", "ben 192.0.2.2", "cid 192.0.2.1"]),
        (None, Some(HERE), &["ann 192.0.2.2", "ben 192.0.2.2"]),
        (Some("cid"), Some(HERE), &["ann 192.0.2.1", "ann 192.0.2.2", "ben 192.0.2.1", "ben 192.0.2.2"]),
    ] {
        let test_app = TestApp::new(2);
        lock(&test_app);
        assert_eq!(waiting(&test_app).len(), 5);

        test_app.throttle.clear(username, address.and_then(Network::parse));

        assert_eq!(waiting(&test_app), left, "{username:?} {address:?}");
    }
}

#[test]
fn an_address_on_all_accounts_and_an_account_from_all_addresses_are_cleared_each_by_itself() {
    let waits = |test_app: &TestApp| (test_app.check("new", HERE).is_err(), test_app.check("ann", THERE).is_err());
    for (username, address, left) in [
        (None, Some(HERE), (false, true)),
        (Some("ann"), None, (true, false)),
        (None, Some(THERE), (true, true)),
        (Some("ben"), None, (true, true)),
        (Some("ann"), Some(HERE), (true, true)),
        (None, None, (false, false)),
    ] {
        let test_app = TestApp::new(5);
        test_app.flood_account("ann");
        test_app.flood_address(HERE);
        assert_eq!(waits(&test_app), (true, true));

        test_app.throttle.clear(username, address.and_then(Network::parse));

        assert_eq!(waits(&test_app), left, "{username:?} {address:?}");
    }
}

#[test]
fn of_those_that_are_held_back_only_so_many_wait() {
    let test_app = TestApp::new(1);
    let running = test_app.begin("ann", HERE).unwrap().unwrap();
    let begin = || Box::pin(test_app.throttle.begin("ann", None, HERE.parse().unwrap()));

    let mut held: Vec<_> = (0..64).map(|_| begin()).collect();
    assert!(held.iter_mut().all(|held| held.as_mut().now_or_never().is_none()));
    assert!(matches!(begin().now_or_never(), Some(Err(AuthError::Busy))));
    drop(held.pop());
    assert!(begin().now_or_never().is_none(), "the one that left has made room");

    running.finish(true);
    let outcomes: Vec<_> = held.into_iter().map(FutureExt::now_or_never).collect();
    let have_begun: Vec<_> = outcomes.iter().map(Option::is_some).collect();
    assert_eq!(have_begun, [[true].as_slice(), &[false; 62]].concat(), "the next one runs, and holds the others back");
}

#[test]
fn keys_that_nobody_made_leave_half_of_the_memory_to_passwords() {
    let test_app = TestApp::with_room(1, 16);
    let address = |number: u8| std::net::IpAddr::from([198, 51, 100, number]);
    for number in 0..8 {
        (0..10).for_each(|_| test_app.throttle.count_unknown_key(address(number)).unwrap());
        assert!(test_app.throttle.count_unknown_key(address(number)).is_err(), "it waits");
    }

    let refused = test_app.throttle.count_unknown_key(address(8)).map_err(|error| retry_after(&error));
    assert_eq!((refused, test_app.fail("ann", HERE)), (Err(1), Ok(())));
}
