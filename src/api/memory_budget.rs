//! The memory that large bodies and responses in progress share.
//!
//! Each holds a permit for what it takes, which grows with it and is returned when it is dropped. The first [`SMALL`] bytes of
//! each need none.

use std::{
    convert::Infallible,
    io::{self, Write},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};
use thiserror::Error;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bytes that a body or a response may take without a permit, and the size of the pieces that a response is sent in.
///
/// A connection keeps the buffer that its longest piece needed for as long as it lives.
pub(super) const SMALL: usize = 12 << 10;

/// The capacity that a response starts with, in bytes: more than most records take as JSON.
pub(super) const DEFAULT: usize = 512;

/// The bytes by which a permit grows at least, so that many small writes do not acquire memory each time.
const STEP: usize = 64 << 10;

/// The memory for large bodies and responses; a clone is the same memory.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    /// What is free, in KiB.
    free: Arc<Semaphore>,
    /// The whole, in KiB.
    whole: u32,
}

/// Other requests hold the memory that is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the memory for large bodies and responses is in use")]
pub(super) struct BudgetExhausted;

/// A part of that memory, returned when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    memory: MemoryBudget,
    held: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl MemoryBudget {
    /// A budget of that many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let whole = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// A permit for up to that many bytes, and for no more than half of the memory.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold what is needed.
    pub(super) fn reserve(&self, max_bytes: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.permit();
        permit.grow_to(max_bytes.min((self.whole as usize) << 9))?;
        Ok(permit)
    }

    /// A permit for [`SMALL`] bytes, which need none of the memory.
    pub(super) fn permit(&self) -> Permit {
        Permit { memory: self.clone(), held: None, bytes: SMALL }
    }
}

impl Permit {
    /// Grows to that many bytes; more than the whole memory takes all of it.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold what is needed.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let wanted = bytes.max(self.bytes + STEP);
        let held = self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let needed = u32::try_from((wanted - SMALL).div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.memory.whole);
        let more = Arc::clone(&self.memory.free).try_acquire_many_owned(needed.saturating_sub(held));
        let more = more.map_err(|_| BudgetExhausted)?;
        match &mut self.held {
            Some(held) => held.merge(more),
            None => self.held = Some(more),
        }
        self.bytes = wanted;
        Ok(())
    }
}

/// The memory that a response may take.
#[derive(Clone, Copy)]
pub(super) struct ResponseBudget<'a> {
    pub(super) memory: &'a MemoryBudget,
    /// Whether a lack of memory turns the response into an error. One that reports a change does not: the change would seem not
    /// to have been made.
    pub(super) may_be_refused: bool,
}

impl ResponseBudget<'_> {
    /// A permit for that many bytes.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold what is needed.
    pub(super) fn permit(self, bytes: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.memory.permit();
        let grown = permit.grow_to(bytes);
        if self.may_be_refused {
            grown?;
        }
        Ok(permit)
    }
}

/// The body of a response while it is written; its permit grows with it.
pub(super) struct BudgetedBuffer {
    bytes: Vec<u8>,
    permit: Permit,
    may_be_refused: bool,
}

impl BudgetedBuffer {
    /// An empty buffer.
    pub(super) fn new(response_budget: ResponseBudget<'_>) -> Self {
        let ResponseBudget { memory, may_be_refused } = response_budget;
        Self { bytes: Vec::with_capacity(DEFAULT), permit: memory.permit(), may_be_refused }
    }

    /// An empty buffer that also counts the records it is written from, which are dropped one by one as it grows.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for the records.
    pub(super) fn replacing(response_budget: ResponseBudget<'_>, record_bytes: usize) -> Result<Self, BudgetExhausted> {
        Ok(Self { permit: response_budget.permit(record_bytes)?, ..Self::new(response_budget) })
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for more.
    pub(super) fn put(&mut self, more: &[u8]) -> Result<(), BudgetExhausted> {
        self.write_all(more).map_err(|_| BudgetExhausted)
    }

    /// How many bytes were written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// The bytes that were written.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    /// The bytes that were written, as the body of a response.
    pub(super) fn into_body(self) -> BoxBody {
        body(self.bytes.into(), self.permit)
    }

    fn make_room(&mut self, length: usize) -> Result<(), BudgetExhausted> {
        let wanted = length.max(self.bytes.capacity() / 2 * 3);
        let grown = self.permit.grow_to(wanted);
        if self.may_be_refused {
            grown?;
        }
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}

impl Write for BudgetedBuffer {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        let length = self.bytes.len() + more.len();
        if length > self.bytes.capacity() {
            self.make_room(length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A response body that exists already.
///
/// # Errors
/// [`BudgetExhausted`] if there is no memory for it and it may be refused.
pub(super) fn ready_body(response_budget: ResponseBudget<'_>, bytes: Bytes) -> Result<BoxBody, BudgetExhausted> {
    let permit = response_budget.permit(bytes.len())?;
    Ok(body(bytes, permit))
}

/// A body that goes to the socket in pieces if it is large, so that no whole copy of it waits for a slow client.
fn body(bytes: Bytes, permit: Permit) -> BoxBody {
    if bytes.len() <= SMALL { bytes.boxed() } else { Pieces { rest: bytes, _permit: permit }.boxed() }
}

/// The part of a response that is still to be sent.
struct Pieces {
    rest: Bytes,
    _permit: Permit,
}

impl MessageBody for Pieces {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.rest.len() as u64)
    }

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        let length = self.rest.len().min(SMALL);
        Poll::Ready((length > 0).then(|| Ok(self.rest.split_to(length))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn large_permits_are_bounded_together_and_returned() {
        let memory = MemoryBudget::new(1 << 20);
        let (mut one, mut other) = (memory.permit(), memory.permit());

        assert!(one.grow_to(900 << 10).is_ok());
        assert!(matches!(other.grow_to(200 << 10), Err(BudgetExhausted)));
        assert!(other.grow_to(SMALL).is_ok());
        drop(one);
        assert!(other.grow_to(900 << 10).is_ok());
        assert!(other.grow_to(9 << 20).is_ok(), "one that is larger than all takes all");
        assert!(matches!(memory.permit().grow_to(SMALL + 1), Err(BudgetExhausted)));
    }

    #[test]
    fn a_response_takes_memory_while_it_is_written_and_holds_it_until_it_is_sent() {
        let memory = MemoryBudget::new(1 << 20);
        let written = |may_be_refused| {
            let mut buffer = BudgetedBuffer::new(ResponseBudget { memory: &memory, may_be_refused });
            (0..700).try_for_each(|_| buffer.write_all(&[b'x'; 1 << 10])).map(|()| buffer.into_body())
        };

        let first = written(true).unwrap();
        assert_eq!(written(true).err().map(|error| error.kind()), Some(io::ErrorKind::OutOfMemory));
        assert_eq!(written(false).unwrap().size(), BodySize::Sized(700 << 10), "a change is reported all the same");
        drop(first);
        assert!(written(true).is_ok());
    }
}
