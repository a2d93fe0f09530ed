//! Large bodies and answers under way, which share a bounded part of the memory.

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

/// What a connection may have under way without asking, and in what pieces an answer goes to the socket.
///
/// A connection keeps the buffer that its longest piece needed for as long as it lives.
pub(super) const SMALL: usize = 12 << 10;

/// More than most records take as JSON.
pub(super) const DEFAULT: usize = 512;

/// How much more a share takes at least, so that many small pieces do not ask each time.
const STEP: usize = 64 << 10;

/// The memory for large bodies and answers, in KiB.
#[derive(Clone, Debug)]
pub struct MemoryBudget {
    free: Arc<Semaphore>,
    whole: u32,
}

/// The memory for large bodies and answers is in use by others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the memory for large bodies and answers is in use")]
pub(super) struct BudgetExhausted;

/// A part of that memory, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Permit {
    memory: MemoryBudget,
    kept: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl MemoryBudget {
    /// That many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let whole = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// A share for up to that many bytes; half of the memory is enough for as many as there may be.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if others have what is needed.
    pub(super) fn room_for(&self, most: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.permit();
        permit.grow_to(most.min((self.whole as usize) << 9))?;
        Ok(permit)
    }

    /// A share that is enough for [`SMALL`].
    pub(super) fn permit(&self) -> Permit {
        Permit { memory: self.clone(), kept: None, bytes: SMALL }
    }
}

impl Permit {
    /// Makes the share large enough for that many bytes; what is larger than the whole memory takes all of it.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if others have what is needed.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), BudgetExhausted> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let wanted = bytes.max(self.bytes + STEP);
        let held = self.kept.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let needed = u32::try_from((wanted - SMALL).div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.memory.whole);
        let more = Arc::clone(&self.memory.free).try_acquire_many_owned(needed.saturating_sub(held));
        let more = more.map_err(|_| BudgetExhausted)?;
        match &mut self.kept {
            Some(kept) => kept.merge(more),
            None => self.kept = Some(more),
        }
        self.bytes = wanted;
        Ok(())
    }
}

/// What an answer may take of that memory.
#[derive(Clone, Copy)]
pub(super) struct ResponseBudget<'a> {
    pub(super) memory: &'a MemoryBudget,
    /// Whether it is refused for want of memory. One that tells what has been done is not: it would seem not to be done.
    pub(super) may_be_refused: bool,
}

impl ResponseBudget<'_> {
    /// A share for that many bytes.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if others have what is needed.
    pub(super) fn permit(self, bytes: usize) -> Result<Permit, BudgetExhausted> {
        let mut permit = self.memory.permit();
        let grown = permit.grow_to(bytes);
        if self.may_be_refused {
            grown?;
        }
        Ok(permit)
    }
}

/// An answer that is being written, whose share grows with it.
pub(super) struct BudgetedBuffer {
    bytes: Vec<u8>,
    permit: Permit,
    may_be_refused: bool,
}

impl BudgetedBuffer {
    /// One with nothing in it.
    pub(super) fn new(response_budget: ResponseBudget<'_>) -> Self {
        let ResponseBudget { memory, may_be_refused } = response_budget;
        Self { bytes: Vec::with_capacity(DEFAULT), permit: memory.permit(), may_be_refused }
    }

    /// One that is written from records of that many bytes, which go as it grows.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for the records.
    pub(super) fn in_place_of(response_budget: ResponseBudget<'_>, records: usize) -> Result<Self, BudgetExhausted> {
        Ok(Self { permit: response_budget.permit(records)?, ..Self::new(response_budget) })
    }

    /// Adds to it.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for more.
    pub(super) fn put(&mut self, more: &[u8]) -> Result<(), BudgetExhausted> {
        self.write_all(more).map_err(|_| BudgetExhausted)
    }

    /// How much was written.
    pub(super) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// What was written.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    /// What was written, as the body of an answer.
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

/// The body of an answer that is there already.
///
/// # Errors
/// [`BudgetExhausted`] if the memory for such answers is used up.
pub(super) fn ready_body(response_budget: ResponseBudget<'_>, bytes: Bytes) -> Result<BoxBody, BudgetExhausted> {
    let permit = response_budget.permit(bytes.len())?;
    Ok(body(bytes, permit))
}

/// A body that is handed to the socket in pieces if it is large, so that no copy of it waits for a slow reader.
fn body(bytes: Bytes, permit: Permit) -> BoxBody {
    if bytes.len() <= SMALL { bytes.boxed() } else { Pieces { rest: bytes, _share: permit }.boxed() }
}

/// What is left of an answer.
struct Pieces {
    rest: Bytes,
    _share: Permit,
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
    fn large_shares_are_bounded_together_and_given_back() {
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
    fn an_answer_takes_its_share_while_it_is_written_and_keeps_it_until_it_is_sent() {
        let memory = MemoryBudget::new(1 << 20);
        let written = |may_be_refused| {
            let mut buffer = BudgetedBuffer::new(ResponseBudget { memory: &memory, may_be_refused });
            (0..700).try_for_each(|_| buffer.write_all(&[b'x'; 1 << 10])).map(|()| buffer.into_body())
        };

        let first = written(true).unwrap();
        assert_eq!(written(true).err().map(|error| error.kind()), Some(io::ErrorKind::OutOfMemory));
        assert_eq!(written(false).unwrap().size(), BodySize::Sized(700 << 10), "what was done is told all the same");
        drop(first);
        assert!(written(true).is_ok());
    }
}
