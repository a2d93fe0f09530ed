//! Whether small requests wait while a standard user's largest lists and bodies are worked on.

use std::{path::Path, thread, time::Duration};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Plot, Report, median, ratio},
    },
    load::{Outcome, Requests, percentiles, press, run},
    seed::{Seeded, seed},
    server::Server,
};

const READERS: usize = 8;
const HAMMERS: usize = 8;
const SECONDS: u64 = 4;
const USERS: u32 = 1000;
/// How long the load lasts before and after the reads, and how long what it left is waited for.
const MARGIN: Duration = Duration::from_secs(1);

/// As many API keys as a user may have, with as many scopes as a key may have.
const API_KEYS: u32 = 100;
const SCOPES: u32 = 256;
/// Just below the default of `--body-limit`.
const BODY_BYTES: usize = 480_000;
/// How much slower the slowest hundredth may become.
const MAX_RATIO: f64 = 3.0;

pub fn measure(directory: &Path, report: &mut Report) {
    let seeded = seed(directory, USERS);
    let server = Server::lodge(&seeded.data);
    give_large_list(&server, &seeded.keys[1]);
    for (name, load) in [("lists", lists(&seeded)), ("bodies", bodies(&seeded))] {
        measure_beside(directory, &server, &seeded, (name, &load), report);
    }
}

/// Measures the reads of one user alone and beside the load of another one.
fn measure_beside(
    directory: &Path,
    server: &Server,
    seeded: &Seeded,
    (name, load): (&str, &Requests),
    report: &mut Report,
) {
    let read = Requests::Get { path: "/api/v2/users/me".to_owned(), authorization: seeded.keys[0].clone() };
    let reads = || run(directory, server.address, &read, READERS, SECONDS);
    let (mut alone, mut beside) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        alone.push(reads());
        thread::scope(|scope| {
            let seconds = SECONDS + 2 * MARGIN.as_secs();
            scope.spawn(move || press(directory, server.address, load, HAMMERS, seconds));
            thread::sleep(MARGIN);
            beside.push(reads());
        });
        thread::sleep(MARGIN);
    }
    report.add(figure(name, &alone, &beside));
    report.plots.push(Plot {
        title: format!("Latency of GET /users/me at {READERS} connections while {HAMMERS} have large {name}"),
        across: "slowest part of requests",
        up: "µs",
        lines: vec![percentiles("reads alone", &alone), percentiles("reads beside the load", &beside)],
    });
}

fn figure(name: &str, alone: &[Outcome], beside: &[Outcome]) -> Figure {
    let slowest = |outcomes: &[Outcome]| outcomes.iter().map(|outcome| outcome.p99).collect::<Vec<_>>();
    let [alone, beside] = [alone, beside].map(slowest);
    Figure {
        name: format!("99th percentile of reads while {HAMMERS} connections have large {name}"),
        measured: format!("{:.2} ms", median(beside.clone()) / 1e3),
        against: format!("reads alone: {:.2} ms", median(alone.clone()) / 1e3),
        value: ratio(&beside, &alone),
        unit: "",
        goal: Some(Goal::AtMost(MAX_RATIO)),
    }
}

/// The list of all API keys of a user.
fn lists(seeded: &Seeded) -> Requests {
    Requests::Get { path: format!("/api/v2/users/me/api_keys?limit={API_KEYS}"), authorization: seeded.keys[1].clone() }
}

/// Bodies of many small members, which take longest to parse, and which no operation takes.
fn bodies(seeded: &Seeded) -> Requests {
    let member = |number: usize| format!("\"x{number:06}\":0,");
    let members: String = (0..BODY_BYTES / member(0).len()).map(member).collect();
    Requests::Post {
        path: "/api/v2/users/me/configurations".to_owned(),
        authorization: seeded.keys[1].clone(),
        body: format!("{{{members}\"key\":\"\"}}"),
    }
}

/// Gives that user, who has one API key, as many as there may be, each with as many scopes as there may be.
fn give_large_list(server: &Server, authorization: &str) {
    let scope = |number| format!(r#"{{"controller":"controller_{number}","action":"index"}}"#);
    let scopes: Vec<_> = (0..SCOPES).map(scope).collect();
    let body = format!(r#"{{"api_key_scopes":[{}]}}"#, scopes.join(","));
    for _ in 1..API_KEYS {
        let made = server.post("/api/v2/users/me/api_keys", authorization, &body);
        assert_eq!(made.0, 201, "{}", made.1.body);
    }
}
