//! Whether anything grows with the number of users that should not: latencies, the start, memory.

use std::{collections::BTreeMap, path::Path};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Line, Plot, Report, median},
    },
    load::{Requests, run},
    megabytes, neighbours,
    seed::{Seeded, seed},
    server::Server,
    writes::creates,
};

const SIZES: [u32; 4] = [1_000, 10_000, 100_000, 1_000_000];
const SECONDS: u64 = 1;
/// How many reads fill the cache before the memory is looked at.
const READS: u64 = 1_000_000;
/// How many users are asked for.
const SAMPLES: u32 = 1000;
/// How many pages of a list are asked for, so that none is answered again and again.
const PAGES: u32 = 200;
const PAGE: u32 = 100;

/// What is asked for at every size.
const KINDS: [&str; 6] =
    ["user by id", "configuration by key", "authentication by API key", "list, middle", "list, end", "create"];

/// Of each kind at each size, the median latency in µs of each round.
type Latencies = BTreeMap<(&'static str, u32), Vec<f64>>;

pub fn measure(directory: &Path, report: &mut Report) {
    neighbours::measure(directory, report);
    let empty = seed(directory, 1);
    let seeded: Vec<_> = SIZES.into_iter().map(|users| seed(directory, users)).collect();
    starts(&empty, &seeded[SIZES.len() - 1], report);
    let servers: Vec<_> = seeded.iter().map(|seeded| Server::lodge(&seeded.data)).collect();
    let mut latencies = Latencies::new();
    for round in 0..ROUNDS {
        for kind in KINDS {
            for (seeded, server) in seeded.iter().zip(&servers) {
                let outcome = run(directory, server.address, &requests(kind, seeded, round), 1, SECONDS);
                latencies.entry((kind, seeded.users)).or_default().push(1e6 / outcome.rate());
            }
        }
    }
    report_latencies(&latencies, report);
    memory(directory, &seeded, &servers, report);
}

fn requests(kind: &str, seeded: &Seeded, round: usize) -> Requests {
    let by_admin = |path: String| (path, seeded.admin.clone());
    let by_all = |path: &str| Requests::GetAny(seeded.keys.iter().map(|key| (path.to_owned(), key.clone())).collect());
    let list = |offset: u32| by_admin(format!("/api/v2/users?limit={PAGE}&offset={offset}"));
    let lists = |first, step| Requests::GetAny((0..PAGES).map(|page| list(first + page * step)).collect());
    match kind {
        "user by id" => {
            let step = (seeded.users / SAMPLES).max(1) as usize;
            let ids = (1..=seeded.users).step_by(step);
            Requests::GetAny(ids.map(|id| by_admin(format!("/api/v2/users/{id}"))).collect())
        }
        "configuration by key" => by_all("/api/v2/users/me/configurations/theme"),
        "authentication by API key" => by_all("/api/v2/users/me"),
        // All over the middle fifth.
        "list, middle" => lists(seeded.users / 5 * 2, seeded.users / 5 / PAGES),
        "list, end" => lists(seeded.users - PAGES - PAGE + 1, 1),
        _ => creates(seeded, &format!("growth-{round}")),
    }
}

fn report_latencies(latencies: &Latencies, report: &mut Report) {
    let (least, most) = (SIZES[0], SIZES[SIZES.len() - 1]);
    for kind in KINDS {
        let rounds = |users| &latencies[&(kind, users)];
        let (name, few) = (format!("{kind}, {most} users"), format!("{least} users"));
        let compared = Figure::compared(name, " µs", rounds(most), (&few, rounds(least)));
        report.add(compared.with(Goal::AtMost(1.3)));
    }
    let line = |value: fn(f64) -> f64| {
        move |kind: &&'static str| {
            let points = SIZES.map(|users| (f64::from(users), value(median(latencies[&(*kind, users)].clone()))));
            Line { name: (*kind).to_owned(), points: points.to_vec() }
        }
    };
    let plot = |title: &str, up, value| Plot {
        title: title.to_owned(),
        across: "users",
        up,
        lines: KINDS.iter().map(line(value)).collect(),
    };
    report.plots.push(plot("Latency against users, one connection", "µs", |latency| latency));
    report.plots.push(plot("Throughput against users, one connection", "requests a second", |latency| 1e6 / latency));
}

/// How long starts take, and what a server has in memory that was asked for nothing yet.
fn starts(empty: &Seeded, most: &Seeded, report: &mut Report) {
    let (mut empty_starts, mut starts, mut idle) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let mut server = Server::lodge(&empty.data);
        empty_starts.push(server.start.as_secs_f64() * 1e3);
        idle.push(megabytes(server.resident_bytes()));
        server.stop();
        let mut server = Server::lodge(&most.data);
        starts.push(server.start.as_secs_f64() * 1e3);
        server.stop();
    }
    let mut add = |name: &str, rounds, unit, goal| {
        report.add(Figure::alone(name.to_owned(), median(rounds), unit, Some(Goal::AtMost(goal))));
    };
    add("start until ready, initialised empty store", empty_starts, " ms", 50.0);
    add(&format!("start until ready, {} users", most.users), starts, " ms", 1500.0);
    add("resident memory, idle", idle, " MB", 20.0);
}

fn memory(directory: &Path, seeded: &[Seeded], servers: &[Server], report: &mut Report) {
    let mut points = Vec::new();
    for (seeded, server) in seeded.iter().zip(servers) {
        let mut read = 0;
        while read < READS {
            let ids = (0..SAMPLES * 20).map(|sample| 1 + sample.wrapping_mul(2_654_435_761) % seeded.users);
            let any = ids.map(|id| (format!("/api/v2/users/{id}"), seeded.admin.clone())).collect();
            read += run(directory, server.address, &Requests::GetAny(any), 32, 10).requests;
        }
        points.push((f64::from(seeded.users), megabytes(server.resident_bytes())));
    }
    let (users, most) = points[points.len() - 1];
    let name = format!("resident memory, {users} users after {READS} random reads");
    report.add(Figure::alone(name, most, " MB", Some(Goal::AtMost(300.0))));
    let lines = vec![Line { name: format!("after {READS} random reads"), points }];
    report.plots.push(Plot { title: "Memory against users".to_owned(), across: "users", up: "MB", lines });
}
