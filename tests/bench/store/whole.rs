//! What reads the whole store: a backup, which is read back, and verification, which reads indexes and lists too.

use std::{path::Path, time::Instant};

use lodge::{
    backup,
    clock::Clock,
    store::{integrity::Integrity, verify::verify},
};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Report, median},
    },
    people::{fill, open},
};

const USERS: u32 = 100_000;

pub fn measure(directory: &Path, report: &mut Report) {
    let store = open(&fill(directory, USERS));
    let rows = Integrity::stored(&store).unwrap().unwrap().rows_in_all();
    let file = directory.join("backup");
    let (mut backups, mut verifications) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let begun = Instant::now();
        let snapshot = store.snapshot().unwrap();
        let write = |out: &mut dyn std::io::Write| backup::write(&snapshot, None, Clock::system().now(), out).map(drop);
        let records = backup::save(&file, write).unwrap().records;
        backups.push(rate(records, begun));
        let begun = Instant::now();
        assert!(verify(&store, &mut |_| {}).unwrap().faults.is_empty());
        verifications.push(rate(rows, begun));
    }
    let mut add = |name: &str, rates, unit| {
        report.add(Figure::alone(format!("{name}, {USERS} users"), median(rates), unit, None));
    };
    add("backup, written and read back", backups, " records/s");
    add("verification", verifications, " rows/s");
}

#[expect(clippy::cast_precision_loss, reason = "far fewer rows than 2^52")]
fn rate(rows: u64, begun: Instant) -> f64 {
    rows as f64 / begun.elapsed().as_secs_f64()
}
