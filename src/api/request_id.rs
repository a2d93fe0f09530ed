//! The id of a request, in its response and its log line.

use std::cell::Cell;

use siphasher::sip128::SipHasher24;
use uuid::{Builder, Uuid, fmt::Hyphenated};

use crate::random::random_bytes;

/// A UUID and its text, which is written once, because every request needs it twice.
pub(super) struct RequestId {
    pub(super) uuid: Uuid,
    text: [u8; Hyphenated::LENGTH],
}

impl RequestId {
    /// The id of the next request: a hash of its number under a key of the thread (RFC 9562, version 8), so that an id
    /// reveals neither other ids nor the number of requests.
    pub(super) fn next() -> Self {
        // A counter that all threads share would move from core to core with each request.
        thread_local! {
            static KEY: SipHasher24 = SipHasher24::new_with_key(&random_bytes());
            static COUNT: Cell<u64> = const { Cell::new(0) };
        }
        let count = COUNT.replace(COUNT.get() + 1);
        let hash = KEY.with(|key| key.hash(&count.to_ne_bytes())).as_u128();
        Self::of(Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid())
    }

    fn of(uuid: Uuid) -> Self {
        let mut text = [0; Hyphenated::LENGTH];
        uuid.hyphenated().encode_lower(&mut text);
        Self { uuid, text }
    }

    pub(super) fn as_str(&self) -> &str {
        str::from_utf8(&self.text).expect("a UUID is ASCII")
    }
}
