//! Reads while sign-ins keep every thread that hashes passwords busy.

use std::{path::Path, thread, time::Duration};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Plot, Report, median},
    },
    load::{Answers, Outcome, Requests, percentiles, press, run},
    seed::{Seeded, seed},
    server::{PASSWORD, Server},
};

const READERS: usize = 32;
const HAMMERS: usize = 64;
const SECONDS: u64 = 4;
const USERS: u32 = 1000;
/// How many wrong passwords a round may find out. Those of all rounds together must not make the address wait, or the
/// throttle would answer in place of the hashes.
const MAX_REFUSED: u32 = 4;
/// How long the flood lasts before and after the reads, and how long the benchmark waits for its leftovers.
const MARGIN: Duration = Duration::from_secs(1);

pub fn measure(directory: &Path, report: &mut Report) {
    let seeded = seed(directory, USERS);
    let server = Server::lodge(&seeded.data);
    let read = Requests::Get { path: "/api/v2/users/me".to_owned(), authorization: seeded.keys[0].clone() };
    let reads = || run(directory, server.address, &read, READERS, SECONDS);
    let sign_ins = &sign_ins(&seeded);
    let (mut alone, mut beside, mut floods) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(reads());
        thread::scope(|scope| {
            let seconds = SECONDS + 2 * MARGIN.as_secs();
            let flood = scope.spawn(move || press(directory, server.address, sign_ins, HAMMERS, seconds));
            thread::sleep(MARGIN);
            beside.push(reads());
            floods.push(flood.join().unwrap());
        });
        thread::sleep(MARGIN);
    }
    report.add(figure(&alone, &beside, &floods));
    report.plots.push(Plot {
        title: format!("Latency of GET /users/me at {READERS} connections while {HAMMERS} connections sign in"),
        across: "slowest part of requests",
        up: "µs",
        lines: vec![percentiles("reads alone", &alone), percentiles("reads beside the flood", &beside)],
    });
}

fn sign_ins(seeded: &Seeded) -> Requests {
    let usernames = (2..=seeded.users).map(|number| format!("user-{number}")).collect();
    Requests::SignIn { usernames, password: PASSWORD.to_owned(), max_refused: MAX_REFUSED }
}

fn figure(alone: &[Outcome], beside: &[Outcome], floods: &[Outcome]) -> Figure {
    let slowest = |outcomes: &[Outcome]| median(outcomes.iter().map(|outcome| outcome.p99 / 1e3).collect());
    let sum = |of: fn(&Answers) -> u64| floods.iter().map(|flood| of(&flood.answers)).sum::<u64>();
    let seconds = floods.iter().map(|flood| flood.microseconds / 1e6).sum::<f64>();
    Figure {
        name: format!("99th percentile of reads while {HAMMERS} connections sign in"),
        measured: format!(
            "in {seconds:.0} s of flood 201: {}, 401: {}, 503: {}, 429: {}, others: {}",
            sum(|answers| answers.created),
            sum(|answers| answers.unauthorized),
            sum(|answers| answers.unavailable),
            sum(|answers| answers.too_many),
            sum(|answers| answers.others),
        ),
        against: format!("reads alone: {:.2} ms", slowest(alone)),
        value: slowest(beside),
        unit: " ms",
        goal: Some(Goal::AtMost(20.0)),
    }
}
