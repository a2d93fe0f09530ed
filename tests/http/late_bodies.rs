//! Credentials and rights that end after a request is admitted and before its body has come.

use serde_json::{Value, json};

use crate::{
    harness::{Client, Reply, Server, basic, password_of},
    http::{authorization::lacks_role, conversation::Conversation},
};

/// The path of the caller's own configurations.
const CONFIGURATIONS: &str = "/users/me/configurations";

/// A request that is admitted, and whose body has not been sent yet.
struct Begun {
    conversation: Conversation,
    body: String,
}

impl Begun {
    fn post(caller: &Client, path: &str, body: &Value) -> Self {
        let (authorization, body) = (caller.authorization.as_deref().expect("a caller"), body.to_string());
        let (start, length) = (format!("POST /api/v2{path} HTTP/1.1\r\nHost: lodge"), body.len());
        let headers = format!("Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: 100-continue");
        let mut conversation = Conversation::with(caller.address);
        conversation.say(format!("{start}\r\nAuthorization: {authorization}\r\n{headers}\r\n\r\n"));
        // The server asks for the body no earlier than it has looked at the credential.
        assert_eq!(conversation.hear().status, 100);
        Self { conversation, body }
    }

    fn complete(mut self) -> Reply {
        self.conversation.say(self.body);
        self.conversation.hear()
    }
}

#[test]
fn a_credential_that_ends_before_the_body_has_come_writes_nothing() {
    let server = Server::start();
    let admin = server.admin();
    let [ann, dan] = ["ann", "dan"].map(|name| format!("/users/{}", server.id_of(name)));
    let ben = server.session("ben");
    let callers = [
        server.key("cleo", &["configurations / create"]),
        server.key("dan", &["* / *"]),
        server.user("ann"),
        server.session("ann"),
        ben.clone(),
    ];
    let begun = callers.map(|caller| Begun::post(&caller, CONFIGURATIONS, &json!({"key": "theme"})));

    admin.put(&ann, &json!({"password": "open sesame"})).expect(200);
    ben.delete("/users/sign_out").expect(204);
    server.user("cleo").delete("/users/me/api_keys/1").expect(204);
    admin.delete(&dan).expect(204);
    let replies = begun.map(Begun::complete);

    assert_eq!(replies.map(|reply| reply.status), [401; 5]);
    for owner in [server.with(&basic("ann", "open sesame")), server.user("ben"), server.user("cleo")] {
        assert_eq!(owner.get(CONFIGURATIONS).json()["count"], 0);
    }
}

#[test]
fn rights_that_shrink_before_the_body_has_come_write_nothing() {
    let server = Server::start();
    let (admin, ben) = (server.admin(), server.user("ben"));
    let ann = format!("/users/{}", server.id_of("ann"));
    admin.put(&ann, &json!({"is_admin": true})).expect(200);
    let (by_role, by_scope) = (server.session("ann"), server.key("ben", &["configurations / *"]));
    let new_user = json!({"username": "eve", "password": password_of("eve")});
    let begun =
        [Begun::post(&by_role, "/users", &new_user), Begun::post(&by_scope, CONFIGURATIONS, &json!({"key": "theme"}))];

    admin.put(&ann, &json!({"is_admin": false})).expect(200);
    ben.put("/users/me/api_keys/1", &json!({"api_key_scopes": []})).expect(200);
    let replies = begun.map(Begun::complete);

    let shrunk = json!({"error": "The scopes of this API key have just changed."});
    assert_eq!(replies.map(|reply| (reply.status, reply.json())), [(403, lacks_role()), (403, shrunk)]);
    assert_eq!(admin.get("/users").json()["count"], 3);
    assert_eq!(ben.get(CONFIGURATIONS).json()["count"], 0);
}
