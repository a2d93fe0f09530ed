//! Updates of accounts: how often they read the account, and that nothing wrong with them is missed.

use std::sync::atomic::Ordering;

use lodge::{
    domain::{Id, User, Username},
    store::{PutError, Tables},
};
use serde_json::{Value, json};

use crate::test_app::{PASSWORD, TestApp, advance, basic};

const OTHER_PASSWORD: &str = "a house with a garden";

/// The status of an update, and how many accounts it has read: the caller's to confirm them inside the commit, then the old
/// record, to move its index rows and to take it out of the store's digest.
async fn update(test_app: &TestApp, authorization: &str, path: &str, body: Value) -> (u16, u64) {
    let before = test_app.account_reads.load(Ordering::Relaxed);
    let (status, _) = test_app.send(Some(authorization), &("PUT", path.to_owned(), body)).await;
    (status, test_app.account_reads.load(Ordering::Relaxed) - before)
}

async fn sign_in(test_app: &TestApp, password: &str) -> String {
    let body = json!({"user": {"username": "ann", "password": password}});
    let answer = test_app.answer(&[], &("POST", "/users/sign_in".to_owned(), body)).await;
    let authorization = answer.header("authorization").unwrap().to_owned();
    // From here on the credential is in the cache of callers.
    assert_eq!(test_app.send(Some(&authorization), &("GET", "/users/me".to_owned(), Value::Null)).await.0, 200);
    authorization
}

#[tokio::test]
async fn an_update_of_oneself_reads_the_account_three_times_and_one_of_another_five() {
    let test_app = TestApp::build().await;
    test_app.take_in(1, "ann", PASSWORD).await;
    test_app.take_in(2, "ben", PASSWORD).await;
    let token = sign_in(&test_app, PASSWORD).await;
    let basic = basic("ann", PASSWORD);

    // What is wrong is known once the caller is confirmed or, with a new password, before anything is read.
    assert_eq!(update(&test_app, &token, "/users/1", json!({"email": "no address"})).await, (422, 1));
    let both = json!({"email": "no address", "password": OTHER_PASSWORD});
    assert_eq!(update(&test_app, &token, "/users/1", both).await, (422, 0));
    // Own account, another one, and own account by a credential that is not cached.
    assert_eq!(update(&test_app, &token, "/users/1", json!({"email": "a@b"})).await, (200, 3));
    let token = sign_in(&test_app, PASSWORD).await;
    assert_eq!(update(&test_app, &token, "/users/2", json!({"email": "a@b"})).await, (200, 5));
    assert_eq!(update(&test_app, &basic, "/users/1", json!({"email": "b@c"})).await, (200, 4));

    let token = sign_in(&test_app, PASSWORD).await;
    let everything = json!({"username": "Ann", "password": OTHER_PASSWORD, "email": "a@b", "is_admin": true});
    assert_eq!(update(&test_app, &token, "/users/1", everything).await, (200, 3));
}

#[tokio::test]
async fn violations_of_members_and_beyond_them_are_reported_at_once() {
    let test_app = TestApp::build().await;
    test_app.take_in(1, "ann", PASSWORD).await;
    let token = sign_in(&test_app, PASSWORD).await;
    let send = async |method, path: &str, body| {
        let (status, body) = test_app.send(Some(&token), &(method, path.to_owned(), body)).await;
        (status, body["messages"].clone())
    };

    let created = send("POST", "/users", json!({"email": "no address", "username": "ANN", "user_id": -1})).await;
    let messages = [
        "User must be greater than or equal to 0",
        "Username has already been taken",
        "Password can't be blank",
        "Email is invalid",
    ];
    assert_eq!(created, (422, json!(messages)));

    let change =
        json!({"is_admin": false, "email": "x", "password": "Clarissa-Dalloway", "username": "clarissa-dalloway"});
    let updated = send("PUT", "/users/1", change).await;
    assert_eq!(updated, (422, json!(["Password is invalid", "Email is invalid", "Is admin is frozen"])));
}

#[tokio::test]
async fn an_update_is_checked_again_after_what_was_written_while_the_password_was_hashed() {
    for (number, username, change, message) in [
        (2, "clarissa", json!({"username": "Clarissa", "password": OTHER_PASSWORD}), "Username has already been taken"),
        (1, "clarissa-dalloway", json!({"password": "Clarissa-Dalloway"}), "Password is invalid"),
        (2, "", json!({"is_admin": false, "password": OTHER_PASSWORD}), "Is admin is frozen"),
    ] {
        let test_app = TestApp::build().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        test_app.take_in(2, "ben", PASSWORD).await;
        let token = sign_in(&test_app, PASSWORD).await;
        let headers = [("Authorization", token)];
        let held = test_app.hold_hashes();
        let asked = ("PUT", "/users/1".to_owned(), change);
        let mut answer = Box::pin(test_app.answer(&headers, &asked));
        assert!(advance(&mut answer).is_none());

        rename_or_remove(&test_app, number, username).await;
        drop(held);

        let answer = answer.await;
        assert_eq!((answer.status, &answer.body["messages"]), (422, &json!([message])));
    }
}

/// Gives the account that name, or removes it if there is none to give.
async fn rename_or_remove(test_app: &TestApp, number: u32, username: &'static str) {
    let write = test_app.store.write(move |txn| {
        let user = txn.user(Id::new(number).unwrap())?.unwrap();
        match Username::parse(username) {
            Ok(username) => txn.put(&User { username, ..user }),
            Err(_) => txn.remove_user(&user).map_err(PutError::from),
        }
    });
    write.await.unwrap();
}
