//! Whether look-ups, pages and opening take longer the more users there are.

use std::{collections::BTreeMap, hint::black_box, path::Path, time::Instant};

use lodge::{
    domain::{Id, Page},
    store::{Store, Tables},
};

use super::{
    common::{
        ROUNDS,
        population::KEY,
        report::{Figure, Goal, Line, Plot, Report, median},
    },
    people::{digest_of, fill, microseconds, open, samples},
};

const SIZES: [u32; 3] = [1_000, 100_000, 1_000_000];

/// What is asked for at every size.
const KINDS: [&str; 4] = ["user by id", "configuration by key", "API key by digest", "page of 100 users"];

/// Of each kind at each size, what each round has measured.
type Rounds = BTreeMap<(&'static str, u32), Vec<f64>>;

const OPEN: &str = "open";

pub fn measure(directory: &Path, report: &mut Report) {
    let paths = SIZES.map(|users| fill(directory, users));
    let mut rounds = Rounds::new();
    for _ in 0..ROUNDS {
        for (path, users) in paths.iter().zip(SIZES) {
            let begun = Instant::now();
            let store = open(path);
            rounds.entry((OPEN, users)).or_default().push(begun.elapsed().as_secs_f64() * 1e3);
            drop(store);
        }
    }
    let stores = paths.map(|path| open(&path));
    for _ in 0..ROUNDS {
        for kind in KINDS {
            for (store, users) in stores.iter().zip(SIZES) {
                rounds.entry((kind, users)).or_default().push(latency(kind, store, users));
            }
        }
    }
    report_latencies(&rounds, report);
    report_openings(&rounds, report);
}

/// How long it takes to ask for one of that kind, in µs.
fn latency(kind: &str, store: &Store, users: u32) -> f64 {
    let owners = samples(users);
    let id = |id| Id::new(id).unwrap();
    match kind {
        "user by id" => microseconds(&owners, |owner| assert!(black_box(store.user(id(owner))).unwrap().is_some())),
        "configuration by key" => microseconds(&owners, |owner| {
            assert!(black_box(store.configuration_by_key(id(owner), KEY)).unwrap().is_some());
        }),
        "API key by digest" => {
            let digests: Vec<_> = owners.into_iter().map(digest_of).collect();
            microseconds(&digests, |digest| assert!(black_box(store.api_key_by_digest(digest)).unwrap().is_some()))
        }
        _ => microseconds(&owners, |last| {
            let page = Page { limit: Page::DEFAULT, offset: u64::from(last).saturating_sub(Page::DEFAULT as u64) };
            assert!(!black_box(store.users(page)).unwrap().records.is_empty());
        }),
    }
}

fn report_latencies(rounds: &Rounds, report: &mut Report) {
    let least = SIZES[0];
    for kind in KINDS {
        let of = |users| &rounds[&(kind, users)];
        for users in &SIZES[1..] {
            let (name, few) = (format!("{kind}, {users} users"), format!("{least} users"));
            let compared = Figure::compared(name, " µs", of(*users), (&few, of(least)));
            report.add(compared.with(Goal::AtMost(1.3)));
        }
    }
    let line = |kind: &str| {
        let of = |users| median(rounds.iter().find(|((of, at), _)| *of == kind && *at == users).unwrap().1.clone());
        Line { name: kind.to_owned(), points: SIZES.map(|users| (f64::from(users), of(users))).to_vec() }
    };
    report.plots.push(Plot {
        title: "Latency against users, one thread".to_owned(),
        across: "users",
        up: "µs",
        lines: KINDS.into_iter().map(line).collect(),
    });
}

fn report_openings(rounds: &Rounds, report: &mut Report) {
    for users in [SIZES[0], SIZES[SIZES.len() - 1]] {
        let name = format!("open the store, {users} users");
        report.add(Figure::alone(name, median(rounds[&(OPEN, users)].clone()), " ms", None));
    }
}
