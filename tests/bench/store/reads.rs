//! The record of a user against the bytes of the same row.

use std::{hint::black_box, path::Path};

use lodge::{
    domain::{Id, User},
    store::Tables,
};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Report},
    },
    people::{fill, microseconds, open, samples},
    raw::Raw,
};

const USERS: u32 = 100_000;

pub fn measure(directory: &Path, report: &mut Report) {
    let store = open(&fill(directory, USERS));
    let bare = Raw::open(&directory.join("raw"));
    bare.copy::<User>(&store);
    let samples = samples(USERS);
    let (mut ours, mut bytes) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bytes.push(microseconds(&samples, |id| {
            assert!(black_box(bare.tree.get(id.to_be_bytes())).unwrap().is_some());
        }));
        ours.push(microseconds(&samples, |id| {
            assert!(black_box(store.user(Id::new(id).unwrap())).unwrap().is_some());
        }));
    }
    let name = format!("user by id, {USERS} users");
    report.add(Figure::compared(name, " µs", &ours, ("sled's get of the row", &bytes)));
}
