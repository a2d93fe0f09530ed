//! How connections learn that the server is stopping.

use std::{
    future::poll_fn,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Poll, Waker},
};

use actix_server::GracefulShutdownSignal;

/// Whether the server is stopping; a clone shares the state.
#[derive(Clone)]
pub(super) struct Stopping {
    signal: GracefulShutdownSignal,
    has_begun: Arc<AtomicBool>,
}

impl Stopping {
    /// The state of the server with this signal.
    pub(super) fn new(signal: GracefulShutdownSignal) -> Self {
        Self { signal, has_begun: Arc::default() }
    }

    /// Records that the signal is about to be sent.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    /// Waits until the signal is sent.
    ///
    /// The framework polls this whenever it does anything for a connection. Polling the signal takes a lock that
    /// connections share, and it wakes every task that has polled it once: so it is polled again only if it may have
    /// been sent.
    pub(super) async fn begun(self) {
        let mut notified = pin!(self.signal.notified());
        let mut waker: Option<Waker> = None;
        let look = poll_fn(|cx| {
            let is_known = waker.as_ref().is_some_and(|known| known.will_wake(cx.waker()));
            if is_known && !self.has_begun.load(Ordering::Acquire) {
                return Poll::Pending;
            }
            waker = Some(cx.waker().clone());
            notified.as_mut().poll(cx)
        });
        look.await;
    }
}
