//! Accounts that expire or are suspended: from the very moment on nothing of theirs works.

use lodge::{
    auth::AuthError,
    domain::{Id, User},
    service::{
        Caller, ServiceError,
        configurations::{self, ConfigurationName},
    },
    store::Tables,
};
use serde_json::{Value, json};

use crate::test_app::{NOW, PASSWORD, TestApp, advance, basic, end, just_before_end};

/// Two administrators, and credentials of every kind of the second one's.
struct Scene {
    test_app: TestApp,
    ann: String,
    ben: [String; 3],
}

impl Scene {
    async fn new() -> Self {
        let test_app = TestApp::build().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        test_app.take_in(2, "ben", PASSWORD).await;
        let (ann, ben) = (basic("ann", PASSWORD), basic("ben", PASSWORD));
        let body = json!({"api_key_scopes": [{"controller": "*", "action": "*"}]});
        let (_, key) = test_app.send(Some(&ben), &("POST", "/users/me/api_keys".to_owned(), body)).await;
        let session = test_app.answer(&[], &sign_in()).await.header("authorization").unwrap().to_owned();
        let key = key["key"].as_str().unwrap().to_owned();
        Self { test_app, ann, ben: [ben, session, key] }
    }

    async fn set_end(&self, end: Value) {
        self.set("expired_at", end).await;
    }

    /// The second administrator, by each credential.
    async fn callers(&self) -> Vec<Caller> {
        let mut callers = Vec::new();
        for credential in &self.ben {
            let headers = [credential.as_bytes()].into_iter();
            callers.push(self.test_app.state.authenticate(headers, [127, 0, 0, 1].into()).await.unwrap());
        }
        callers
    }

    async fn set(&self, member: &str, value: Value) {
        let request = ("PUT", "/users/2".to_owned(), json!({member: value}));
        let (status, answer) = self.test_app.send(Some(&self.ann), &request).await;
        assert_eq!(status, 200, "{answer}");
    }

    /// What a sign-in and then the second administrator's credentials are answered, which are in the caches from then on: a
    /// sign-in that succeeds drops them.
    async fn statuses(&self) -> Vec<u16> {
        let mut statuses = vec![self.test_app.answer(&[], &sign_in()).await.status];
        for credential in &self.ben {
            let asked = ("GET", "/users/me".to_owned(), Value::Null);
            statuses.push(self.test_app.send(Some(credential), &asked).await.0);
        }
        statuses
    }
}

fn sign_in() -> (&'static str, String, Value) {
    ("POST", "/users/sign_in".to_owned(), json!({"user": {"username": "ben", "password": PASSWORD}}))
}

fn is_refused<T>(result: &Result<T, ServiceError>) -> bool {
    matches!(result, Err(ServiceError::Auth(AuthError::Refused(_))))
}

#[tokio::test]
async fn every_credential_is_refused_from_the_moment_on_and_good_again_once_it_is_cleared() {
    let scene = Scene::new().await;
    // The caches know the account with its end.
    scene.set_end(json!(end().to_string())).await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);

    scene.test_app.set_clock(just_before_end());
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);
    scene.test_app.set_clock(end());
    assert_eq!(scene.statuses().await, [401; 4]);

    scene.set_end(Value::Null).await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);
}

#[tokio::test]
async fn every_credential_of_a_suspended_account_is_refused_and_good_again_afterwards() {
    let scene = Scene::new().await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);

    scene.set("suspended", json!(true)).await;
    assert_eq!(scene.statuses().await, [401; 4]);

    scene.set("suspended", json!(false)).await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);
}

#[tokio::test]
async fn a_request_that_was_admitted_before_a_suspension_writes_nothing_after_it() {
    let scene = Scene::new().await;
    let callers = scene.callers().await;

    scene.set("suspended", json!(true)).await;

    for caller in callers {
        let destroyed = configurations::destroy(&caller.into(), ConfigurationName::Id(Id::FIRST)).await;
        assert!(is_refused(&destroyed), "{destroyed:?}");
    }
}

#[tokio::test]
async fn an_expiry_in_the_past_counts_at_once() {
    let scene = Scene::new().await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);

    scene.set_end(json!(NOW.to_string())).await;

    assert_eq!(scene.statuses().await, [401; 4]);
}

#[tokio::test]
async fn the_password_of_an_expired_account_costs_one_hash_right_or_wrong() {
    let scene = Scene::new().await;
    assert_eq!(scene.statuses().await, [201, 200, 200, 200]);
    scene.set_end(json!(NOW.to_string())).await;
    let hasher = &scene.test_app.state.authenticator.hasher;
    for password in [PASSWORD, "a house without one"] {
        let before = hasher.computed();
        let (method, path, _) = sign_in();
        let asked = (method, path, json!({"user": {"username": "ben", "password": password}}));

        assert_eq!(scene.test_app.answer(&[], &asked).await.status, 401);

        assert_eq!(hasher.computed() - before, 1, "{password}");
    }
    let before = hasher.computed();
    let me = ("GET", "/users/me".to_owned(), Value::Null);
    assert_eq!(scene.test_app.send(Some(&scene.ben[0]), &me).await.0, 401);
    assert_eq!(hasher.computed() - before, 1);
}

#[tokio::test]
async fn a_request_that_was_admitted_before_the_moment_writes_nothing_after_it() {
    let scene = Scene::new().await;
    scene.set_end(json!(end().to_string())).await;
    let callers = scene.callers().await;

    scene.test_app.set_clock(end());

    for caller in callers {
        let destroyed = configurations::destroy(&caller.into(), ConfigurationName::Id(Id::FIRST)).await;
        assert!(is_refused(&destroyed), "{destroyed:?}");
    }
}

#[tokio::test]
async fn a_password_that_was_queued_before_the_moment_opens_no_session_after_it() {
    let scene = Scene::new().await;
    scene.set_end(json!(end().to_string())).await;
    let hold = scene.test_app.hold_hashes();
    let asked = sign_in();
    let mut queued = Box::pin(scene.test_app.answer(&[], &asked));
    assert!(advance(&mut queued).is_none());

    scene.test_app.set_clock(end());
    drop(hold);

    assert_eq!(queued.await.status, 401);
}

#[tokio::test]
async fn a_password_that_was_queued_before_a_suspension_opens_no_session_after_it() {
    let scene = Scene::new().await;
    let hold = scene.test_app.hold_hashes();
    let asked = sign_in();
    let mut queued = Box::pin(scene.test_app.answer(&[], &asked));
    assert!(advance(&mut queued).is_none());

    let ben = scene.test_app.store.user(Id::new(2).unwrap()).unwrap().unwrap();
    scene.test_app.store.write(move |txn| txn.put(&User { suspended: true, ..ben })).await.unwrap();
    drop(hold);

    assert_eq!(queued.await.status, 401);
}
