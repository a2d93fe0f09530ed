//! Keys sort as their parts do, and ranges hold what they name.

use std::ops::ControlFlow;

use lodge::store::{
    engine::{Changes, Engine, KeyRange, Tree},
    key,
    memory::Memory,
    sled::Sled,
};
use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use crate::values::{any_id, any_uuid};

/// Few different bytes, the last one among them, so that keys share beginnings.
fn any_key() -> impl Strategy<Value = Vec<u8>> {
    vec(prop_oneof![Just(0), Just(1), Just(0xfe), Just(0xff)], 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn keys_of_ids_sort_as_the_ids(one in any_id(), other in any_id()) {
        prop_assert_eq!(key::of_id(one).cmp(&key::of_id(other)), one.cmp(&other));
        prop_assert_eq!(key::id(&key::of_id(one)), Some(one));
    }

    #[test]
    fn owned_keys_sort_by_owner_and_then_by_id(one in (any_id(), any_id()), other in (any_id(), any_id())) {
        let (key, other_key) = (key::owned(one.0, one.1), key::owned(other.0, other.1));

        prop_assert_eq!(key.cmp(&other_key), one.cmp(&other));
        prop_assert_eq!(key::owner_and_id(&key), Some(one));
    }

    #[test]
    fn one_owners_keys_sort_by_id(owner in any_id(), one in any_id(), other in any_id()) {
        prop_assert_eq!(key::owned(owner, one).cmp(&key::owned(owner, other)), one.cmp(&other));
    }

    #[test]
    fn owned_texts_sort_by_owner_and_then_by_text(
        one in (any_id(), ".{0,4}"),
        other in (any_id(), ".{0,4}"),
        is_same_owner in any::<bool>(),
    ) {
        let other = if is_same_owner { (one.0, other.1) } else { other };

        let order = key::owned_text(one.0, &one.1).cmp(&key::owned_text(other.0, &other.1));

        prop_assert_eq!(order, one.cmp(&other));
    }

    #[test]
    fn owned_uuids_sort_by_owner_and_then_by_uuid(
        one in (any_id(), any_uuid()),
        other in (any_id(), any_uuid()),
        is_same_owner in any::<bool>(),
    ) {
        let other = if is_same_owner { (one.0, other.1) } else { other };

        prop_assert_eq!(key::owned_uuid(one.0, one.1).cmp(&key::owned_uuid(other.0, other.1)), one.cmp(&other));
    }

    #[test]
    fn every_key_of_an_owner_is_in_the_range_of_the_owner_and_no_other(
        owner in any_id(),
        other in any_id(),
        id in any_id(),
        text in ".{0,4}",
        uuid in any_uuid(),
    ) {
        let range = KeyRange::prefix(&key::of_id(owner));

        let keys = [key::owned(other, id), key::owned_text(other, &text), key::owned_uuid(other, uuid)];

        prop_assert_eq!(keys.map(|key| range.contains(&key)), [owner == other; 3]);
    }

    #[test]
    fn bytes_that_are_no_key_are_refused(bytes in vec(any::<u8>(), 0..12)) {
        prop_assert_eq!(key::id(&bytes).map(key::of_id).is_none_or(|key| key == bytes), true);
        let place = key::owner_and_id(&bytes);
        prop_assert_eq!(place.map(|(owner, id)| key::owned(owner, id)).is_none_or(|key| key == bytes), true);
    }

    #[test]
    fn a_prefix_range_contains_exactly_the_keys_with_the_prefix(prefix in any_key(), key in any_key()) {
        prop_assert_eq!(KeyRange::prefix(&prefix).contains(&key), key.starts_with(&prefix));
    }
}

#[test]
fn every_engine_scans_exactly_the_keys_of_a_range_in_their_order() {
    let directory = TempDir::new().unwrap();
    let sled = Sled::open(directory.path(), 1 << 20).unwrap();
    let memory = Memory::default();
    let keys = short_keys();
    let neighbours = [Tree::Users, Tree::Configurations, Tree::Meta];
    let changes: Changes =
        neighbours.iter().flat_map(|tree| keys.iter().map(|key| ((*tree, key.clone()), Some(key.clone())))).collect();
    sled.commit(&changes).unwrap();
    memory.commit(&changes).unwrap();

    for prefix in &keys {
        let range = KeyRange::prefix(prefix);
        let inside: Vec<_> = keys.iter().filter(|key| range.contains(key)).cloned().collect();
        assert_eq!(scanned(&sled, &range), inside);
        assert_eq!(scanned(&memory, &range), inside);
    }
}

/// All keys of at most three of the bytes 0, 1 and 255, sorted.
fn short_keys() -> Vec<Vec<u8>> {
    let mut keys = vec![Vec::new()];
    for length in 1..=3 {
        let shorter: Vec<_> = keys.iter().filter(|key: &&Vec<u8>| key.len() == length - 1).cloned().collect();
        keys.extend(shorter.iter().flat_map(|key| [0, 1, 255].map(|byte| [key.as_slice(), &[byte]].concat())));
    }
    keys.sort();
    keys
}

fn scanned(engine: &impl Engine, range: &KeyRange) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    engine
        .scan(Tree::Configurations, range, &mut |key, value| {
            assert_eq!(key, value);
            keys.push(key.to_vec());
            ControlFlow::Continue(())
        })
        .unwrap();
    keys
}
