//! How long a client may take over an answer.

use std::{
    io,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use super::timer::Timer;

/// How many bytes a second a client has to take of an answer in the long run.
const SLOWEST_PER_SEC: u32 = 32 << 10;

/// How long the client may still take over the present answer.
pub(super) struct Sending {
    /// How long an answer may stall.
    stall_deadline: Duration,
    /// How long an answer may take from its first stall to its end.
    answer_deadline: Duration,
    /// What is left while nothing stalls; it runs down while something does, and what is taken adds to it.
    credit: Duration,
    first_stalled: Option<Instant>,
    stalled: Option<Instant>,
    timer: Timer,
}

impl Sending {
    pub(super) fn new(stall_deadline: Duration, answer_deadline: Duration) -> Self {
        Self {
            stall_deadline,
            answer_deadline,
            credit: stall_deadline,
            first_stalled: None,
            stalled: None,
            timer: Timer::default(),
        }
    }

    /// Begins anew, with the next answer.
    pub(super) fn restart(&mut self) {
        self.credit = self.stall_deadline;
        self.first_stalled = None;
    }

    /// Whether the client has not taken all that was to be sent.
    pub(super) fn is_stalled(&self) -> bool {
        self.stalled.is_some()
    }

    /// Follows what the socket made of a part of an answer, whose length is measured by `length`.
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
        self.timer.is_over(cx, (since + self.credit).min(first + self.answer_deadline))
    }
}
