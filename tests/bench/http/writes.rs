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
    audit::Chain,
    auth::{Cost, HashRequester, Hasher},
    domain::PresentedPassword,
    secret::RootSecret,
};

use super::{
    common::{
        ROUNDS,
        commits::{commits, new_store},
        report::{Figure, Goal, Report},
    },
    load::{Requests, run},
    seed::{Seeded, seed},
    server::Server,
};

const WRITERS: usize = 64;
const READERS: usize = 32;
const SECONDS: u64 = 2;
const USERS: u32 = 1000;

pub fn measure(directory: &Path, report: &mut Report) {
    let seeded = seed(directory, USERS);
    let raw = new_store(&directory.join("raw"));
    let server = Server::lodge(&seeded.data);
    let (chain, time) = (Chain::new(&RootSecret::random()), Duration::from_secs(SECONDS));
    let (mut over_http, mut same_rows, mut configurations) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        over_http.push(
            run(directory, server.address, &creates(&seeded, &format!("alone-{round}")), WRITERS, SECONDS).rate(),
        );
        same_rows.push(commits(&raw, WRITERS, time, Some(&chain)));
        configurations.push(commits(&raw, WRITERS, time, None));
    }
    let goal = Some(Goal::AtLeast(0.5));
    let others = [
        ("the store alone, the same rows with their entries in the audit log", &same_rows, goal),
        ("the store alone, without these entries", &configurations, None),
    ];
    for (against, committed, goal) in others {
        let name = format!("POST configurations, {WRITERS} connections");
        report.add(Figure { goal, ..Figure::compared(name, " /s", &over_http, (against, committed)) });
    }
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
    let name = format!("99th percentile of reads while {WRITERS} connections create");
    report.add(Figure::compared(name, " µs", &beside, ("reads alone", &alone)).with(Goal::AtMost(5.0)));
}

/// New configurations of many users; `prefix` is what no other load has.
pub fn creates(seeded: &Seeded, prefix: &str) -> Requests {
    Requests::Create { authorizations: seeded.keys.clone(), prefix: prefix.to_owned() }
}

/// How many hashes a second the hasher computes, against the bare crate.
pub fn hashes(_: &Path, report: &mut Report) {
    let threads = thread::available_parallelism().unwrap().get();
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        bare.push(bare_hashes(threads));
        ours.push(hashers_hashes(threads));
    }
    let name = "password hashes, a core and second".to_owned();
    report.add(Figure::compared(name, "", &ours, ("the bare scrypt crate", &bare)).with(Goal::AtLeast(0.95)));
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async {
        let password = PresentedPassword::parse("a password").unwrap();
        let hash = || async { hasher.hash(HashRequester::server(), &password).await.map(|_| ()).unwrap() };
        let all = (0..threads * HASHES_OF_A_THREAD as usize).map(|_| hash());
        futures_util::future::join_all(all).await;
    });
    a_core_and_second(begun)
}
