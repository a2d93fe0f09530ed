//! Authenticated reads against a bare handler that answers the same bytes.

use std::path::Path;

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Plot, Report, median},
    },
    load::{Outcome, Requests, percentiles, run},
    seed::{basic, seed},
    server::{PASSWORD, Server},
};

const CONNECTIONS: usize = 32;
const SECONDS: u64 = 2;
const USERS: u32 = 1000;

/// A way to ask, and what its throughput is at least, as a part of the bare server's.
struct Way {
    name: &'static str,
    requests: Requests,
    goal: f64,
    outcomes: Vec<Outcome>,
    microseconds_of_processor: Vec<f64>,
}

pub fn measure(directory: &Path, report: &mut Report) {
    let seeded = seed(directory, USERS);
    let server = Server::lodge(&seeded.data);
    let session = session(&server);
    let me = "/api/v2/users/me";
    let ways = [
        ("GET /users/me, API key", me, seeded.keys[0].clone(), 0.85),
        ("GET /users/me, JWT", me, session.clone(), 0.85),
        ("GET /users/me, Basic", me, basic("admin"), 0.80),
        ("GET /users?limit=100", "/api/v2/users?limit=100", session.clone(), 0.5),
    ];
    for group in [&ways[..3], &ways[3..]] {
        let answer = server.get(group[0].1, &group[0].2).1;
        let bare = Server::bare(directory, &answer);
        let mut bare_way = way("bare handler", group[0].1, String::new(), 1.0);
        let mut ways: Vec<_> =
            group.iter().map(|(name, path, who, goal)| way(name, path, who.clone(), *goal)).collect();
        for way in &ways {
            assert_eq!(server.get(path_of(&way.requests).0, path_of(&way.requests).1).0, 200, "{}", way.name);
        }
        for _ in 0..ROUNDS {
            bare_way.take_round(directory, &bare);
            for way in &mut ways {
                way.take_round(directory, &server);
            }
        }
        for way in &ways {
            report.add(way.figure(&bare_way));
        }
        let lines = ways.iter().chain([&bare_way]).map(|way| percentiles(way.name, &way.outcomes)).collect();
        let title = format!("Latency of {} at {CONNECTIONS} connections", group[0].1);
        report.plots.push(Plot { title, across: "slowest part of requests", up: "µs", lines });
    }
}

/// `Authorization` of the administrator by a session.
pub fn session(server: &Server) -> String {
    let body = format!(r#"{{"user": {{"username": "admin", "password": "{PASSWORD}"}}}}"#);
    let (status, answer) = server.post("/api/v2/users/sign_in", "", &body);
    assert_eq!(status, 201, "{}", answer.body);
    let token = answer.headers.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("authorization"));
    token.unwrap().1
}

fn way(name: &'static str, path: &str, authorization: String, goal: f64) -> Way {
    let requests = Requests::Get { path: path.to_owned(), authorization };
    Way { name, requests, goal, outcomes: Vec::new(), microseconds_of_processor: Vec::new() }
}

fn path_of(requests: &Requests) -> (&str, &str) {
    match requests {
        Requests::Get { path, authorization } => (path, authorization),
        Requests::GetAny(_) | Requests::Create { .. } | Requests::SignIn { .. } => {
            unreachable!("the ways of this section are plain")
        }
    }
}

impl Way {
    fn take_round(&mut self, directory: &Path, server: &Server) {
        let before = server.processor_time();
        let outcome = run(directory, server.address, &self.requests, CONNECTIONS, SECONDS);
        let took = server.processor_time().saturating_sub(before).as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer requests than 2^52")]
        self.microseconds_of_processor.push(took / outcome.requests as f64);
        self.outcomes.push(outcome);
    }

    fn median(&self, of: fn(&Outcome) -> f64) -> f64 {
        median(self.outcomes.iter().map(of).collect())
    }

    fn described(&self) -> String {
        let processor = median(self.microseconds_of_processor.clone());
        format!("{:.0} /s, {processor:.1} µs of processor", self.median(|outcome| outcome.rate()))
    }

    fn figure(&self, bare: &Self) -> Figure {
        let ratios = self.outcomes.iter().zip(&bare.outcomes).map(|(mine, bare)| mine.rate() / bare.rate());
        Figure {
            name: self.name.to_owned(),
            measured: self.described(),
            against: format!("bare handler: {}", bare.described()),
            value: median(ratios.collect()),
            unit: "",
            goal: Some(Goal::AtLeast(self.goal)),
        }
    }
}
