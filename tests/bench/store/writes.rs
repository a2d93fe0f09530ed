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
        report::{Figure, Report},
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
    let name = format!("durable writes, {WRITERS} writers");
    report.add(Figure::compared(name, " /s", &many, ("sled alone, batches of 64 rows", &many_bare)));
    let name = "durable writes, one writer".to_owned();
    report.add(Figure::compared(name, " /s", &one, ("sled alone, row by row", &one_bare)));
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
    let without = ("without", without.as_slice());
    report.add(Figure::compared(name("the digest"), " /s", &with_digest, without));
    report.add(Figure::compared(name("the digest and an entry in the audit log"), " /s", &with_entry, without));
}
