//! A long body is parsed on another thread, so that it keeps no other connection waiting.

use actix_web::rt::System;
use serde_json::{Value, json};

use crate::test_app::{PASSWORD, TestApp, advance, basic};

/// A body that is nested too deeply at its end, which it takes long to find if there are many items.
fn malformed(items: usize) -> Value {
    let nested = (0..100).fold(json!([]), |inner, _| json!([inner]));
    json!({"a": vec![[0]; items], "b": nested})
}

#[test]
fn a_long_body_is_parsed_on_another_thread_where_it_may_be_absent_too() {
    System::new().block_on(async {
        let test_app = TestApp::build().await;
        test_app.take_in(1, "ann", PASSWORD).await;
        let basic = basic("ann", PASSWORD);
        let full = json!({"api_key_scopes": [{"controller": "*", "action": "*"}]});
        let (_, made) = test_app.send(Some(&basic), &("POST", "/users/me/api_keys".to_owned(), full)).await;
        let key = made["key"].as_str();
        for path in ["/users/me/api_keys", "/users/me/api_keys/1/rotate"] {
            let [short, long] = [1, 100_000].map(|items| ("POST", path.to_owned(), malformed(items)));

            let answer = advance(&mut Box::pin(test_app.send(key, &short))).expect("it waits for no other thread");
            assert_eq!(answer.0, 400, "{path}: {}", answer.1);
            // The other thread might have parsed a single one before it is polled again.
            let mut requests: Vec<_> = (0..4).map(|_| Box::pin(test_app.send(key, &long))).collect();
            let answers: Vec<_> = requests.iter_mut().map(advance).collect();

            assert!(answers.iter().any(Option::is_none), "{path}: they were parsed on the spot: {answers:?}");
            for (request, answer) in requests.into_iter().zip(answers) {
                let (status, body) = if let Some(answer) = answer { answer } else { request.await };
                assert_eq!(status, 400, "{path}: {body}");
            }
        }
    });
}
