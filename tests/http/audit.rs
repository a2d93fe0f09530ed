//! The audit log: who did what to whom, from where, with which credential, with what result.

mod beginnings;
mod operations;

use std::{
    fs,
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    process::Output,
    time::{Duration, Instant},
};

use rustix::process::geteuid;
use serde_json::{Value, json};

use crate::harness::{
    ADMIN_PASSWORD, Client, Server, ServerBuilder, basic, journal::damage_first_record, password_of, pause,
};

const TIMEOUT: Duration = Duration::from_mins(1);
const STRANGE_NAME: &str = "my secret typed into the wrong field";

/// All entries, as the server answers them.
#[track_caller]
pub fn entries(server: &Server) -> Vec<Value> {
    page(server, "?limit=1000").0
}

#[track_caller]
fn page(server: &Server, query: &str) -> (Vec<Value>, u64) {
    let reply = server.admin().get(&format!("/audit{query}")).expect(200).json();
    (reply["audit_entries"].as_array().unwrap().clone(), reply["count"].as_u64().unwrap())
}

/// The entries that are there once the work is done and were not before.
#[track_caller]
fn left_by(server: &Server, work: impl FnOnce()) -> Vec<Value> {
    let before = entries(server).len();
    work();
    entries(server).split_off(before)
}

fn lodge(server: &Server, arguments: &[&str]) -> Output {
    server.command(arguments).output().unwrap()
}

/// The entries that `lodge audit` prints.
#[track_caller]
pub fn printed(server: &Server, arguments: &[&str]) -> Vec<Value> {
    let output = lodge(server, &[&["audit"], arguments].concat());
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
pub fn is_whole(server: &Server) {
    let output = lodge(server, &["audit", "--verify"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
}

/// Waits until that many failures have been written; their entries.
#[track_caller]
pub fn refusals(server: &Server, wanted: u64) -> Vec<Value> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        let mut entries = entries(server);
        entries.retain(|entry| entry["result"] == "refused");
        if entries.iter().map(|entry| entry["count"].as_u64().unwrap()).sum::<u64>() >= wanted {
            return entries;
        }
        assert!(Instant::now() < deadline, "{entries:?}");
        pause();
    }
}

/// The entry without what is different each time.
fn lasting(mut entry: Value) -> Value {
    let members = entry.as_object_mut().unwrap();
    assert!(members.remove("id").is_some_and(|id| id.is_u64()));
    assert!(members.remove("at").is_some_and(|at| at.as_str().is_some_and(|at| at.ends_with('Z'))));
    entry
}

/// A server on which guesses need not wait.
fn untroubled() -> Server {
    ServerBuilder::new().variable("LODGE_THROTTLE_AFTER", "0").start()
}

/// A server with the administrator Ann, who has one configuration and one API key.
fn with_ann() -> (Server, u64) {
    let server = untroubled();
    let body = json!({"username": "ann", "password": password_of("ann"), "is_admin": true});
    let id = server.admin().post("/users", &body).expect(201).id();
    let ann = server.with(&basic("ann", &password_of("ann")));
    ann.post("/users/me/configurations", &json!({"key": "theme", "value": "dark"})).expect(201);
    ann.post("/users/me/api_keys", &json!({"api_key_scopes": [{"controller": "*", "action": "*"}]})).expect(201);
    (server, id)
}

fn session_of_ann(server: &Server) -> Client {
    let body = json!({"user": {"username": "ann", "password": password_of("ann")}});
    let reply = server.anonymous().post("/users/sign_in", &body).expect(201);
    server.with(reply.header("authorization").unwrap())
}

#[test]
fn an_entry_names_the_kind_of_credential() {
    let (server, id) = with_ann();
    let key = server.with(&basic("ann", &password_of("ann"))).get("/users/me/api_keys/1").json()["key"].clone();
    let session = session_of_ann(&server);
    let callers =
        [server.with(&basic("ann", &password_of("ann"))), server.with(key.as_str().unwrap()), session.clone()];

    let left = left_by(&server, || {
        for (number, caller) in callers.iter().enumerate() {
            caller.post("/users/me/configurations", &json!({"key": format!("k{number}")})).expect(201);
        }
        session.delete("/users/sign_out").expect(204);
    });

    let credentials: Vec<_> =
        left.iter().map(|entry| (&entry["credential"], &entry["api_key_id"], &entry["user_id"])).collect();
    let (nothing, id) = (Value::Null, json!(id));
    assert_eq!(credentials[..2], [(&json!("password"), &nothing, &id), (&json!("api_key"), &json!(1), &id)]);
    assert_eq!([&left[2]["credential"], &left[3]["credential"]], ["session", "session"]);
    assert_eq!(left[2]["session"], left[3]["target_name"]);
    assert_eq!(left[0].get("session"), None);
}

#[test]
fn what_is_refused_or_changes_nothing_leaves_no_entry() {
    let (server, id) = with_ann();
    let ann = session_of_ann(&server);
    let (ben, reader) = (server.user("ben"), server.key("ben", &["users / index"]));

    let left = left_by(&server, || {
        ann.post("/users", &json!({"username": "ann", "password": "x"})).expect(422);
        ann.delete(&format!("/users/{}", 2_147_483_647)).expect(404);
        ben.post("/users", &json!({})).expect(403);
        reader.post("/users/me/configurations", &json!({"key": "k"})).expect(403);
        ann.put(&format!("/users/{id}"), &json!({"username": "ann", "is_admin": true})).expect(200);
        ann.put("/users/me/configurations/theme", &json!({"value": "dark"})).expect(200);
        ann.put("/users/me/api_keys/1", &json!({})).expect(200);
        server.user("ben").delete("/users/sign_out").expect(204);
        server.with("Bearer a.b.c").get("/users/me").expect(401);
    });

    assert_eq!(left, Vec::<Value>::new());
}

#[test]
fn refused_credentials_are_recorded_once_with_their_number_and_without_what_was_typed() {
    let (server, id) = with_ann();
    let unknown_key = server.key("ben", &["* / *"]);
    server.user("ben").delete("/users/me/api_keys/2").expect(204);
    let sign_in = |name: &str, password: &str| {
        let body = json!({"user": {"username": name, "password": password}});
        server.anonymous().post("/users/sign_in", &body).expect(401);
    };

    for _ in 0..3 {
        sign_in("Ann", "not the password");
        sign_in(STRANGE_NAME, "not the password");
        sign_in(&STRANGE_NAME.to_uppercase(), "not the password");
        server.with(&basic("ann", "not the password")).get("/users/me").expect(401);
        server.with(&basic("nobody", "not the password")).get("/users/me").expect(401);
        unknown_key.get("/users/me").expect(401);
    }

    let refused = refusals(&server, 18);
    let sum = |wanted: Value| {
        let wanted = wanted.as_object().unwrap();
        let fits = |entry: &&Value| wanted.iter().all(|(name, value)| entry[name] == *value);
        refused.iter().filter(fits).map(|entry| entry["count"].as_u64().unwrap()).sum::<u64>()
    };
    assert!(refused.iter().all(|entry| entry["address"] == "127.0.0.1"), "{refused:?}");
    assert_eq!(
        sum(json!({"action": "sessions / create", "user_id": id, "username": "ann", "credential": "password"})),
        3
    );
    assert_eq!(sum(json!({"action": "credentials / check", "user_id": id, "credential": "password"})), 3);
    assert_eq!(sum(json!({"action": "credentials / check", "credential": "api_key"})), 3);
    let hashes: Vec<_> = refused.iter().filter_map(|entry| entry["username_hash"].as_str()).collect();
    let of_strange =
        refused.iter().find(|entry| entry["action"] == "sessions / create" && entry["username_hash"].is_string());
    let of_strange = of_strange.unwrap()["username_hash"].clone();
    assert_eq!(sum(json!({"action": "sessions / create", "username_hash": of_strange})), 6);
    assert!(hashes.iter().all(|hash| hash.len() == 32));
    assert!(hashes.iter().any(|hash| *hash != of_strange));
    assert!(!format!("{refused:?}").contains("typed into"), "{refused:?}");
}

#[test]
fn refusals_that_wait_are_written_when_the_server_stops() {
    let mut server = untroubled();
    let refuse = || drop(server.with(&basic("admin", "not the password")).get("/users/me").expect(401));
    (0..50).for_each(|_| refuse());

    assert!(server.stop().success());

    let entries = printed(&server, &["--action", "credentials / check"]);
    assert_eq!(entries.iter().map(|entry| entry["count"].as_u64().unwrap()).sum::<u64>(), 50);
    assert_eq!(printed(&server, &["--action", "server/*"]).len(), 2);
    is_whole(&server);
    server.start_again();
}

#[test]
fn no_action_writes_a_secret_to_the_log() {
    let (mut server, id) = with_ann();
    let ann = session_of_ann(&server);
    let token = ann.authorization.clone().unwrap();
    let key = ann.get("/users/me/api_keys/1").json()["key"].as_str().unwrap().to_owned();
    ann.put("/users/me/configurations/theme", &json!({"value": "the value of it"})).expect(200);
    ann.put(&format!("/users/{id}"), &json!({"password": "something else again"})).expect(200);
    for secret in [ADMIN_PASSWORD, &token, &key, STRANGE_NAME] {
        server.with(&basic(secret, secret)).get("/users/me").expect(401);
        let body = json!({"user": {"username": secret, "password": secret}});
        server.anonymous().post("/users/sign_in", &body).expect(401);
    }
    assert!(server.stop().success());

    let mut text = format!("{:?}", printed(&server, &[]));
    for file in server.files().into_iter().filter(|path| path.parent().is_some_and(|parent| parent.ends_with("audit")))
    {
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        text += &fs::read_to_string(file).unwrap();
    }
    assert_eq!(fs::metadata(server.data_dir().join("audit")).unwrap().permissions().mode() & 0o777, 0o700);
    assert!(text.contains("sessions / create") && text.contains("listen = 127.0.0.1:0"), "{text}");
    let secrets =
        [ADMIN_PASSWORD, &token["Bearer ".len()..], &key, STRANGE_NAME, "the value of it", "something else again"];
    for secret in secrets.into_iter().chain([password_of("ann").as_str(), "$scrypt$"]) {
        assert!(!text.contains(secret), "{secret}");
    }
}

#[test]
fn pages_and_filters_are_those_of_every_list() {
    let (server, ann) = with_ann();
    server.user("ben").post("/users/me/configurations", &json!({"key": "k"})).expect(201);
    let all = entries(&server);
    let ids: Vec<_> = all.iter().map(|entry| entry["id"].as_u64().unwrap()).collect();
    assert_eq!(ids, (1..=all.len() as u64).collect::<Vec<_>>());
    let count = all.len() as u64;

    assert_eq!(page(&server, "?limit=2&offset=1"), (all[1..3].to_vec(), count));
    assert_eq!(page(&server, "?limit=0"), (Vec::new(), count));
    assert_eq!(page(&server, "?offset=1000"), (Vec::new(), count));
    let actions = |query: &str| page(&server, query).0.iter().map(|entry| entry["action"].clone()).collect::<Vec<_>>();
    assert_eq!(actions("?user=BEN"), ["users / create", "configurations / create"]);
    assert_eq!(actions(&format!("?user={ann}")), ["users / create", "configurations / create", "api_keys / create"]);
    assert_eq!(actions("?user=ben&action=configurations+/+*"), ["configurations / create"]);
    assert_eq!(page(&server, "?user=ben&limit=1&offset=1"), (vec![all.last().unwrap().clone()], 2));
    assert_eq!(page(&server, &format!("?since={}", all[0]["at"].as_str().unwrap())).1, count);
    assert_eq!(page(&server, "?until=2001-01-01T00:00:00Z").1, 0);
    assert_eq!(page(&server, "?since=24h").1, count);
    assert_eq!(page(&server, "?since=2999-01-01T00:00:00Z").1, 0);
    for wrong in ["since=yesterday", "until=", "user=a&user=b", "limit=-1", "since=1h&since=1h"] {
        server.admin().get(&format!("/audit?{wrong}")).expect(400);
    }
}

#[test]
fn invisible_characters_of_a_name_are_escaped_in_the_output_of_the_command() {
    let (mut server, _) = with_ann();
    let hidden = "a\u{202e}b\u{200b}c\u{2028}d";
    server.user("ben").post("/users/me/configurations", &json!({"key": hidden})).expect(201);

    for is_running in [true, false] {
        if !is_running {
            assert!(server.stop().success());
        }
        let output = lodge(&server, &["audit", "--user", "ben"]);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(text.contains(r"a\u202eb\u200bc\u2028d"), "{text}");
        assert!(!text.contains(['\u{202e}', '\u{200b}', '\u{2028}']), "{text}");
        assert_eq!(printed(&server, &["--user", "ben"]).last().unwrap()["target_name"], hidden);
    }
    is_whole(&server);
}

#[test]
fn the_command_prints_the_same_of_a_running_and_of_a_stopped_server() {
    let (mut server, ann) = with_ann();
    // Ben's configuration has the number that Ann has among the users.
    assert_eq!(server.user("ben").post("/users/me/configurations", &json!({"key": "k"})).expect(201).id(), ann);
    let running = printed(&server, &[]);
    let numbers = |server: &Server| {
        let ann = ann.to_string();
        let filters =
            [["--user", "BEN"], ["--user", &ann], ["--action", "users/*"], ["--since", "24h"], ["--until", "24h"]];
        let never = [["--since", "2999-01-01T00:00:00Z"], ["--until", "2001-01-01T00:00:00Z"]];
        assert_eq!(never.map(|filter| printed(server, &filter).len()), [0, 0]);
        filters.map(|filter| printed(server, &filter).len())
    };
    assert_eq!(numbers(&server), [2, 3, 3, running.len(), 0]);
    is_whole(&server);
    let without_chain = |entry: &Value| {
        let mut entry = entry.clone();
        let members = entry.as_object_mut().unwrap();
        assert!(members.remove("mac").is_some() && !members.contains_key("link"));
        entry
    };
    assert_eq!(running.iter().map(without_chain).collect::<Vec<_>>(), entries(&server));

    assert!(server.stop().success());

    let stopped = printed(&server, &[]);
    assert_eq!(stopped[..running.len()], running);
    assert_eq!(stopped.last().unwrap()["action"], "server / stop");
    assert_eq!(numbers(&server), [2, 3, 3, stopped.len(), 0]);
    is_whole(&server);
    for wrong in [&["audit", "--since", "yesterday"][..], &["audit", "--verify", "--user", "ann"]] {
        assert_eq!(lodge(&server, wrong).status.code(), Some(2));
    }
}

#[test]
fn a_changed_file_is_detected_with_and_without_a_running_server() {
    let (mut server, _) = with_ann();
    is_whole(&server);
    let file = server.files().into_iter().find(|path| path.extension().is_some_and(|end| end == "jsonl")).unwrap();
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replacen("theme", "thyme", 1)).unwrap();

    for _ in 0..2 {
        let output = lodge(&server, &["audit", "--verify"]);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(stderr.contains("entry 4 in audit-000000000001.jsonl is not what was written"), "{stderr}");
        server.kill();
    }
}

#[test]
fn commands_leave_entries_by_the_system_user_and_the_log_stays_whole() {
    let (mut server, _) = with_ann();
    let file = server.directory().join("backup").to_str().unwrap().to_owned();
    let run = |server: &Server, arguments: &[&str]| assert!(lodge(server, arguments).status.success(), "{arguments:?}");
    run(&server, &["backup", "--with-secret", &file]);
    assert!(server.stop().success());
    run(&server, &["backup", &file]);
    is_whole(&server);
    run(&server, &["restore", &file]);
    is_whole(&server);
    run(&server, &["secret", "rotate", "--yes"]);
    is_whole(&server);
    server.start_again();
    is_whole(&server);

    let uid = geteuid().as_raw();
    let printed: Vec<_> = printed(&server, &[]);
    let by_command: Vec<_> = printed.iter().filter(|entry| entry["credential"] == "local").collect();
    let actions: Vec<_> = by_command.iter().map(|entry| entry["action"].as_str().unwrap()).collect();
    assert_eq!(
        actions,
        ["backups / create", "backups / create", "backups / restore", "secret / rotate", "secret / rotate"]
    );
    assert!(by_command.iter().all(|entry| entry["system_uid"] == uid), "{by_command:?}");
    assert_eq!(by_command[0]["details"], json!(["with the server's secret"]));
    assert_eq!(by_command[1].get("details"), None);
    assert_eq!(by_command[3]["target_name"], "ann", "her key ended");
    let others = ["audit / continue", "users / create"];
    for action in others {
        assert!(printed.iter().any(|entry| entry["action"] == action), "{action}");
    }
}

#[test]
fn locks_that_are_cleared_at_the_door_are_recorded_with_whose_they_were() {
    let (server, id) = with_ann();

    let left = left_by(&server, || {
        assert!(lodge(&server, &["locks", "clear", "--user", "Ann", "--address", "192.0.2.7"]).status.success());
    });

    let wanted = json!({"action": "locks / destroy", "result": "done", "credential": "local", "system_uid": geteuid().as_raw(),
        "target": "user", "target_id": id, "target_name": "ann", "details": ["address = 192.0.2.7"], "count": 1});
    assert_eq!(left.into_iter().map(lasting).collect::<Vec<_>>(), [wanted]);
}

#[test]
fn a_loss_that_is_accepted_is_recorded_and_the_log_continues() {
    let (mut server, _) = with_ann();
    let before = printed(&server, &[]).len();
    server.kill();
    damage_first_record(&server.data_dir().join("store"));
    // The address is taken, so that the server ends as soon as it has gone on.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    assert_eq!(lodge(&server, &["serve", "--accept-loss", "--listen", &listen]).status.code(), Some(14));

    server.start_again();

    let entries = printed(&server, &[]);
    assert!(entries.len() > before);
    assert!(entries.iter().any(|entry| entry["action"] == "store / accept_loss"), "{entries:?}");
    is_whole(&server);
}

#[test]
fn the_settings_of_each_start_are_recorded() {
    let mut server = ServerBuilder::new().flag("--session-lifetime", "7h").start();
    server.restart();

    let starts: Vec<_> = entries(&server).into_iter().filter(|entry| entry["action"] == "server / start").collect();

    assert_eq!(starts.len(), 2);
    for start in starts {
        let details = start["details"].as_array().unwrap();
        assert!(details.contains(&json!("session-lifetime = 7h")), "{details:?}");
        assert!(details.contains(&json!("scrypt-cost = 10")), "{details:?}");
        assert_eq!((&start["credential"], start.get("address")), (&json!("server"), None));
    }
}
