//! The limits of connections.

use std::time::Duration;

use crate::config::Limits;

/// How long the operator may at least read more slowly than the minimum rate.
const MIN_LOCAL_SEND_DEADLINE: Duration = Duration::from_mins(1);

/// The limits of a connection.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// The maximum size of a head, with some room for what the settings do not count.
    pub(super) head_bytes: usize,
    pub(super) head_deadline: Duration,
    pub(super) idle_deadline: Duration,
    pub(super) send_deadline: Duration,
    /// How long an answer may take from its first stall to its end, if there is a limit.
    pub(super) answer_deadline: Option<Duration>,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes + limits.path_bytes + (8 << 10),
            head_deadline: limits.head_deadline,
            idle_deadline: limits.idle_deadline,
            send_deadline: limits.send_deadline,
            answer_deadline: Some(limits.answer_deadline),
        }
    }

    /// The limits of operators on the local socket, where a backup takes as long as the operator's disk needs for it.
    pub(super) fn of_operators(limits: &Limits) -> Self {
        let send_deadline = limits.send_deadline.max(MIN_LOCAL_SEND_DEADLINE);
        Self { send_deadline, answer_deadline: None, ..Self::new(limits) }
    }
}
