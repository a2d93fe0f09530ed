//! The connection that requests come on.

use std::{cell::Cell, rc::Rc};

/// What the requests of one connection have in common, and what the socket has to know of them.
#[derive(Debug)]
pub struct Connection {
    is_encrypted: bool,
    begun: Cell<u64>,
    is_answering: Cell<bool>,
}

impl Connection {
    /// A connection on which nothing has been asked yet.
    #[must_use]
    pub fn new(is_encrypted: bool) -> Self {
        Self { is_encrypted, begun: Cell::new(0), is_answering: Cell::new(false) }
    }

    /// How many requests have begun on it.
    #[must_use]
    pub fn begun(&self) -> u64 {
        self.begun.get()
    }

    /// Whether a request is being answered, which has its own deadlines.
    #[must_use]
    pub fn is_answering(&self) -> bool {
        self.is_answering.get()
    }

    /// Whether it is this server that has encrypted it.
    pub(super) fn is_encrypted(&self) -> bool {
        self.is_encrypted
    }

    /// Begins a request, which lasts until what is returned is dropped.
    pub(super) fn begin(self: Rc<Self>) -> Answering {
        self.begun.set(self.begun.get() + 1);
        self.is_answering.set(true);
        Answering(self)
    }
}

/// A request that is being answered.
pub(super) struct Answering(Rc<Connection>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.is_answering.set(false);
    }
}
