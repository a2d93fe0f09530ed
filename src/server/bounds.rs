//! The limits of connections.

use std::time::Duration;

use crate::config::Limits;

/// The limits of all connections.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// The maximum size of a head, with some room for what the settings do not count.
    pub(super) head_bytes: usize,
    pub(super) head_deadline: Duration,
    pub(super) idle_deadline: Duration,
    pub(super) send_deadline: Duration,
    pub(super) answer_deadline: Duration,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes + limits.path_bytes + (8 << 10),
            head_deadline: limits.head_deadline,
            idle_deadline: limits.idle_deadline,
            send_deadline: limits.send_deadline,
            answer_deadline: limits.answer_deadline,
        }
    }
}
