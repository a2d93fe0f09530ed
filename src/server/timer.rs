//! A timer that is reused for one deadline after another.

use std::{pin::Pin, task::Context, time::Instant};

use tokio::time::{Sleep, sleep_until};

/// Wakes a connection's task at its deadline. It is not reset for each new deadline: a needless wake-up costs less.
#[derive(Default)]
pub(super) struct Timer(Option<Pin<Box<Sleep>>>);

impl Timer {
    /// Whether the deadline has passed; if not, the task is woken no later than then.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        let sleep = self.0.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        if sleep.deadline() > deadline.into() {
            sleep.as_mut().reset(deadline.into());
        }
        while sleep.as_mut().poll(cx).is_ready() {
            if Instant::now() >= deadline {
                return true;
            }
            sleep.as_mut().reset(deadline.into());
        }
        false
    }
}
