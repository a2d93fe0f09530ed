//! What tests of several topics expect, and how they ask many times at once.

use std::{sync::Barrier, thread};

use serde_json::{Value, json};

/// The body of a 422 with one violation.
pub fn invalid(attribute: &str, problem: &Value, message: &str) -> Value {
    json!({"details": {attribute: [problem]}, "messages": [message]})
}

/// The responses to so many calls when all of them begin together.
pub fn at_once<T: Send>(times: usize, call: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let begin = Barrier::new(times);
    let call = |number| {
        begin.wait();
        call(number)
    };
    thread::scope(|scope| {
        let calls: Vec<_> = (0..times).map(|number| scope.spawn(move || call(number))).collect();
        calls.into_iter().map(|running| running.join().unwrap()).collect()
    })
}
