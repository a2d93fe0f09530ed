//! How often something is tried.

use std::{env, str::FromStr};

/// As often as that environment variable says, or as usual.
#[track_caller]
pub fn repetitions<N: FromStr>(variable: &str, usual: N) -> N {
    let parsed = |text: String| text.parse().unwrap_or_else(|_| panic!("{variable} is a number: {text}"));
    env::var(variable).map_or(usual, parsed)
}
