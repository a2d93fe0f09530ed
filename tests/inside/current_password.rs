//! A current password that is no longer the account's when the change is committed.

use lodge::{
    domain::{Id, PasswordHash, User},
    store::Tables,
};
use serde_json::json;

use crate::test_app::{PASSWORD, TestApp, advance, basic};

#[tokio::test]
async fn a_password_that_changes_while_it_is_verified_changes_nothing() {
    let test_app = TestApp::with(&["--throttle-after", "0", "--require-current-password"]).await;
    test_app.take_in(1, "ann", PASSWORD).await;
    let basic = basic("ann", PASSWORD);
    let body = json!({"api_key_scopes": [{"controller": "*", "action": "*"}]});
    let (_, key) = test_app.send(Some(&basic), &("POST", "/users/me/api_keys".to_owned(), body)).await;
    let headers = [("Authorization", key["key"].as_str().unwrap().to_owned())];
    let change = ("PUT", "/users/1".to_owned(), json!({"email": "a@b", "current_password": PASSWORD}));
    let hold = test_app.hold_hashes();
    let mut queued = Box::pin(test_app.answer(&headers, &change));
    assert!(advance(&mut queued).is_none());

    let ann = test_app.store.user(Id::FIRST).unwrap().unwrap();
    let changed = User { password: PasswordHash::new("$scrypt$".to_owned()), ..ann };
    test_app.store.write(move |txn| txn.put(&changed)).await.unwrap();
    drop(hold);

    let answer = queued.await;
    assert_eq!((answer.status, &answer.body["messages"]), (422, &json!(["Current password is invalid"])));
    assert_eq!(test_app.store.user(Id::FIRST).unwrap().unwrap().email, None);
}
