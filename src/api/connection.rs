//! The state that the socket and the handlers of one connection share.
//!
//! The socket passes one request at a time to the framework, and reads here when its answer has ended. The handler
//! records here how much of the body it has read, and reads here why a request could not be parsed.

use std::{
    cell::Cell,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use crate::service::KnownName;

/// Why a request could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It is not HTTP, or two parsers might read it differently; with a sentence about what is wrong.
    Malformed(&'static str),
    /// Its headers are too many or too long.
    HeadersTooLarge,
    /// Its target is too long.
    PathTooLong,
    /// Its head took too long to arrive.
    HeadTooSlow,
    /// There is no memory for its head.
    BudgetExhausted,
}

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// TCP, in the clear.
    Tcp,
    /// TLS, which this server terminates.
    Tls,
    /// A Unix socket that the API is served on, where a peer is nobody in particular.
    Unix,
    /// The local socket, with the peer's uid as the kernel reports it: root's or the server's own.
    Local(u32),
    /// The socket for system users, with the peer's uid as the kernel reports it.
    SystemUser(u32),
}

/// The shared state of one connection.
pub struct Connection {
    medium: Medium,
    system_name: KnownName,
    is_recorded: Cell<bool>,
    is_pending: Cell<bool>,
    head_bytes: Cell<usize>,
    is_closing: Cell<bool>,
    refusal: Cell<Option<Refusal>>,
    body_ahead: Cell<usize>,
    is_body_complete: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

impl Connection {
    /// The state of a new connection.
    #[must_use]
    pub fn new(medium: Medium) -> Self {
        Self {
            medium,
            system_name: KnownName::default(),
            is_recorded: Cell::new(false),
            is_pending: Cell::new(false),
            head_bytes: Cell::new(usize::MAX),
            is_closing: Cell::new(false),
            refusal: Cell::new(None),
            body_ahead: Cell::new(0),
            is_body_complete: Cell::new(true),
            waker: Cell::new(None),
        }
    }

    /// Records that a request with a head of that many bytes was passed to the framework; it is pending until its answer has
    /// been written.
    pub fn hand_on(&self, head_bytes: usize) {
        self.is_pending.set(true);
        self.head_bytes.set(head_bytes);
        self.body_ahead.set(0);
    }

    /// Records that a part of the pending request's body was passed on: what the framework keeps of it, in bytes, and whether the
    /// body ends with it.
    pub fn hand_on_body(&self, cost: usize, is_complete: bool) {
        self.body_ahead.set(self.body_ahead.get() + cost);
        self.is_body_complete.set(is_complete);
    }

    /// Records that the request that was passed on is a substitute for one that could not be read.
    pub fn refuse(&self, refusal: Refusal) {
        self.hand_on(0);
        self.is_body_complete.set(false);
        self.refusal.set(Some(refusal));
    }

    /// The size of the pending request's head.
    pub(super) fn head_bytes(&self) -> usize {
        self.head_bytes.get()
    }

    /// Whether a request is pending.
    #[must_use]
    pub fn is_pending(&self) -> bool {
        self.is_pending.get()
    }

    /// What the framework keeps of the pending request's body, in bytes: its handler has not read it.
    #[must_use]
    pub fn body_ahead(&self) -> usize {
        self.body_ahead.get()
    }

    /// Records that the pending request is the last one, which its answer announces.
    pub fn close(&self) {
        self.is_closing.set(true);
    }

    /// Wakes that task once, when the answer has ended or the handler has read the body so far.
    pub fn wake_later(&self, waker: &Waker) {
        self.waker.set(Some(waker.clone()));
    }

    /// Wakes the task that waits for this connection, if there is one.
    pub fn wake(&self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Whether this is the first call, for what is recorded once of a connection.
    pub(super) fn is_first(&self) -> bool {
        !self.is_recorded.replace(true)
    }

    /// The system's name of the peer's uid, as far as it was asked for.
    pub(super) fn system_name(&self) -> &KnownName {
        &self.system_name
    }

    /// What it goes over.
    pub(super) fn medium(&self) -> Medium {
        self.medium
    }

    /// Whether the pending answer is the last one, if it begins now: the rest of the body is not waited for.
    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.get() || !self.is_body_complete.get()
    }

    /// Why the pending request could not be read, if it could not.
    pub(super) fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.take()
    }

    /// Records that the handler has read the body as far as it was passed on, and waits for more.
    pub(super) fn take_body(&self) {
        self.body_ahead.set(0);
        self.wake();
    }

    /// Begins an answer, which ends when the returned guard is dropped.
    pub(crate) fn begin(self: Rc<Self>) -> Answering {
        Answering(self)
    }
}

/// Marks the request as pending until it is dropped.
pub(crate) struct Answering(Rc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_pending.set(false);
        self.0.wake();
    }
}

/// The body of an answer, which ends the answer once it is dropped. A body in one piece ends it now, because the framework
/// writes it together with the head before it reads on.
pub(super) fn lasting(body: BoxBody, answering: Option<Answering>) -> BoxBody {
    if body.size() == BodySize::None {
        return body;
    }
    match body.try_into_bytes() {
        Ok(bytes) => bytes.boxed(),
        Err(body) => LastingBody { body, _answering: answering }.boxed(),
    }
}

/// The body of an answer; dropping it ends the answer.
struct LastingBody {
    body: BoxBody,
    _answering: Option<Answering>,
}

impl MessageBody for LastingBody {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_next(cx)
    }
}
