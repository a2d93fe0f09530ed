use serde_json::json;

use crate::harness::Server;

#[test]
fn a_key_without_the_scope_is_refused_and_changes_nothing() {
    let server = Server::start();
    let reader = server.key("ann", &["configurations / index"]);

    let reply = reader.post("/users/me/configurations", &json!({"key": "theme", "value": "dark"}));

    assert_eq!(reply.status, 403);
    assert_eq!(reply.json(), json!({"error": "This API key lacks the scope configurations / create."}));
    assert_eq!(server.user("ann").get("/users/me/configurations").json()["count"], 0);
}
