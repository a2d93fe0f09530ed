//! Deadlines for clients that read an answer slowly.

use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::timer::Timer;

/// The minimum average rate at which a client has to read an answer, in bytes per second.
const SLOWEST_PER_SEC: u32 = 32 << 10;

/// The deadlines of the current answer.
pub(super) struct Sending {
    /// How long an answer may stall.
    stall_deadline: Duration,
    /// How long an answer may take from its first stall to its end, if there is a limit.
    answer_deadline: Option<Duration>,
    /// The remaining time. It decreases while the client stalls, and each byte that the client reads adds to it.
    credit: Duration,
    first_stalled: Option<Instant>,
    stalled: Option<Instant>,
    timer: Timer,
}

impl Sending {
    pub(super) fn new(stall_deadline: Duration, answer_deadline: Option<Duration>) -> Self {
        Self {
            stall_deadline,
            answer_deadline,
            credit: stall_deadline,
            first_stalled: None,
            stalled: None,
            timer: Timer::default(),
        }
    }

    /// Restarts with the next answer.
    pub(super) fn restart(&mut self) {
        self.credit = self.stall_deadline;
        self.first_stalled = None;
    }

    /// Whether the client has not read everything that was to be sent.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Updates the deadlines with the result of a write or flush; `length` gives the number of bytes that it wrote.
    pub(super) fn follow<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        length: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(Ok(done)) => {
                self.progress(length(done));
                polled
            }
            Poll::Pending if self.is_over(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending | Poll::Ready(Err(_)) => polled,
        }
    }

    fn progress(&mut self, length: usize) {
        if let Some(since) = self.stalled.take() {
            self.credit = self.credit.saturating_sub(since.elapsed());
        }
        if self.credit < self.stall_deadline {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.credit = self.stall_deadline.min(self.credit + Duration::from_secs(1) * length / SLOWEST_PER_SEC);
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let since = *self.stalled.get_or_insert_with(Instant::now);
        let first = *self.first_stalled.get_or_insert(since);
        let stalled_too_long = since + self.credit;
        let deadline = self.answer_deadline.map_or(stalled_too_long, |limit| stalled_too_long.min(first + limit));
        self.timer.is_over(cx, deadline)
    }
}
