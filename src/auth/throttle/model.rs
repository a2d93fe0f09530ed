//! Compares the throttle with a simple model of its rules.

use std::collections::HashMap;

use proptest::prelude::*;

use super::test_app::{Outcome, TestApp};

const AFTER: u64 = 2;
const NAMES: [&str; 2] = ["ann", "ben"];
const ADDRESSES: [&str; 3] = ["192.0.2.1", "192.0.2.2", "2001:db8::1"];
const WEEK: u64 = 7 * 24 * 3_600_000;

#[derive(Clone, Copy, Debug)]
enum Step {
    Fail(usize, usize),
    SignIn(usize, usize),
    GiveUp(usize, usize),
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let who = || (0..NAMES.len(), 0..ADDRESSES.len());
    prop_oneof![
        8 => who().prop_map(|(name, address)| Step::Fail(name, address)),
        1 => who().prop_map(|(name, address)| Step::SignIn(name, address)),
        1 => who().prop_map(|(name, address)| Step::GiveUp(name, address)),
        3 => (0..5000_u64).prop_map(Step::Wait),
        2 => (0..2_000_000_u64).prop_map(Step::Wait),
        1 => prop_oneof![Just(WEEK - 1), Just(WEEK), Just(3_600_000), Just(300_000)].prop_map(Step::Wait),
    ]
}

/// The times of failures; how many count follows from the last.
#[derive(Clone, Default)]
struct Failures(Vec<u64>);

impl Failures {
    /// How many failures count at that time: one less for each quiet period, and at most `max`.
    fn count(&self, max: u64, every: u64, now: u64) -> u64 {
        let (mut count, mut last) = (0_u64, 0);
        for moment in &self.0 {
            count = (count.saturating_sub((moment - last) / every) + 1).min(max);
            last = *moment;
        }
        count.saturating_sub((now - last) / every)
    }

    fn ends(&self, after: u64, waits: &[u64], every: u64) -> u64 {
        let Some(last) = self.0.last() else { return 0 };
        let max = after + waits.len() as u64 - 1;
        let count = self.count(max, every, *last);
        count.checked_sub(after).map_or(0, |over| last + 1000 * waits[usize::try_from(over).unwrap()])
    }
}

#[derive(Default)]
struct Model {
    now: u64,
    new: HashMap<(usize, usize), Failures>,
    known: HashMap<(usize, usize), (u64, Failures)>,
    addresses: HashMap<usize, Failures>,
    accounts: HashMap<usize, Failures>,
}

impl Model {
    const DOUBLING: [u64; 11] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900];

    fn is_known_address(&self, who: (usize, usize)) -> bool {
        self.known.get(&who).is_some_and(|(since, failures)| {
            self.now - since < WEEK || failures.count(AFTER + 10, 3_600_000, self.now) > 0
        })
    }

    fn admits(&self, who: (usize, usize)) -> Outcome {
        let ends = if self.is_known_address(who) {
            self.known[&who].1.ends(AFTER, &Self::DOUBLING, 3_600_000)
        } else {
            let of_pair = self.new.get(&who).map(|it| it.ends(AFTER, &Self::DOUBLING, 3_600_000));
            let of_address = self.addresses.get(&who.1).map(|it| it.ends(10 * AFTER, &Self::DOUBLING, 300_000));
            let of_account = self.accounts.get(&who.0).map(|it| it.ends(20 * AFTER, &[30], 300_000));
            of_pair.max(of_address).max(of_account).unwrap_or(0)
        };
        if self.now < ends { Err((ends - self.now).div_ceil(1000)) } else { Ok(()) }
    }

    fn fail(&mut self, who: (usize, usize)) {
        if self.is_known_address(who) {
            self.known.get_mut(&who).unwrap().1.0.push(self.now);
            return;
        }
        self.new.entry(who).or_default().0.push(self.now);
        self.addresses.entry(who.1).or_default().0.push(self.now);
        self.accounts.entry(who.0).or_default().0.push(self.now);
    }

    fn sign_in(&mut self, who: (usize, usize)) {
        if !self.is_known_address(who) {
            self.accounts.remove(&who.0);
        }
        self.new.remove(&who);
        self.known.insert(who, (self.now, Failures::default()));
    }
}

proptest! {
    #[test]
    fn the_throttle_follows_its_rules(steps in prop::collection::vec(step(), 1..400)) {
        let (test_app, mut model) = (TestApp::new(2), Model { now: 1_800_000_000_000, ..Model::default() });
        for step in steps {
            match step {
                Step::Wait(millis) => {
                    test_app.forward_millis(millis);
                    model.now += millis;
                }
                Step::Fail(name, address) => {
                    let expected = model.admits((name, address));
                    prop_assert_eq!(test_app.check(NAMES[name], ADDRESSES[address]), expected);
                    prop_assert_eq!(test_app.fail(NAMES[name], ADDRESSES[address]), expected);
                    if expected.is_ok() {
                        model.fail((name, address));
                    }
                }
                Step::SignIn(name, address) => {
                    let expected = model.admits((name, address));
                    prop_assert_eq!(test_app.sign_in(NAMES[name], ADDRESSES[address]), expected);
                    if expected.is_ok() {
                        model.sign_in((name, address));
                    }
                }
                Step::GiveUp(name, address) => {
                    let begun = test_app.begin(NAMES[name], ADDRESSES[address]).expect("nothing else is running");
                    prop_assert_eq!(begun.map(drop), model.admits((name, address)));
                }
            }
        }
    }
}
