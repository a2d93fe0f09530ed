//! The list of users in other orders, and of some of them.

use serde_json::{Value, json};

use crate::harness::{Client, Server};

const PASSWORD: &str = "a long and fine one";

/// A server with four users beside the administrator, ids 2 to 5.
fn with_users() -> (Server, Client) {
    let server = Server::start();
    let admin = server.admin();
    for user in [
        json!({"username": "bob", "email": "b@home", "user_id": 1002, "group_id": 100}),
        json!({"username": "Bobby", "user_id": 1001, "is_admin": true}),
        json!({"username": "ann", "email": "Ann@Home", "suspended": true, "group_id": 100}),
        json!({"username": "Zoe", "email": "a@office", "expired_at": "2300-01-01T00:00:00Z", "source_type": "cli_ldap"}),
    ] {
        let mut user = user;
        user["password"] = json!(PASSWORD);
        admin.post("/users", &user).expect(201);
    }
    (server, admin)
}

#[track_caller]
fn listed(client: &Client, query: &str) -> (Vec<u64>, u64) {
    let list = client.get(&format!("/users?{query}")).expect(200).json();
    let ids = list["users"].as_array().unwrap().iter().map(|user| user["id"].as_u64().unwrap());
    (ids.collect(), list["count"].as_u64().unwrap())
}

#[test]
fn users_are_sorted_by_every_attribute_in_both_directions() {
    let (_server, admin) = with_users();
    for (order, ids) in [
        ("id", [1, 2, 3, 4, 5]),
        ("id:desc", [5, 4, 3, 2, 1]),
        ("username:asc", [1, 4, 2, 3, 5]),
        ("username:desc", [5, 3, 2, 4, 1]),
        ("email:asc", [1, 3, 5, 4, 2]),
        ("email:desc", [2, 4, 5, 1, 3]),
        ("is_admin:desc", [1, 3, 2, 4, 5]),
        ("suspended:desc", [4, 1, 2, 3, 5]),
        ("user_id:asc", [1, 4, 5, 3, 2]),
        ("group_id:desc", [2, 4, 1, 3, 5]),
        ("expired_at:desc", [5, 1, 2, 3, 4]),
        ("source_type:desc", [5, 1, 2, 3, 4]),
        ("created_at:desc", [5, 4, 3, 2, 1]),
        ("updated_at:asc", [1, 2, 3, 4, 5]),
    ] {
        assert_eq!(listed(&admin, &format!("sort_by={order}")), (ids.to_vec(), 5), "{order}");
        let page = listed(&admin, &format!("sort_by={order}&limit=2&offset=1"));
        assert_eq!(page, (ids[1..3].to_vec(), 5), "{order}");
        assert_eq!(listed(&admin, &format!("sort_by={order}&limit=0")), (vec![], 5), "{order}");
        assert_eq!(listed(&admin, &format!("sort_by={order}&offset=9")), (vec![], 5), "{order}");
    }
}

#[test]
fn filters_hold_together() {
    let (_server, admin) = with_users();
    for (filter, ids) in [
        ("username=BOB", vec![2]),
        ("username=bob&email=b@office", vec![]),
        ("username=nobody", vec![]),
        ("username=~BO", vec![2, 3]),
        ("username=~", vec![1, 2, 3, 4, 5]),
        ("email=ann@home", vec![4]),
        ("email=~%40HOME", vec![2, 4]),
        ("is_admin=true", vec![1, 3]),
        ("is_admin=false&email=~home", vec![2, 4]),
        ("user_id=1001", vec![3]),
        ("user_id=0", vec![]),
        ("group_id=100", vec![2, 4]),
        ("group_id=100&username=~b", vec![2]),
        ("sort_by=username:desc&group_id=100", vec![2, 4]),
        ("sort_by=username:desc&is_admin=false", vec![5, 2, 4]),
    ] {
        assert_eq!(listed(&admin, filter), (ids.clone(), ids.len() as u64), "{filter}");
        let rest = ids.iter().skip(1).copied().collect();
        assert_eq!(listed(&admin, &format!("{filter}&offset=1")), (rest, ids.len() as u64), "{filter}");
    }
}

#[test]
fn a_wrong_order_or_filter_is_refused() {
    let (server, admin) = with_users();
    for wrong in [
        "sort_by=password",
        "sort_by=name",
        "sort_by=username:up",
        "sort_by=",
        "sort_by=id&sort_by=email",
        "is_admin=1",
        "is_admin=",
        "user_id=x",
        "user_id=-1",
        "user_id=2147483648",
        "group_id=",
        "username=",
        "username=a&username=b",
    ] {
        admin.get(&format!("/users?{wrong}")).expect(400);
    }
    assert_eq!(listed(&admin, "other=1&sort=x").1, 5);
    server.user("ben").get("/users?sort_by=password").expect(403);
}

#[test]
fn a_list_without_parameters_is_what_it_was_to_the_byte() {
    let (_server, admin) = with_users();
    let plain = admin.get("/users").expect(200).text();

    for query in ["?sort_by=id", "?sort_by=id:asc", "?username=~", "?include=other", "?unknown=1"] {
        assert_eq!(admin.get(&format!("/users{query}")).expect(200).text(), plain, "{query}");
    }
    assert!(!plain.contains("last_sign_in_at"));
}

#[test]
fn a_list_shows_activity_on_request_alone() {
    let (server, admin) = with_users();
    let body = json!({"user": {"username": "bob", "password": PASSWORD}});
    server.anonymous().post("/users/sign_in", &body).expect(201);
    let plain = admin.get("/users").expect(200).json();

    let mut with_activity = admin.get("/users?include=activity").expect(200).json();

    let signed_in: Vec<_> = with_activity["users"].as_array_mut().unwrap().iter_mut().map(without_sign_in).collect();
    assert_eq!(signed_in, [false, true, false, false, false]);
    assert_eq!(with_activity, plain);
}

fn without_sign_in(user: &mut Value) -> bool {
    user.as_object_mut().unwrap().remove("last_sign_in_at").is_some()
}
