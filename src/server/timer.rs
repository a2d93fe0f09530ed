//! A timer that is reused for one deadline after another.

use std::{
    pin::Pin,
    task::{Context, Waker},
    time::Instant,
};

use tokio::time::{Sleep, sleep_until};

/// Wakes a connection's task at its deadline. It is not reset for each new deadline: a needless wake-up costs less.
#[derive(Default)]
pub(super) struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    /// The task that is woken.
    waker: Option<Waker>,
}

impl Timer {
    /// Whether the deadline has passed; if not, the task is woken no later than then.
    pub(super) fn is_over(&mut self, cx: &mut Context<'_>, deadline: Instant) -> bool {
        if !self.wakes(cx.waker()) {
            self.waker = Some(cx.waker().clone());
        }
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
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

    /// Has the task woken no later than at the deadline, which is after `now`. Unlike [`Self::is_over`] it costs next to nothing
    /// where the timer is set for an earlier moment already.
    pub(super) fn set(&mut self, cx: &mut Context<'_>, now: Instant, deadline: Instant) {
        let is_set = |sleep: &Pin<Box<Sleep>>| (now..=deadline).contains(&sleep.deadline().into_std());
        if !self.sleep.as_ref().is_some_and(is_set) || !self.wakes(cx.waker()) {
            let _ = self.is_over(cx, deadline);
        }
    }

    fn wakes(&self, waker: &Waker) -> bool {
        self.waker.as_ref().is_some_and(|known| known.will_wake(waker))
    }
}
