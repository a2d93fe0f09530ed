//! A backup of a running server is one moment of it.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use serde_json::{Value, json};

use crate::{
    backups::{
        back_up,
        container::{lines, of_kind},
        lodge, restored, secret_of, usernames,
    },
    harness::{Server, basic, password_of, wait_until},
};

/// Fewer than one address may have queued for hashing, on one core too.
const WRITERS: u64 = 4;
/// How many writes each does at least before the backup, and after it.
const WRITES: u64 = 24;

/// What there is of a writer: the names of the users it made, and of those with a configuration.
type Holdings = (BTreeSet<String>, BTreeSet<String>);

/// One write, from its beginning to its acknowledgement, as turns of one clock, and what there was of its writer then.
struct Write {
    begun: u64,
    acknowledged: u64,
    holdings: Holdings,
}

/// Makes users, gives each a configuration, and removes the one before it with what is theirs: one transaction each.
fn write(server: &Server, name: &str, clock: &AtomicU64, ends: &AtomicBool) -> Vec<Write> {
    let mut writes = Vec::new();
    let mut holdings = Holdings::default();
    let mut last = None;
    let mut write = |holdings: &Holdings, send: &dyn Fn()| {
        let begun = clock.fetch_add(1, Ordering::SeqCst);
        send();
        let acknowledged = clock.fetch_add(1, Ordering::SeqCst);
        writes.push(Write { begun, acknowledged, holdings: holdings.clone() });
    };
    for number in 0.. {
        if ends.load(Ordering::SeqCst) {
            break;
        }
        let username = format!("{name}-{number}");
        let id = std::cell::Cell::new(0);
        holdings.0.insert(username.clone());
        let body = json!({"username": username, "password": password_of(&username)});
        write(&holdings, &|| id.set(server.admin().post("/users", &body).expect(201).id()));
        holdings.1.insert(username.clone());
        let owner = server.with(&basic(&username, &password_of(&username)));
        let configuration = json!({"key": "theme", "value": "dark"});
        write(&holdings, &|| drop(owner.post("/users/me/configurations", &configuration).expect(201)));
        if let Some((id, username)) = last.replace((id.get(), username)) {
            holdings.0.remove(&username);
            holdings.1.remove(&username);
            write(&holdings, &|| drop(server.admin().delete(&format!("/users/{id}")).expect(204)));
        }
    }
    writes
}

/// What the backup has of that writer.
fn held(lines: &[Value], name: &str) -> Holdings {
    let prefix = format!("{name}-");
    let username = |user: &Value| user["username"].as_str().unwrap().to_owned();
    let users: Vec<_> = of_kind(lines, "user").into_iter().filter(|user| username(user).starts_with(&prefix)).collect();
    let owners: Vec<_> = of_kind(lines, "configuration").iter().map(|row| row["owner"].clone()).collect();
    let configured = users.iter().filter(|user| owners.contains(&user["id"]));
    (users.iter().map(username).collect(), configured.map(username).collect())
}

#[test]
fn a_backup_of_a_running_server_equals_one_moment_of_it() {
    let server = Server::start();
    let (clock, ends) = (AtomicU64::new(0), AtomicBool::new(false));
    let turns = |by: u64| clock.load(Ordering::SeqCst) + by;

    let (file, begun, ended, writes) = thread::scope(|scope| {
        let writer = |name: String| {
            scope.spawn({
                let (server, clock, ends) = (&server, &clock, &ends);
                move || (name.clone(), write(server, &name, clock, ends))
            })
        };
        let writers: Vec<_> = (0..WRITERS).map(|number| writer(format!("w{number}"))).collect();
        wait_until("enough was written before the backup", || turns(0) > WRITERS * WRITES * 2);
        let begun = clock.fetch_add(1, Ordering::SeqCst);
        let file = back_up(&server, "backup");
        let ended = clock.fetch_add(1, Ordering::SeqCst);
        wait_until("enough was written after the backup", || turns(0) > ended + WRITERS * WRITES * 2);
        ends.store(true, Ordering::SeqCst);
        (file, begun, ended, writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>())
    });

    let lines = lines(&file);
    let (mut last_in, mut first_out) = (0, u64::MAX);
    for (name, writes) in &writes {
        let held = held(&lines, name);
        let nothing = held == Holdings::default();
        let last = writes.iter().position(|write| write.holdings == held);
        assert!(last.is_some() || nothing, "{name} never had {held:?}");
        let (inside, outside) = writes.split_at(last.map_or(0, |last| last + 1));
        assert!(inside.iter().all(|write| write.begun < ended), "{name}: a write from after the backup is in it");
        assert!(outside.iter().all(|write| write.acknowledged > begun), "{name}: a write from before it is missing");
        last_in = inside.iter().map(|write| write.begun).fold(last_in, u64::max);
        first_out = outside.iter().map(|write| write.acknowledged).fold(first_out, u64::min);
    }
    assert!(last_in < first_out, "a write that is in it began after one that is missing was acknowledged");

    let mut copy = restored(&file, &secret_of(&server));
    let users = of_kind(&lines, "user");
    let mut names: Vec<_> = users.iter().map(|user| user["username"].as_str().unwrap().to_owned()).collect();
    names.sort();
    let mut theirs = usernames(&copy);
    theirs.sort();
    assert_eq!(theirs, names);
    copy.stop();
    let verified = lodge(&copy, &["verify"]).expect(0).out;
    let configurations = of_kind(&lines, "configuration").len();
    assert!(verified.contains(&format!("{} users, {configurations} configurations", users.len())), "{verified}");
}

#[test]
fn passwords_and_keys_are_valid_in_the_restored_server_and_sessions_are_not() {
    let (server, key) = crate::backups::restore::with_one_of_each();
    let session = server.session("ann");
    session.get("/users/me").expect(200);
    let shown = server.user("ann").get("/users/me/api_keys").expect(200).json();

    let file = back_up(&server, "backup");
    let mut copy = restored(&file, &secret_of(&server));

    copy.with(session.authorization.as_deref().unwrap()).get("/users/me").expect(401);
    copy.with(key.authorization.as_deref().unwrap()).get("/users/me").expect(200);
    let ann = copy.with(&basic("ann", &password_of("ann")));
    assert_eq!(ann.get("/users/me/api_keys").expect(200).json(), shown);
    let whole = &shown["api_keys"][0]["key"];
    assert_eq!(Some(whole.as_str().unwrap()), key.authorization.as_deref());
    assert_eq!(
        ann.get("/users/me/configurations").expect(200).json(),
        server.user("ann").get("/users/me/configurations").expect(200).json()
    );
    copy.stop();
    assert!(lodge(&copy, &["verify"]).expect(0).out.contains("1 API keys, 0 sessions"));
}
