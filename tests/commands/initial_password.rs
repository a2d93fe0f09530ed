//! Whether the administrator still has the password that the first start generated.

use serde_json::json;

use super::{initial_password, server_with_random_password};
use crate::harness::{Client, basic};

#[test]
fn the_administrator_alone_is_shown_on_request_that_the_random_password_is_in_use() {
    let server = server_with_random_password();
    let admin = server.with(&basic("admin", &initial_password(&server)));
    admin.post("/users", &json!({"username": "ben", "password": "ben lives here", "is_admin": true})).expect(201);
    let ben = server.with(&basic("ben", "ben lives here"));
    let is_shown =
        |client: &Client, path: &str| client.get(path).expect(200).json().get("has_initial_password").cloned();

    let asked = "/users/me?include=initial_password";
    assert_eq!(is_shown(&admin, asked), Some(json!(true)));
    assert_eq!(is_shown(&admin, &format!("{asked}&include=activity")), Some(json!(true)));
    for (client, path) in [(&admin, "/users/me"), (&ben, asked), (&ben, "/users/1?include=initial_password")] {
        assert_eq!(is_shown(client, path), None, "{path}");
    }

    admin.put("/users/1", &json!({"email": "admin@example.org"})).expect(200);
    assert_eq!(is_shown(&admin, asked), Some(json!(true)));
    admin.put("/users/1", &json!({"password": "the keys to the house"})).expect(200);
    let admin = server.with(&basic("admin", "the keys to the house"));
    assert_eq!(is_shown(&admin, asked), None);
}
