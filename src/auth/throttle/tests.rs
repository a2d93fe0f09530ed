use super::{
    test_app::{Outcome, TestApp, retry_after},
    *,
};

const HERE: &str = "192.0.2.1";
const THERE: &str = "192.0.2.2";

#[test]
fn after_five_failures_each_further_attempt_waits_twice_as_long_up_to_a_quarter_of_an_hour() {
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
fn the_owner_of_an_account_gets_no_more_attempts_at_others_by_signing_in() {
    let test_app = TestApp::new(5);
    test_app.sign_in("eve", HERE).unwrap();
    for number in 0..50 {
        assert_eq!(test_app.fail(&format!("victim{number}"), HERE), Ok(()));
        assert_eq!(test_app.sign_in("eve", HERE), Ok(()));
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));

    test_app.forward(1);
    assert_eq!(test_app.sign_in("mallory", HERE), Ok(()), "the first sign-in of another account of the same owner");
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
    assert_eq!(test_app.fail("ann", HERE), Err(2), "that gave them nothing");
}

#[test]
fn an_account_gets_an_attempt_every_30_s_once_100_in_a_row_have_failed_from_everywhere() {
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
fn no_flood_locks_a_known_address_out() {
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
fn an_address_is_known_for_a_week() {
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
fn simultaneous_attempts_cannot_slip_past_the_bound() {
    let test_app = TestApp::new(5);
    let running: Vec<_> = (0..5).map(|_| test_app.begin("ann", HERE).unwrap().unwrap()).collect();

    assert!(test_app.begin("ann", HERE).is_none(), "one more is too many at once");
    assert_eq!(test_app.check("ann", HERE), Ok(()));

    for attempt in running {
        attempt.finish(false);
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));
    test_app.forward(1);
    let only = test_app.begin("ann", HERE).unwrap().unwrap();
    assert!(matches!(test_app.begin("ann", HERE), Some(Err(2))), "one attempt a wait");
    only.finish(true);
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
}

#[test]
fn what_was_too_many_at_once_is_admitted_when_an_attempt_ends_well_or_unchecked_and_waits_when_all_fail() {
    let ends: [(fn(Attempt), Outcome); 3] =
        [(|attempt| attempt.finish(true), Ok(())), (drop, Ok(())), (|attempt| attempt.finish(false), Err(1))];
    for (end, expected) in ends {
        let test_app = TestApp::new(2);
        let running: Vec<_> = (0..2).map(|_| test_app.begin("ann", HERE).unwrap().unwrap()).collect();
        assert!(test_app.begin("ann", HERE).is_none());

        running.into_iter().for_each(end);

        assert_eq!(test_app.begin("ann", HERE).expect("nothing else is running").map(drop), expected);
    }
}

#[test]
fn a_wall_clock_that_is_set_forgives_nothing_and_prolongs_nothing() {
    let test_app = TestApp::new(5);
    test_app.sign_in("ben", HERE).unwrap();
    test_app.fail_times(8, "ann", HERE);
    assert_eq!(test_app.check("ann", HERE), Err(8));
    let until = || test_app.throttle.lockouts()[0].until.as_secs();

    for wall in [1_900_000_000, 1_600_000_000, 0].map(Timestamp::from_secs) {
        test_app.set_wall_clock(wall);
        assert_eq!(test_app.check("ann", HERE), Err(8), "{wall}");
        assert_eq!(until(), wall.as_secs() + 8, "the end is shown as the clock will show it");
        assert!(test_app.is_known_address("ben", HERE), "{wall}");
    }

    test_app.forward(8);
    assert_eq!(test_app.fail("ann", HERE), Ok(()));
}

#[test]
fn a_sign_in_of_old_is_known_for_the_rest_of_its_week() {
    let test_app = TestApp::new(5);
    let week = 7 * 24 * 3600;
    let remember = |username: &str, secs_ago: u64| {
        let at = Timestamp::from_secs(1_800_000_000 - secs_ago);
        test_app.throttle.remember(username, Id::new(1).unwrap(), HERE.parse().unwrap(), at);
    };
    remember("ann", week - 10);
    remember("ben", week);

    assert_eq!(["ann", "ben"].map(|username| test_app.is_known_address(username, HERE)), [true, false]);
    test_app.forward(10);
    assert!(!test_app.is_known_address("ann", HERE));
}

#[test]
fn an_attempt_whose_password_was_never_verified_counts_for_nothing() {
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
        assert_eq!(test_app.fail(&format!("other{number}"), HERE), Ok(()));
    }
    assert_eq!(test_app.fail("ann", HERE), Err(1));
}

#[test]
fn when_memory_runs_out_the_least_recent_go_and_never_a_lockout() {
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
    assert_eq!(test_app.fail("ben2", &address(2)), Ok(()), "this one was the least recent");
}

#[test]
fn when_lockouts_take_all_memory_new_addresses_wait_for_the_first_to_end_and_known_ones_do_not() {
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
fn a_throttle_that_is_off_lets_every_attempt_pass() {
    let test_app = TestApp::new(0);
    for _ in 0..1000 {
        assert_eq!((test_app.check("ann", HERE), test_app.fail("ann", HERE)), (Ok(()), Ok(())));
    }
    test_app.throttle.count_unknown_key(HERE.parse().unwrap()).unwrap();
    test_app.sign_in("ann", HERE).unwrap();
    assert_eq!(test_app.throttle.lockouts(), []);
}

#[test]
fn an_account_has_32_known_addresses_the_least_recent_goes() {
    let test_app = TestApp::new(5);
    for number in 0..33 {
        test_app.sign_in("eve", &format!("198.51.100.{number}")).unwrap();
        test_app.forward(1);
    }
    let is_new = |number: &u8| !test_app.is_known_address("eve", &format!("198.51.100.{number}"));
    assert_eq!((0..33).filter(is_new).collect::<Vec<_>>(), [0]);
}

#[test]
fn a_quarter_of_the_memory_is_for_known_addresses_the_least_recent_goes() {
    let test_app = TestApp::with_room(5, 16);
    for number in 0..5 {
        test_app.sign_in(&format!("eve{number}"), HERE).unwrap();
        test_app.forward(1);
    }
    let is_new = |number: &u8| !test_app.is_known_address(&format!("eve{number}"), HERE);
    assert_eq!((0..5).filter(is_new).collect::<Vec<_>>(), [0]);
}

#[test]
fn lockouts_are_listed_and_cleared_by_account_by_address_or_both() {
    let lock = |test_app: &TestApp| {
        for (name, address) in [("ann", HERE), ("ann", THERE), ("ben", HERE), ("ben", THERE)] {
            test_app.fail_times(2, name, address);
        }
        test_app.sign_in("cid", HERE).unwrap();
        test_app.fail_times(2, "cid", HERE);
    };
    let locked_out = |test_app: &TestApp| {
        let names = ["ann", "ben", "cid"];
        let name = |lockout: &Lockout| {
            names.into_iter().find(|name| Some(test_app.throttle.account(name)) == lockout.account).unwrap_or("-")
        };
        let lockouts = test_app.throttle.lockouts();
        let mut shown: Vec<_> =
            lockouts.iter().map(|lockout| format!("{} {}", name(lockout), lockout.network.unwrap())).collect();
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
        assert_eq!(locked_out(&test_app).len(), 5);

        test_app.throttle.clear(username, address.and_then(Network::parse));

        assert_eq!(locked_out(&test_app), left, "{username:?} {address:?}");
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
fn unknown_keys_leave_half_of_the_memory_to_passwords() {
    let test_app = TestApp::with_room(1, 16);
    let address = |number: u8| std::net::IpAddr::from([198, 51, 100, number]);
    for number in 0..8 {
        (0..10).for_each(|_| test_app.throttle.count_unknown_key(address(number)).unwrap());
        assert!(test_app.throttle.count_unknown_key(address(number)).is_err(), "it waits");
    }

    let refused = test_app.throttle.count_unknown_key(address(8)).map_err(|error| retry_after(&error));
    assert_eq!((refused, test_app.fail("ann", HERE)), (Err(1), Ok(())));
}
