//! What the presented credential may do, and what there is to be done.

use lodge::api::operations::{Admits, OPERATIONS};
use serde_json::{Value, json};

use crate::harness::{Request, Server};

const SCOPES: &str = "/users/me/scopes";

/// The list of these scopes, as it is served.
fn listed(scopes: &[(&str, &str)]) -> Value {
    let members = |(controller, action): &(&str, &str)| json!({"controller": controller, "action": action});
    json!({"scopes": scopes.iter().map(members).collect::<Vec<_>>(), "count": scopes.len()})
}

#[test]
fn a_password_and_a_session_have_the_scope_of_everything() {
    let server = Server::start();

    for client in [server.admin(), server.session("admin"), server.user("ann"), server.session("ann")] {
        assert_eq!(client.get(SCOPES).expect(200).json(), listed(&[("*", "*")]));
    }
}

#[test]
fn a_key_has_its_own_scopes_in_their_order_known_to_this_server_or_not() {
    let server = Server::start();

    for username in ["ann", "admin"] {
        let restricted = server.key(username, &["users / show", "files / index", "audit / *"]);
        let full = server.key(username, &["* / *"]);

        let expected = listed(&[("users", "show"), ("files", "index"), ("audit", "*")]);
        assert_eq!(restricted.get(SCOPES).expect(200).json(), expected);
        assert_eq!(full.get(SCOPES).expect(200).json(), listed(&[("*", "*")]));
    }
}

#[test]
fn a_key_without_any_scope_gets_an_empty_list() {
    let server = Server::start();

    for username in ["ann", "admin"] {
        assert_eq!(server.key(username, &[]).get(SCOPES).expect(200).json(), listed(&[]));
    }
}

#[test]
fn a_change_of_scopes_is_in_the_next_list() {
    let server = Server::start();
    let (ann, key) = (server.user("ann"), server.key("ann", &["users / show"]));
    key.get(SCOPES).expect(200);

    let scopes = json!({"api_key_scopes": [{"controller": "configurations", "action": "index"}]});
    ann.put("/users/me/api_keys/1", &scopes).expect(200);
    let changed = key.get(SCOPES).expect(200).json();
    ann.delete("/users/me/api_keys/1").expect(204);

    assert_eq!(changed, listed(&[("configurations", "index")]));
    key.get(SCOPES).expect(401);
}

#[test]
fn the_document_names_no_scope_for_it() {
    let document = Server::start().anonymous().send(&Request::whole("GET", "/openapi.json")).expect(200).json();

    let operation = &document["paths"][SCOPES]["get"];

    assert_eq!(operation["description"], "An API key needs no scope.");
}

#[test]
fn the_catalogue_has_the_scope_of_each_operation_that_needs_one() {
    let server = Server::start();
    let without = [Admits::Anonymous, Admits::Authenticated, Admits::Local, Admits::Forwarded];
    let needs_scope = OPERATIONS.iter().filter(|row| !without.contains(&row.admits));

    let list = server.key("ann", &["scopes / index"]).get("/scopes").expect(200).json();

    let scopes: Vec<_> = list["scopes"].as_array().unwrap().iter().map(|scope| &scope["operation"]).collect();
    assert_eq!(scopes, needs_scope.map(|row| row.id).collect::<Vec<_>>());
    assert_eq!(list["count"], scopes.len());
    server.key("ann", &["users / index"]).get("/scopes").expect(403);
}

#[test]
fn the_catalogue_describes_what_a_scope_opens_and_for_whom() {
    let list = Server::start().user("ann").get("/scopes").expect(200).json();
    let described = |operation: &str| {
        let scopes = list["scopes"].as_array().unwrap();
        scopes.iter().find(|scope| scope["operation"] == operation).unwrap().clone()
    };

    let expected = json!({"controller": "users", "action": "show", "operation": "show_user", "method": "GET",
        "path": "/users/{user_id}", "description": "Displays a specific user.", "admits": "self_or_administrator"});
    assert_eq!(described("show_user"), expected);
    assert_eq!(described("show_current_user")["admits"], "user");
    for operation in ["index_users", "index_user_api_keys"] {
        assert_eq!(described(operation)["admits"], "administrator", "{operation}");
    }
}
