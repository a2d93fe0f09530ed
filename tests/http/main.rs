//! The API as clients see it: black box, against the real binary.

mod harness;
mod smoke;
