//! The JSON body of each operation that takes one.
#![no_main]

use libfuzzer_sys::fuzz_target;
use lodge::api::fuzzing::{Read, read_bodies};
use serde_json::Value;

fuzz_target!(|bytes: &[u8]| {
    let reads = read_bodies(bytes);
    let parsed = serde_json::from_slice::<Value>(bytes);
    for read in reads {
        match read {
            Read::Malformed => {}
            Read::Invalid(response) => assert_eq!(response.status().as_u16(), 422),
            // What is stricter than the usual reader accepts nothing that the usual one does not.
            Read::Valid => assert!(parsed.as_ref().is_ok_and(Value::is_object)),
        }
    }
});
