//! One connection's bytes, and how long its client may take over them.
//!
//! The framework has a deadline for the first head of a connection and for its idling, and none for what comes between:
//! the heads of later requests, a body that nobody reads, an answer that the client does not take.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, sleep_until},
};

use super::transport::Transport;
use crate::{api::Connection, config::Limits};

/// How many bytes a second a client has to take of an answer in the long run.
const SLOWEST_PER_SEC: u32 = 32 << 10;
/// How many connections may have more under way than a permitted head before it is known what it is.
const LARGE_HEADS: usize = 512;

/// What all connections are measured by.
#[derive(Clone, Debug)]
pub(super) struct Bounds {
    /// What a head may have, with some room for what comes in one piece with it.
    head_bytes: usize,
    head_deadline: Duration,
    send_deadline: Duration,
    large_heads: Arc<Semaphore>,
}

impl Bounds {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            head_bytes: limits.head_bytes + limits.path_bytes + (8 << 10),
            head_deadline: limits.head_deadline,
            send_deadline: limits.send_deadline,
            large_heads: Arc::new(Semaphore::new(LARGE_HEADS)),
        }
    }
}

/// A connection whose client has to keep to the bounds; reading and writing fail once it does not.
pub(super) struct TimedStream {
    transport: Transport,
    connection: Rc<Connection>,
    bounds: Bounds,
    head: Head,
    sending: Sending,
}

impl TimedStream {
    pub(super) fn new(transport: Transport, bounds: Bounds) -> Self {
        let connection = Rc::new(Connection::new(transport.is_encrypted()));
        let sending = Sending { credit: bounds.send_deadline, stalled: None };
        Self { transport, connection, bounds, head: Head::default(), sending }
    }

    pub(super) fn connection(&self) -> Rc<Connection> {
        Rc::clone(&self.connection)
    }

    /// Begins anew with each request.
    fn follow(&mut self) {
        let begun = self.connection.begun();
        if self.head.begun != begun {
            self.head = Head { begun, timer: self.head.timer.take(), ..Head::default() };
            self.sending.credit = self.bounds.send_deadline;
        }
    }
}

impl AsyncRead for TimedStream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        this.follow();
        if this.connection.is_answering() {
            return Pin::new(&mut this.transport).poll_read(cx, buf);
        }
        if this.head.received >= this.bounds.head_bytes && !this.head.admit_more(cx, &this.bounds)? {
            return Poll::Pending;
        }
        let before = buf.filled().len();
        let read = Pin::new(&mut this.transport).poll_read(cx, buf);
        match read {
            Poll::Ready(Ok(())) => this.head.receive(buf.filled().len() - before),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => this.head.wait(cx, this.bounds.head_deadline)?,
        }
        read
    }
}

impl AsyncWrite for TimedStream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let written = Pin::new(&mut this.transport).poll_write(cx, buf);
        this.sending.after(cx, written, this.bounds.send_deadline, |length| *length)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let flushed = Pin::new(&mut this.transport).poll_flush(cx);
        this.sending.after(cx, flushed, this.bounds.send_deadline, |()| 0)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let shut = Pin::new(&mut this.transport).poll_shutdown(cx);
        this.sending.after(cx, shut, this.bounds.send_deadline, |()| 0)
    }
}

/// What has come since the last request began, while none is being answered: the next head, as a rule.
#[derive(Default)]
struct Head {
    /// How many requests had begun before it.
    begun: u64,
    received: usize,
    since: Option<Instant>,
    has_paused: bool,
    permit: Option<OwnedSemaphorePermit>,
    /// Kept from one head to the next: it costs less to let it go off in vain than to set it each time.
    timer: Option<Pin<Box<Sleep>>>,
}

impl Head {
    fn receive(&mut self, length: usize) {
        if length > 0 {
            self.received += length;
            self.since.get_or_insert_with(Instant::now);
        }
    }

    /// Whether more may be read, although it is more than a head may have.
    fn admit_more(&mut self, cx: &mut Context<'_>, bounds: &Bounds) -> io::Result<bool> {
        if !self.has_paused {
            // The framework reads on as long as there is something; now it has to look whether there is a head in it.
            self.has_paused = true;
            cx.waker().wake_by_ref();
            return Ok(false);
        }
        if self.permit.is_none() {
            let permit = Arc::clone(&bounds.large_heads).try_acquire_owned();
            self.permit = Some(permit.map_err(|_| io::Error::other("too many large heads are under way"))?);
        }
        Ok(true)
    }

    /// Waits for the rest of the head, but not for ever.
    fn wait(&mut self, cx: &mut Context<'_>, deadline: Duration) -> io::Result<()> {
        let Some(since) = self.since else { return Ok(()) };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep(deadline)));
        while timer.as_mut().poll(cx).is_ready() {
            if since.elapsed() >= deadline {
                return Err(io::ErrorKind::TimedOut.into());
            }
            timer.as_mut().set(sleep_until((since + deadline).into()));
        }
        Ok(())
    }
}

/// How long the client may still take over the present answer.
struct Sending {
    /// What is left while nothing stalls; it runs down while something does, and what is taken adds to it.
    credit: Duration,
    stalled: Option<(Instant, Pin<Box<Sleep>>)>,
}

impl Sending {
    fn after<T>(
        &mut self,
        cx: &mut Context<'_>,
        polled: Poll<io::Result<T>>,
        full: Duration,
        length: impl Fn(&T) -> usize,
    ) -> Poll<io::Result<T>> {
        match &polled {
            Poll::Ready(Ok(done)) => {
                self.progress(length(done), full);
                polled
            }
            Poll::Pending if self.is_over(cx) => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
            Poll::Pending | Poll::Ready(Err(_)) => polled,
        }
    }

    fn progress(&mut self, length: usize, full: Duration) {
        if let Some((since, _)) = self.stalled.take() {
            self.credit = self.credit.saturating_sub(since.elapsed());
        }
        if self.credit < full {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            self.credit = full.min(self.credit + Duration::from_secs(1) * length / SLOWEST_PER_SEC);
        }
    }

    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let credit = self.credit;
        let (_, timer) = self.stalled.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(credit))));
        timer.as_mut().poll(cx).is_ready()
    }
}
