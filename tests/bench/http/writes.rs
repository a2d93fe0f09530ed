//! Durable writes against the store's group commit alone, reads beside them, and password hashes.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use lodge::{
    auth::{Asker, Cost, Hasher},
    domain::{Configuration, ConfigurationKey, ConfigurationValue, Id, PresentedPassword},
    store::{Room, Sequence, Store, StoreError, Tables},
};

use super::{
    ROUNDS,
    load::{Requests, run},
    report::{Figure, Goal, Report, median},
    seed::{Seeded, seed},
    server::Server,
};

const WRITERS: usize = 64;
const READERS: usize = 32;
const SECONDS: u64 = 2;
const USERS: u32 = 1000;

pub fn measure(directory: &Path, report: &mut Report) {
    let seeded = seed(directory, USERS);
    let raw = raw_store(directory);
    let server = Server::lodge(&seeded.data);
    let (mut over_http, mut committed) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        over_http.push(
            run(directory, server.address, &creates(&seeded, &format!("alone-{round}")), WRITERS, SECONDS).rate(),
        );
        committed.push(commits(&raw));
    }
    let ratios = over_http.iter().zip(&committed).map(|(over_http, committed)| over_http / committed);
    report.add(Figure {
        name: format!("POST configurations, {WRITERS} connections"),
        measured: format!("{:.0} /s", median(over_http.clone())),
        against: format!("the store's group commit alone: {:.0} /s", median(committed.clone())),
        value: median(ratios.collect()),
        unit: "",
        goal: Some(Goal::AtLeast(0.5)),
    });
    beside(directory, &seeded, &server, report);
}

/// How much slower the slowest reads are while others write.
fn beside(directory: &Path, seeded: &Seeded, server: &Server, report: &mut Report) {
    let read = Requests::Get { path: "/api/v2/users/me".to_owned(), authorization: seeded.admin.clone() };
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        alone.push(run(directory, server.address, &read, READERS, SECONDS).p99);
        let writes = creates(seeded, &format!("beside-{round}"));
        beside.push(thread::scope(|scope| {
            // A second more, so that the reads are never without them.
            let writing = scope.spawn(|| run(directory, server.address, &writes, WRITERS, SECONDS + 1));
            let slowest = run(directory, server.address, &read, READERS, SECONDS).p99;
            writing.join().unwrap();
            slowest
        }));
    }
    let ratios = beside.iter().zip(&alone).map(|(beside, alone)| beside / alone);
    report.add(Figure {
        name: format!("99th percentile of reads while {WRITERS} connections create"),
        measured: format!("{:.0} µs", median(beside.clone())),
        against: format!("reads alone: {:.0} µs", median(alone.clone())),
        value: median(ratios.collect()),
        unit: "",
        goal: Some(Goal::AtMost(5.0)),
    });
}

/// New configurations of many users; `prefix` is what no other load has.
pub fn creates(seeded: &Seeded, prefix: &str) -> Requests {
    Requests::Create { authorizations: seeded.keys.clone(), prefix: prefix.to_owned() }
}

fn raw_store(directory: &Path) -> Store {
    let store = Store::open(&directory.join("raw"), 64 << 20, Room::NONE).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(store.initialise()).unwrap();
    store
}

/// How many of the same rows a second the store commits, as many at a time.
fn commits(store: &Store) -> f64 {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(SECONDS);
    let written: u32 = thread::scope(|scope| {
        let halves: Vec<_> = (0..2).map(|_| scope.spawn(|| write_at_once(store, WRITERS / 2, end))).collect();
        halves.into_iter().map(|half| half.join().unwrap()).sum()
    });
    f64::from(written) / begun.elapsed().as_secs_f64()
}

fn write_at_once(store: &Store, writers: usize, end: Instant) -> u32 {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let all = (0..writers).map(|_| write_until(store.clone(), end));
    runtime.block_on(futures_util::future::join_all(all)).into_iter().sum()
}

async fn write_until(store: Store, end: Instant) -> u32 {
    let mut written = 0;
    while Instant::now() < end {
        let put_next = |txn: &mut lodge::store::Txn<'_>| {
            let id: Id = txn.next_id(Sequence::Configurations)?;
            // As many owners as the other side has.
            let owner = Id::new(1 + id.get() % 100).unwrap();
            let key = ConfigurationKey::parse(&format!("alone-0-{id}")).unwrap();
            assert!(txn.configuration_by_key(owner, key.as_str())?.is_none());
            let value = ConfigurationValue::parse("a value of usual length").unwrap();
            txn.put(&Configuration { id, owner, key, value }).unwrap();
            Ok::<_, StoreError>(())
        };
        store.write(put_next).await.unwrap();
        written += 1;
    }
    written
}

/// How many hashes a second the hasher computes, against the bare crate.
pub fn hashes(_: &Path, report: &mut Report) {
    let threads = thread::available_parallelism().unwrap().get();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_hashes(threads));
        ours.push(hashers_hashes(threads));
    }
    let ratios = ours.iter().zip(&bare).map(|(ours, bare)| ours / bare);
    report.add(Figure {
        name: "password hashes, a core and second".to_owned(),
        measured: format!("{:.2}", median(ours.clone())),
        against: format!("the bare scrypt crate: {:.2}", median(bare.clone())),
        value: median(ratios.collect()),
        unit: "",
        goal: Some(Goal::AtLeast(0.95)),
    });
}

const HASHES_OF_A_THREAD: u32 = 3;

fn a_core_and_second(begun: Instant) -> f64 {
    f64::from(HASHES_OF_A_THREAD) / begun.elapsed().as_secs_f64()
}

fn bare_hashes(threads: usize) -> f64 {
    let begun = Instant::now();
    let computed = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..HASHES_OF_A_THREAD {
                    let mut output = [0; 32];
                    let params = scrypt::Params::new(17, 8, 1).unwrap();
                    scrypt::scrypt(b"a password", b"a salt of sorts.", &params, &mut output).unwrap();
                    computed.fetch_add(u32::from(output != [0; 32]), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(computed.into_inner(), HASHES_OF_A_THREAD * u32::try_from(threads).unwrap());
    a_core_and_second(begun)
}

fn hashers_hashes(threads: usize) -> f64 {
    let hasher = Arc::new(Hasher::start(Cost::RECOMMENDED, threads));
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let password = PresentedPassword::parse("a password").unwrap();
        let hash = || async { hasher.hash(Asker::server(), &password).await.map(|_| ()).unwrap() };
        let all = (0..threads * HASHES_OF_A_THREAD as usize).map(|_| hash());
        futures_util::future::join_all(all).await;
    });
    a_core_and_second(begun)
}
