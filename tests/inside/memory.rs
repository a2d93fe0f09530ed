//! Long answers while there is no memory for them.

use std::sync::atomic::Ordering;

use lodge::{
    domain::{Configuration, ConfigurationKey, ConfigurationValue, Id},
    store::Sequence,
};
use serde_json::Value;

use crate::test_app::{PASSWORD, TestApp, basic};

/// An application with little memory for responses, and `ann` with the maximum number of configurations of maximum size.
async fn test_app(configurations: usize) -> TestApp {
    let test_app = TestApp::with(&["--transfer-memory", "64MiB"]).await;
    test_app.take_in(1, "ann", PASSWORD).await;
    for number in 0..configurations {
        let put = test_app.store.write(move |txn| {
            let configuration = Configuration {
                id: txn.next_id(Sequence::Configurations)?,
                owner: Id::new(1).unwrap(),
                key: ConfigurationKey::parse(&format!("of {number}")).unwrap(),
                value: ConfigurationValue::parse(&"x".repeat(ConfigurationValue::MAX_BYTES)).unwrap(),
            };
            txn.put(&configuration)
        });
        put.await.unwrap();
    }
    test_app
}

#[tokio::test]
async fn a_long_list_is_not_even_read_while_others_have_the_memory_for_it() {
    let test_app = test_app(600).await;
    let headers = [("Authorization", basic("ann", PASSWORD))];
    let list = ("GET", "/users/me/configurations?limit=600".to_owned(), Value::Null);
    let ask = async || {
        let before = test_app.reads.load(Ordering::Relaxed);
        let status = test_app.answer(&headers, &list).await.status;
        (status, test_app.reads.load(Ordering::Relaxed) - before)
    };
    let untaken = test_app.untaken(&headers, &list).await;

    let (refused, looks) = ask().await;
    drop(untaken);
    let (answered, reads) = ask().await;

    assert_eq!((refused, answered), (503, 200));
    assert!(looks < reads, "{looks} looks into the store for a refusal, {reads} for an answer");
}
