//! Whether a user who has as much as may be had slows down another one's reads.

use std::{fs, path::Path};

use super::{
    common::{
        ROUNDS,
        report::{Figure, Goal, Report},
    },
    load::{Requests, run},
    seed::{Seeded, seed},
    server::Server,
};

const SECONDS: u64 = 1;
const USERS: u32 = 1000;
/// What a user may have by default.
const MAX_CONFIGURATIONS: u32 = 1000;
const MAX_API_KEYS: u32 = 100;

pub fn measure(directory: &Path, report: &mut Report) {
    let [few, many] = ["few", "many"].map(|name| {
        let directory = directory.join(name);
        fs::create_dir(&directory).unwrap();
        seed(&directory, USERS)
    });
    let [few_server, many_server] = [&few, &many].map(|seeded| Server::lodge(&seeded.data));
    // The next one who has anything: their rows are side by side.
    fill_up(&many_server, &many.keys[1]);
    let latency = |server: &Server, seeded| 1e6 / run(directory, server.address, &reads(seeded), 1, SECONDS).rate();
    let (mut beside_few, mut beside_many) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        beside_few.push(latency(&few_server, &few));
        beside_many.push(latency(&many_server, &many));
    }
    let name =
        format!("a user's reads, another user with {MAX_CONFIGURATIONS} configurations and {MAX_API_KEYS} API keys");
    let few = ("another user with one of each", beside_few.as_slice());
    report.add(Figure::compared(name, " µs", &beside_many, few).with(Goal::AtMost(1.3)));
}

/// Everything that the first user with anything may read of theirs.
fn reads(seeded: &Seeded) -> Requests {
    let paths = ["", "/configurations", "/configurations/theme", "/api_keys"];
    let targets = paths.map(|path| (format!("/api/v2/users/me{path}"), seeded.keys[0].clone()));
    Requests::GetAny(targets.to_vec())
}

/// Gives that user, who has one of each, as many configurations and API keys as the defaults allow.
fn fill_up(server: &Server, authorization: &str) {
    let create = |collection: &str, body: &str| {
        let made = server.post(&format!("/api/v2/users/me/{collection}"), authorization, body);
        assert_eq!(made.0, 201, "{}", made.1.body);
    };
    for number in 1..MAX_CONFIGURATIONS {
        create("configurations", &format!(r#"{{"key": "key-{number}", "value": "a value of usual length"}}"#));
    }
    for _ in 1..MAX_API_KEYS {
        create("api_keys", r#"{"api_key_scopes": [{"controller": "*", "action": "*"}]}"#);
    }
}
