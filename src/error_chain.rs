//! Errors as text, with their causes.

use std::error::Error;

/// An error and its causes in one sentence, without repetitions.
pub fn chain(error: &dyn Error) -> String {
    let mut sentences = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        sentences.push(error.to_string());
        cause = error.source();
    }
    sentences.dedup();
    sentences.join(": ")
}
