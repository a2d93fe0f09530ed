//! How many password hashes a request costs: exactly one where the password of a possible user is checked, else none.

use std::sync::atomic::Ordering;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};

use crate::test_app::{PASSWORD, TestApp};

/// What a request came to: the status, how many hashes it took, and whether the store was looked into.
type Cost = (u16, u64, bool);

/// An application with the user `ann`.
struct Home(TestApp);

impl Home {
    async fn build() -> Self {
        let test_app = TestApp::build().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        Self(test_app)
    }

    async fn cost(&self, authorization: Option<&str>, method: &'static str, path: &str, body: Value) -> Cost {
        let looks = || self.0.reads.load(Ordering::Relaxed);
        let (hashes, reads) = (self.0.state.authenticator.hasher.computed(), looks());
        let (status, _) = self.0.send(authorization, &(method, path.to_owned(), body)).await;
        (status, self.0.state.authenticator.hasher.computed() - hashes, looks() > reads)
    }

    async fn sign_in(&self, body: Value) -> Cost {
        self.cost(None, "POST", "/users/sign_in", body).await
    }

    async fn me(&self, authorization: &str) -> Cost {
        self.cost(Some(authorization), "GET", "/users/me", Value::Null).await
    }
}

fn user(username: impl Into<Value>, password: impl Into<Value>) -> Value {
    json!({"user": {"username": username.into(), "password": password.into()}})
}

fn basic(text: impl AsRef<[u8]>) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(text))
}

#[tokio::test]
async fn signing_in_costs_one_hash_for_known_and_unknown_users_and_none_for_an_impossible_name() {
    let home = Home::build().await;
    let possible = [("ann", PASSWORD, 201), ("ANN", "a guess", 401), ("bob", PASSWORD, 401), ("b:b", "a guess", 401)];
    for (username, password, status) in possible {
        let (answered, hashes, _) = home.sign_in(user(username, password)).await;
        assert_eq!((answered, hashes), (status, 1), "{username}");
    }
    let impossible = [
        user("", PASSWORD),
        user("ann", ""),
        user("ann", "x".repeat(1025)),
        user("ann", "\u{1}"),
        user(7, PASSWORD),
        user("ann", 7),
        user("ann", Value::Null),
        user(json!(["ann"]), json!({"password": PASSWORD})),
        json!({"user": {"username": "ann"}}),
        json!({"user": []}),
        json!({"user": null}),
        json!({}),
    ];
    for body in impossible {
        assert_eq!(home.sign_in(body.clone()).await, (401, 0, false), "{body}");
    }
}

#[tokio::test]
async fn only_a_right_password_is_remembered() {
    let home = Home::build().await;
    let (right, wrong) = (basic(format!("ann:{PASSWORD}")), basic("ann:a guess"));
    let unknown = basic(format!("bob:{PASSWORD}"));

    assert_eq!(home.me(&right).await, (200, 1, true));
    for _ in 0..1000 {
        assert_eq!(home.me(&right).await, (200, 0, false));
    }
    for refused in [&wrong, &wrong, &unknown, &unknown] {
        assert_eq!(home.me(refused).await, (401, 1, true), "{refused}");
    }
}

#[tokio::test]
async fn invalid_basic_credentials_cost_neither_a_hash_nor_a_look_up() {
    let home = Home::build().await;
    let broken = [
        "Basic".to_owned(),
        "Basic !".to_owned(),
        basic("ann"),
        basic(":"),
        basic("ann:"),
        basic(format!(":{PASSWORD}")),
        basic(format!("ann\0:{PASSWORD}")),
        basic(format!("ann:{PASSWORD}\r\n")),
        basic(format!("ann:{}", "x".repeat(1025))),
    ];
    for header in broken {
        assert_eq!(home.me(&header).await, (401, 0, false), "{header}");
    }
}

#[tokio::test]
async fn a_key_costs_no_hash_and_a_mistyped_one_no_look_up() {
    let home = Home::build().await;
    let (status, made) = home
        .0
        .send(Some(&basic(format!("ann:{PASSWORD}"))), &("POST", "/users/me/api_keys".to_owned(), json!({})))
        .await;
    assert_eq!(status, 201);
    let key = made["key"].as_str().unwrap();
    let other = if key.ends_with('A') { "B" } else { "A" };
    let mistyped = format!("{}{other}", &key[..key.len() - 1]);

    assert_eq!(home.me(key).await, (403, 0, true));
    assert_eq!(home.me(&mistyped).await, (401, 0, false));
    assert_eq!(home.me("Bearer a.b.c").await, (401, 0, false));
    assert_eq!(home.me("Bearer nothing").await, (401, 0, false));
}
