//! The stream of one connection: passes one request at a time to the framework, and enforces the client's deadlines.
//!
//! The framework sees the next request once the answer to the previous one has been written and sent, and the end of
//! the client's stream once all requests have been answered. An unreadable request is answered like any other; an idle
//! connection is closed without an answer.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Instant,
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    DISCONNECT_TIMEOUT,
    bounds::Bounds,
    connection_table::Slot,
    framing::{Allowance, Framing, Grant, Phase},
    sending::Sending,
    timer::Timer,
    transport::Transport,
};
use crate::api::{Connection, Permit, Refusal};

/// How many bytes are read ahead while a request is pending.
const READ_AHEAD: usize = 4 << 10;
/// How much of a body is passed on before its handler reads it, by what the framework keeps of it.
const BODY_AHEAD: usize = 12 << 10;

/// A connection with deadlines; reading and writing fail once the client exceeds one.
pub(super) struct TimedStream {
    transport: Transport,
    slot: Slot,
    /// The memory of the bytes that have been received and not passed on.
    permit: Permit,
    connection: Rc<Connection>,
    bounds: Bounds,
    framing: Framing,
    /// Since when the stream waits for the next head, for the rest of it or for the client's end.
    since: Instant,
    timer: Timer,
    sending: Sending,
    /// Whether the client has closed its half, or nothing more is read from it.
    is_ended: bool,
}

impl TimedStream {
    pub(super) fn new(transport: Transport, slot: Slot, permit: Permit, bounds: Bounds) -> Self {
        let connection = Rc::new(Connection::new(transport.medium()));
        let since = Instant::now();
        slot.set_idle(since);
        Self {
            transport,
            slot,
            permit,
            connection,
            framing: Framing::new(bounds.head_bytes),
            sending: Sending::new(bounds.send_deadline, bounds.answer_deadline),
            bounds,
            since,
            timer: Timer::default(),
            is_ended: false,
        }
    }

    pub(super) fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Whether a request is pending, or the client has not read its answer.
    fn is_busy(&self) -> bool {
        self.connection.is_pending() || self.sending.is_stalled()
    }

    /// Continues with the next request if the answer has ended and been taken; returns whether it has.
    fn follow(&mut self) -> bool {
        let has_ended = !self.is_busy() && self.framing.end_answer();
        if has_ended {
            self.since = Instant::now();
            self.slot.set_idle(self.since);
        }
        has_ended
    }

    fn allowance(&self) -> Allowance {
        let ahead = match self.framing.phase() {
            Phase::Body { .. } => self.connection.body_ahead(),
            // The body of a request that is about to begin.
            Phase::Head | Phase::Refused | Phase::Closing { .. } => 0,
        };
        Allowance { may_begin: !self.is_busy(), body: BODY_AHEAD.saturating_sub(ahead) }
    }

    /// Records what is passed on, or refuses a request that cannot be read.
    fn apply(&mut self, granted: Result<Grant, Refusal>) {
        if self.framing.is_broken() || self.framing.is_last() {
            self.connection.close();
        }
        match granted {
            Ok(Grant { bytes: 0, .. }) => {}
            Ok(grant) => {
                if grant.head > 0 {
                    self.connection.hand_on(grant.head);
                    self.slot.set_busy();
                    self.sending.restart();
                }
                self.connection.hand_on_body(grant.body, self.framing.is_complete());
            }
            Err(refusal) => self.refuse(refusal),
        }
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.connection.refuse(refusal);
        self.sending.restart();
        self.framing.refuse();
    }

    /// Takes memory for the bytes that have been received and not passed on. A head for which there is none is refused;
    /// other bytes are few.
    fn count(&mut self) {
        let waiting = self.framing.waiting();
        self.permit.shrink_to(waiting);
        if waiting <= self.permit.bytes() {
            return;
        }
        if *self.framing.phase() != Phase::Head || self.is_busy() {
            self.permit.take(waiting);
        } else if self.permit.grow_to(waiting).is_err() {
            self.refuse(Refusal::BudgetExhausted);
        }
    }

    /// Whether the framework is to see the end of the stream now.
    fn is_over(&self) -> bool {
        match self.framing.phase() {
            Phase::Head => self.is_ended && !self.is_busy(),
            Phase::Body { body, .. } => {
                let is_cut_off = self.is_ended && !body.is_complete() && self.framing.waiting() == 0;
                is_cut_off || self.framing.is_broken()
            }
            Phase::Refused => false,
            Phase::Closing { .. } => self.is_ended,
        }
    }

    /// Whether more may be received.
    fn may_receive(&self) -> bool {
        let waiting = self.framing.waiting();
        !self.is_ended
            && match self.framing.phase() {
                Phase::Head => !self.is_busy() || waiting < READ_AHEAD,
                Phase::Body { .. } => waiting < READ_AHEAD,
                Phase::Refused => false,
                Phase::Closing { .. } => true,
            }
    }

    /// Receives bytes and passes on what is allowed; returns whether that is anything.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<bool>> {
        let before = buf.filled().len();
        std::task::ready!(Pin::new(&mut self.transport).poll_read(cx, buf))?;
        self.is_ended = buf.filled().len() == before;
        if self.is_ended {
            return Poll::Ready(Ok(false));
        }
        if let Phase::Closing { .. } = self.framing.phase() {
            // The framework must not decode these bytes. A client that sends without a pause keeps nothing open.
            buf.set_filled(before);
            self.is_ended = Instant::now() >= self.deadline();
            return Poll::Ready(Ok(false));
        }
        let was_idle = self.framing.is_idle();
        let granted = self.framing.receive(buf, before, self.allowance());
        if granted.is_err() {
            buf.set_filled(before);
        }
        self.apply(granted);
        self.count();
        if was_idle && *self.framing.phase() == Phase::Head && !self.framing.is_idle() {
            self.since = Instant::now();
        }
        Poll::Ready(Ok(buf.filled().len() > before))
    }

    /// Until when the stream waits for the client while no request is pending.
    fn deadline(&self) -> Instant {
        let deadline = match self.framing.phase() {
            Phase::Head if self.framing.is_idle() => self.bounds.idle_deadline,
            Phase::Head | Phase::Body { .. } | Phase::Refused => self.bounds.head_deadline,
            Phase::Closing { .. } => DISCONNECT_TIMEOUT,
        };
        self.since + deadline
    }

    /// Waits for the client until the deadline; ready if there is something to do instead.
    fn poll_wait(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_busy() {
            if self.framing.waiting() > 0 || self.is_ended {
                self.connection.wake_later(cx.waker());
            }
            return Poll::Pending;
        }
        self.slot.wake(cx.waker());
        // A connection with a part of a head has to make room too.
        let must_leave = self.slot.must_leave() && *self.framing.phase() == Phase::Head;
        let deadline = self.deadline();
        if !must_leave && !self.timer.is_over(cx, deadline) {
            return Poll::Pending;
        }
        match self.framing.phase() {
            Phase::Head if must_leave || self.framing.is_idle() => self.is_ended = true,
            Phase::Head => self.refuse(Refusal::HeadTooSlow),
            Phase::Closing { .. } => self.is_ended = true,
            Phase::Body { .. } | Phase::Refused => return Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
        }
        Poll::Ready(Ok(()))
    }

    /// Drops what is left of a body after its answer: closing with bytes unread would make the kernel reset the connection, and
    /// the client might lose the answer.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut memory = [MaybeUninit::uninit(); 4 << 10];
        while *self.framing.phase() == (Phase::Closing { is_in_body: true }) && !self.is_ended {
            match self.poll_receive(cx, &mut ReadBuf::uninit(&mut memory)) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => break,
                Poll::Pending if self.timer.is_over(cx, self.deadline()) => break,
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.follow();
        loop {
            let granted = this.framing.grant(this.allowance());
            this.apply(granted);
            if this.framing.hand_on(buf) {
                this.permit.shrink_to(this.framing.waiting());
                return Poll::Ready(Ok(()));
            }
            if this.is_over() {
                return Poll::Ready(Ok(()));
            }
            if this.may_receive() {
                match this.poll_receive(cx, buf)? {
                    Poll::Ready(true) => return Poll::Ready(Ok(())),
                    Poll::Ready(false) => continue,
                    Poll::Pending => {}
                }
            }
            std::task::ready!(this.poll_wait(cx))?;
        }
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.transport).poll_write(cx, buf);
        this.sending.follow(cx, written, |length| *length)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.transport).poll_flush(cx);
        std::task::ready!(this.sending.follow(cx, flushed, |()| 0))?;
        let has_ended = this.follow();
        if !this.connection.is_pending() {
            // The client has read the answer: the next request may be passed on. The connection may also be idle from
            // now on, and the framework does not poll for that until something is received.
            this.connection.wake();
            this.slot.wake(cx.waker());
            if this.slot.must_leave() {
                cx.waker().wake_by_ref();
            }
            let deadline = this.deadline();
            if has_ended {
                this.timer.set(cx, this.since, deadline);
            } else if this.timer.is_over(cx, deadline) {
                cx.waker().wake_by_ref();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut = Pin::new(&mut this.transport).poll_shutdown(cx);
        std::task::ready!(this.sending.follow(cx, shut, |()| 0))?;
        this.poll_linger(cx).map(Ok)
    }
}

#[cfg(test)]
mod tests;
