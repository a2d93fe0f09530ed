//! Stores with many users, and whom to ask for.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use lodge::{
    domain::{ApiKey, KeyDigest, PasswordHash},
    store::{DiskReserve, Store},
};
use ring::digest::{SHA256, digest};
use uuid::Uuid;

use super::common::{
    commits::initialise,
    population::{ONE_IN, api_key, populate},
};

/// The server's default.
pub const CACHE_BYTES: u64 = 64 << 20;
/// How many users are asked for, as many of each store: what differs is how many there are beside them.
const SAMPLES: u32 = 100;
/// How long one thing is asked for at a time.
const TIME: Duration = Duration::from_millis(300);
/// How often it is asked for between two looks at the clock.
const ASKED_AT_ONCE: u32 = 100;

/// A hash of the usual length; nobody signs in here.
const PASSWORD: &str = "$scrypt$ln=17,r=8,p=1$aM15713r3Xsvxbi31lqr1Q$nFNh2CVHVjNldFVKDHDlm4CbdRSCdEBsjjJxD+iCs5E";

/// Fills a new store with that many users; returns its path.
pub fn fill(directory: &Path, users: u32) -> PathBuf {
    let path = directory.join(format!("users-{users}"));
    let store = Store::open(&path, 256 << 20, DiskReserve::NONE).unwrap();
    initialise(&store);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(populate(&store, 1..=users, &PasswordHash::new(PASSWORD.to_owned()), key_of));
    path
}

/// Opens a store as the server does.
pub fn open(path: &Path) -> Store {
    Store::open(path, CACHE_BYTES, DiskReserve::NONE).unwrap()
}

/// What that user's API key is found by.
pub fn digest_of(owner: u32) -> KeyDigest {
    KeyDigest(digest(&SHA256, &owner.to_be_bytes()).as_ref().try_into().unwrap())
}

/// Ids of users who have a configuration and an API key, from all over a store, in no order.
pub fn samples(users: u32) -> Vec<u32> {
    let step = users / SAMPLES / ONE_IN * ONE_IN;
    // A number that has no factor in common with that of the samples visits each once.
    (0..SAMPLES).map(|at| (at * 37 % SAMPLES + 1) * step).collect()
}

/// How long it takes on average to ask for one of these, in µs.
pub fn microseconds<T: Copy>(targets: &[T], ask: impl Fn(T)) -> f64 {
    let mut targets = targets.iter().copied().cycle();
    let (begun, mut asked) = (Instant::now(), 0);
    while begun.elapsed() < TIME {
        for _ in 0..ASKED_AT_ONCE {
            ask(targets.next().unwrap());
        }
        asked += ASKED_AT_ONCE;
    }
    begun.elapsed().as_secs_f64() * 1e6 / f64::from(asked)
}

fn key_of(owner: u32) -> ApiKey {
    api_key(owner, Uuid::from_u128(owner.into()), digest_of(owner), *b"last")
}
