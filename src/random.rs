//! Random bytes and identifiers from the operating system's generator.

use uuid::Uuid;

/// `N` bytes from the system's random generator.
///
/// # Panics
/// If the system's generator fails, without which nothing is secure.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the system gives random bytes");
    bytes
}

/// A UUID of random bits (version 4).
#[must_use]
pub fn random_uuid() -> Uuid {
    uuid::Builder::from_random_bytes(random_bytes()).into_uuid()
}
