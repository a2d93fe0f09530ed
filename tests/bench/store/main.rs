//! How fast the store is by itself, on disk: each figure beside what it is measured against, side by side in one run.
//!
//! `cargo bench --bench store` measures everything, `cargo bench --bench store -- writes growth` these sections alone.
//! Nothing else should be running.

#[path = "../common/mod.rs"]
#[expect(dead_code, reason = "some of it is for the benchmarks of the server")]
mod common;
mod growth;
mod people;
mod raw;
mod reads;
mod whole;
mod writes;

use common::{Section, measure};

const SECTIONS: [(&str, Section); 4] =
    [("writes", writes::measure), ("reads", reads::measure), ("growth", growth::measure), ("whole", whole::measure)];

fn main() {
    measure(&SECTIONS, "store.html");
}
