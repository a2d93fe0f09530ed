//! Durable writes against sled by itself, and what the store's books cost them.

use std::{path::Path, sync::Arc, time::Duration};

use lodge::{
    audit::Chain,
    secret::RootSecret,
    store::{Store, sled::Sled},
};

use super::{
    common::{
        ROUNDS,
        commits::{commits, initialise, new_store},
        report::{Figure, Report, median, ratio},
    },
    people::CACHE_BYTES,
    raw::Raw,
};

const WRITERS: usize = 64;
const TIME: Duration = Duration::from_secs(1);

pub fn measure(directory: &Path, report: &mut Report) {
    beside_sled(directory, report);
    books(directory, report);
}

/// Configurations with their indexes, lists and digest, against nothing but their rows.
fn beside_sled(directory: &Path, report: &mut Report) {
    let store = new_store(&directory.join("store"));
    let mut bare = Raw::open(&directory.join("raw"));
    let (mut many, mut many_bare, mut one, mut one_bare) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        many_bare.push(bare.commits(64, TIME));
        many.push(commits(&store, WRITERS, TIME, None));
        one_bare.push(bare.commits(1, TIME));
        one.push(commits(&store, 1, TIME, None));
    }
    let mut add =
        |name: String, ours: &[f64], against: &str, bare: &[f64]| report.add(rates(name, ours, against, bare));
    add(format!("durable writes, {WRITERS} writers"), &many, "sled alone, batches of 64 rows", &many_bare);
    add("durable writes, one writer".to_owned(), &one, "sled alone, row by row", &one_bare);
}

/// The same writes without the digest, with it, and with an entry in the audit log too.
fn books(directory: &Path, report: &mut Report) {
    // A store that was never initialised has no key for a digest.
    let [plain, digested, audited] = ["plain", "digested", "audited"]
        .map(|name| Store::over(Arc::new(Sled::open(&directory.join(name), CACHE_BYTES).unwrap())));
    initialise(&digested);
    initialise(&audited);
    let chain = Chain::new(&RootSecret::random());
    let (mut without, mut with_digest, mut with_entry) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        without.push(commits(&plain, WRITERS, TIME, None));
        with_digest.push(commits(&digested, WRITERS, TIME, None));
        with_entry.push(commits(&audited, WRITERS, TIME, Some(&chain)));
    }
    let name = |what| format!("durable writes with {what}, {WRITERS} writers");
    report.add(rates(name("the digest"), &with_digest, "without", &without));
    report.add(rates(name("the digest and an entry in the audit log"), &with_entry, "without", &without));
}

fn rates(name: String, ours: &[f64], against: &str, others: &[f64]) -> Figure {
    Figure {
        name,
        measured: format!("{:.0} /s", median(ours.to_vec())),
        against: format!("{against}: {:.0} /s", median(others.to_vec())),
        value: ratio(ours, others),
        unit: "",
        goal: None,
    }
}
