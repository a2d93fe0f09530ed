//! Keys follow each other, whatever the clocks show and whenever the process begins anew.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::clock::{MonotonicTime, Timestamp};

const QUARTER: u64 = 15 * 60;
const MONTH: u64 = 30 * 24 * 3600;
/// When tests begin, in seconds on both clocks.
const BEGIN: u64 = 1_800_000_000;

/// An installation with its stored keys.
struct Scene {
    policy: AssertionPolicy,
    keyring: Keyring,
    stored: AssertionKeys,
}

fn policy(algorithm: SigningAlgorithm) -> AssertionPolicy {
    let audiences = vec![Audience::parse("files").unwrap()];
    AssertionPolicy { audiences, issuer: "lodge".to_owned(), algorithm, key_lifetime: Duration::from_secs(MONTH) }
}

fn keyring(secret: u8) -> Keyring {
    Keyring::new(&RootSecret::from_bytes([secret; 32]))
}

impl Scene {
    fn new() -> Self {
        let (policy, keyring) = (policy(SigningAlgorithm::Es256), keyring(7));
        Self { policy, keyring, stored: AssertionKeys::default() }
    }

    /// What is done every minute, at that time; returns how many keys were lost.
    fn tick_at(&mut self, wall: u64, monotonic: u64) -> usize {
        let now = Reading { wall: Timestamp::from_secs(wall), monotonic: MonotonicTime::from_millis(monotonic * 1000) };
        let (keys, step) = self.keyring.open(self.stored.clone(), &self.policy, now);
        self.keyring.publish(keys);
        let Some(Step { keys, lost }) = step else { return 0 };
        self.stored = keys.to_stored();
        self.keyring.publish(keys);
        lost
    }

    /// The same with both clocks so many seconds after the beginning; returns the ids of the published keys by their places.
    fn tick(&mut self, after: u64) -> HashMap<&'static str, String> {
        self.tick_at(BEGIN + after, BEGIN + after);
        self.published()
    }

    fn published(&self) -> HashMap<&'static str, String> {
        self.keyring.published().iter().map(|(place, key)| (place, key.id().to_owned())).collect()
    }

    fn signing(&self) -> String {
        self.keyring.published().signing().unwrap().id().to_owned()
    }

    /// Ends the process and begins another one.
    fn restart(&mut self) {
        self.keyring = keyring(7);
    }
}

#[test]
fn a_key_is_published_before_it_signs_and_after_it_has_signed() {
    let mut scene = Scene::new();
    let first = scene.tick(0);
    assert_eq!(first.keys().collect::<Vec<_>>(), [&"signing"]);
    assert_eq!(scene.tick(MONTH - 1), first);

    let announced = scene.tick(MONTH);
    assert_eq!((announced.len(), &announced["signing"]), (2, &first["signing"]));
    assert_eq!(scene.tick(MONTH + QUARTER - 1), announced);

    let changed = scene.tick(MONTH + QUARTER);
    let expected = [("signing", announced["next"].clone()), ("former", first["signing"].clone())];
    assert_eq!(changed, expected.into());
    assert_eq!(scene.tick(MONTH + 2 * QUARTER - 1), changed);
    assert_eq!(scene.tick(MONTH + 2 * QUARTER), [("signing", announced["next"].clone())].into());
}

#[test]
fn a_process_that_begins_anew_keeps_the_keys_and_publishes_the_next_one_long_enough() {
    let mut scene = Scene::new();
    scene.tick(0);
    let announced = scene.tick(MONTH);

    scene.restart();
    assert_eq!(scene.tick(MONTH + QUARTER), announced);
    assert_eq!(scene.tick(MONTH + 2 * QUARTER - 1), announced);
    let changed = scene.tick(MONTH + 2 * QUARTER);

    assert_eq!((&changed["signing"], &changed["former"]), (&announced["next"], &announced["signing"]));
}

#[test]
fn a_clock_that_was_ahead_lets_no_key_sign_for_ever() {
    let mut scene = Scene::new();
    scene.tick_at(BEGIN + 70 * 365 * 24 * 3600, 0);
    let first = scene.signing();

    scene.restart();
    scene.tick_at(BEGIN, 0);
    scene.tick_at(BEGIN + QUARTER, QUARTER);

    assert_ne!(scene.signing(), first);
    scene.tick_at(BEGIN + 2 * QUARTER, 2 * QUARTER);
    assert_eq!(scene.published().len(), 1, "once");
}

#[test]
fn keys_of_another_secret_are_replaced_at_once() {
    let mut scene = Scene::new();
    scene.tick(0);
    let announced = scene.tick(MONTH);

    scene.keyring = keyring(8);

    assert_eq!(scene.tick_at(BEGIN + MONTH, 0), 2);
    let replaced = scene.published();
    assert_eq!(replaced.keys().collect::<Vec<_>>(), [&"signing"]);
    assert!(!announced.values().any(|id| *id == replaced["signing"]));
    assert_eq!(scene.tick_at(BEGIN + MONTH + 1, 1), 0);
    assert_eq!(scene.published(), replaced);
}

#[test]
fn a_stored_key_that_is_damaged_is_replaced_and_the_others_stay() {
    let mut scene = Scene::new();
    scene.tick(0);
    let announced = scene.tick(MONTH);

    scene.stored.next.as_mut().unwrap().sealed[20] ^= 1;

    assert_eq!(scene.tick_at(BEGIN + MONTH, BEGIN + MONTH), 1);
    let replaced = scene.published();
    assert_eq!((replaced.len(), &replaced["signing"]), (2, &announced["signing"]));
    assert_ne!(replaced["next"], announced["next"]);
}

#[test]
fn another_algorithm_begins_with_the_next_key() {
    let mut scene = Scene::new();
    scene.tick(0);
    scene.policy = policy(SigningAlgorithm::EdDsa);
    let algorithms =
        |scene: &Scene| scene.keyring.published().iter().map(|(_, key)| key.algorithm()).collect::<Vec<_>>();

    scene.tick(60);
    assert_eq!(algorithms(&scene), [SigningAlgorithm::Es256, SigningAlgorithm::EdDsa]);
    scene.tick(60 + QUARTER);
    assert_eq!(algorithms(&scene), [SigningAlgorithm::EdDsa, SigningAlgorithm::Es256]);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Each tick goes so many seconds forward on the monotonic clock, while the wall clock shows anything.
    #[test]
    fn nothing_signs_that_was_not_published_long_enough(ticks in vec((0..2 * QUARTER, 0..4 * MONTH), 1..40)) {
        let mut scene = Scene::new();
        scene.tick_at(BEGIN, 0);
        let (mut monotonic, mut signing) = (0, scene.signing());
        let mut first_seen = HashMap::from([(signing.clone(), 0)]);
        let mut stopped = HashMap::new();

        for (passed, wall) in ticks {
            monotonic += passed;
            scene.tick_at(BEGIN + wall, monotonic);
            let published = scene.published();
            prop_assert!(published.len() <= 3);
            for id in published.values() {
                first_seen.entry(id.clone()).or_insert(monotonic);
            }
            let now_signing = scene.signing();
            if now_signing != signing {
                prop_assert!(monotonic - first_seen[&now_signing] >= QUARTER);
                stopped.insert(std::mem::replace(&mut signing, now_signing), monotonic);
            }
            let is_published = |id: &String| published.values().any(|other| other == id);
            prop_assert!(stopped.iter().all(|(id, since)| is_published(id) || monotonic - since >= QUARTER));
        }
    }
}
