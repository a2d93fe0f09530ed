//! Authenticated reads against a bare handler that gets the same requests and answers the same bytes.

use std::path::Path;

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Plot, Report, median, ratio},
    },
    load::{Outcome, Requests, percentiles, run},
    seed::{basic, seed},
    server::{PASSWORD, Server},
};

const CONNECTIONS: usize = 32;
const SECONDS: u64 = 2;
const USERS: u32 = 1000;

/// What the rounds of one server came to.
struct Measured {
    name: &'static str,
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
        ("GET /forward-auth, API key", "/api/v2/forward-auth?scope=users/show", seeded.keys[0].clone(), 0.85),
        ("GET /users/me, Basic", me, basic("admin"), 0.80),
        ("GET /users?limit=100", "/api/v2/users?limit=100", session, 0.5),
    ];
    for (name, path, authorization, goal) in ways {
        let (status, answer) = server.get(path, &authorization);
        assert_eq!(status, 200, "{name}");
        let bare = Server::bare(directory, &answer);
        let requests = Requests::Get { path: path.to_owned(), authorization };
        let (mut ours, mut bares) = (Measured::of(name), Measured::of("bare handler"));
        for _ in 0..ROUNDS {
            bares.take_round(directory, &bare, &requests);
            ours.take_round(directory, &server, &requests);
        }
        report.add(ours.figure(&bares, goal));
        let lines = [&ours, &bares].map(|measured| percentiles(measured.name, &measured.outcomes));
        let title = format!("Latency of {name} at {CONNECTIONS} connections");
        report.plots.push(Plot { title, across: "slowest part of requests", up: "µs", lines: lines.into() });
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

impl Measured {
    fn of(name: &'static str) -> Self {
        Self { name, outcomes: Vec::new(), microseconds_of_processor: Vec::new() }
    }

    fn take_round(&mut self, directory: &Path, server: &Server, requests: &Requests) {
        let before = server.processor_time();
        let outcome = run(directory, server.address, requests, CONNECTIONS, SECONDS);
        let took = server.processor_time().saturating_sub(before).as_secs_f64() * 1e6;
        #[expect(clippy::cast_precision_loss, reason = "a run has far fewer requests than 2^52")]
        self.microseconds_of_processor.push(took / outcome.requests as f64);
        self.outcomes.push(outcome);
    }

    fn rates(&self) -> Vec<f64> {
        self.outcomes.iter().map(|outcome| outcome.rate()).collect()
    }

    fn described(&self) -> String {
        let processor = median(self.microseconds_of_processor.clone());
        format!("{:.0} /s, {processor:.1} µs of processor", median(self.rates()))
    }

    fn figure(&self, bare: &Self, goal: f64) -> Figure {
        Figure {
            name: self.name.to_owned(),
            measured: self.described(),
            against: format!("bare handler: {}", bare.described()),
            value: ratio(&self.rates(), &bare.rates()),
            unit: "",
            goal: Some(Goal::AtLeast(goal)),
        }
    }
}
