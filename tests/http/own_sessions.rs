//! Sessions that are listed and ended one by one, by their user and by administrators.

use serde_json::{Value, json};

use crate::harness::{Client, Request, Server};

const OWN: &str = "/users/me/sessions";

#[track_caller]
fn sessions(client: &Client, path: &str) -> Vec<Value> {
    let listed = client.get(path).expect(200).json();
    let sessions = listed["sessions"].as_array().unwrap().clone();
    assert_eq!(listed["count"], sessions.len());
    sessions
}

/// Which of the sessions is the one that the request came with, in the order of the list.
#[track_caller]
fn current(client: &Client) -> Vec<bool> {
    sessions(client, OWN).iter().map(|session| session["current"].as_bool().unwrap()).collect()
}

fn path_of(session: &Value) -> String {
    format!("{OWN}/{}", session["id"].as_str().unwrap())
}

#[test]
fn a_user_sees_each_session_and_which_one_is_current() {
    let server = Server::start();
    let (phone, laptop) = (server.session("ann"), server.session("ann"));
    server.session("ben");

    assert_eq!(current(&phone), [true, false]);
    assert_eq!(current(&laptop), [false, true]);
    for client in [server.user("ann"), server.key("ann", &["own_sessions / index"])] {
        assert_eq!(current(&client), [false, false]);
    }
    let [first, second] = <[Value; 2]>::try_from(sessions(&phone, OWN)).unwrap();
    assert!(first["created_at"].as_str() <= second["created_at"].as_str());
    assert!(first["created_at"].as_str() < first["expires_at"].as_str());
    assert!(first["last_seen_at"].as_str().unwrap().ends_with(":00.000Z"), "{first}");
    assert_eq!([&first["address"], &second["address"]], ["127.0.0.1"; 2]);
}

#[test]
fn a_session_that_is_ended_by_its_id_is_refused_and_others_go_on() {
    let server = Server::start();
    let (phone, laptop) = (server.session("ann"), server.session("ann"));
    let lost = sessions(&laptop, OWN).remove(0);

    laptop.delete(&path_of(&lost)).expect(204);

    phone.get("/users/me").expect(401);
    laptop.get("/users/me").expect(200);
    laptop.delete(&path_of(&lost)).expect(404);
}

#[test]
fn all_sessions_or_all_others_end_at_once() {
    let server = Server::start();
    let [phone, laptop, of_ben] = ["ann", "ann", "ben"].map(|username| server.session(username));

    laptop.delete(&format!("{OWN}?except=current")).expect(204);
    phone.get("/users/me").expect(401);
    assert_eq!(current(&laptop), [true]);

    laptop.delete(OWN).expect(204);
    laptop.get("/users/me").expect(401);
    of_ben.get("/users/me").expect(200);
}

#[test]
fn a_caller_without_a_session_has_no_current_one() {
    let server = Server::start();
    let session = server.session("ann");

    server.user("ann").delete(&format!("{OWN}?except=current")).expect(204);

    session.get("/users/me").expect(401);
}

#[test]
fn a_mistyped_parameter_ends_nothing() {
    let server = Server::start();
    let session = server.session("ann");
    let this = path_of(&sessions(&session, OWN)[0]);

    for query in ["?excpt=current", "?except=", "?except=all", "?except=current&except=current", "?except=current&x=1"]
    {
        session.delete(&format!("{OWN}{query}")).expect(400);
    }
    session.delete(&format!("{this}?except=current")).expect(400);
    session.get(&format!("{OWN}?limt=1")).expect(400);
    session.get(&format!("{OWN}?limit=x")).expect(400);

    assert_eq!(current(&session), [true]);
}

#[test]
fn a_list_of_sessions_has_pages() {
    let server = Server::start();
    let session = (0..3).map(|_| server.session("ann")).last().unwrap();
    let all = sessions(&session, OWN);

    let page = session.get(&format!("{OWN}?limit=1&offset=1")).expect(200).json();

    assert_eq!(page, json!({"sessions": [all[1]], "count": 3}));
    assert_eq!(session.get(&format!("{OWN}?offset=9")).expect(200).json(), json!({"sessions": [], "count": 3}));
}

#[test]
fn only_the_very_id_of_a_session_of_ones_own_is_one() {
    let server = Server::start();
    let (ann, ben) = (server.session("ann"), server.session("ben"));
    let of_ben = sessions(&ben, OWN)[0]["id"].as_str().unwrap().to_owned();
    let simple = of_ben.replace('-', "");

    for id in [of_ben.as_str(), &simple, "1", "x", "%00", "{00000000-0000-0000-0000-000000000000}"] {
        ann.delete(&format!("{OWN}/{id}")).expect(404);
    }
    ben.delete(&format!("{OWN}/{simple}")).expect(404);
    ben.delete(&format!("{OWN}/{}", of_ben.to_uppercase())).expect(204);
}

#[test]
fn the_scope_of_signing_out_ends_no_other_session() {
    let server = Server::start();
    let session = server.session("ann");
    let this = path_of(&sessions(&session, OWN)[0]);
    let key = server.key("ann", &["sessions / *"]);

    for path in [OWN, &this] {
        let refused = key.delete(path).expect(403).json();
        assert_eq!(refused, json!({"error": "This API key lacks the scope own_sessions / destroy."}));
    }
    key.delete("/users/sign_out").expect(204);

    session.get("/users/me").expect(200);
}

#[test]
fn an_administrator_sees_and_ends_the_sessions_of_a_user() {
    let server = Server::start();
    let (phone, laptop) = (server.session("ann"), server.session("ann"));
    let admin = server.session("admin");
    let all = format!("/users/{}/sessions", server.id_of("ann"));
    let listed = sessions(&admin, &all);
    assert_eq!(listed.iter().map(|session| &session["current"]).collect::<Vec<_>>(), [false, false]);

    admin.delete(&format!("{all}/{}", listed[0]["id"].as_str().unwrap())).expect(204);
    phone.get("/users/me").expect(401);
    laptop.get("/users/me").expect(200);

    admin.delete(&all).expect(204);
    laptop.get("/users/me").expect(401);
    admin.get("/users/me").expect(200);
}

#[test]
fn a_restricted_key_ends_the_sessions_of_standard_users_alone() {
    let server = Server::start();
    let (admin, ann) = (server.session("admin"), server.session("ann"));
    let key = server.key("admin", &["user_sessions / *"]);
    let this = sessions(&admin, "/users/1/sessions")[0]["id"].as_str().unwrap().to_owned();

    for path in ["/users/1/sessions".to_owned(), format!("/users/1/sessions/{this}")] {
        let refused = key.send(&Request::new("DELETE", &path)).expect(403).json();
        assert_eq!(refused, json!({"error": "This API key lacks the scope * / *."}));
    }
    key.delete(&format!("/users/{}/sessions", server.id_of("ann"))).expect(204);

    admin.get("/users/me").expect(200);
    ann.get("/users/me").expect(401);
}
