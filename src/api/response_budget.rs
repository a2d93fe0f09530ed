//! Response bodies that take memory of the budget until they have been sent.

use std::{
    convert::Infallible,
    io::{self, Write},
    pin::Pin,
    task::{Context, Poll},
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    web::Bytes,
};

use super::memory_budget::{BudgetExhausted, DEFAULT, Holder, MemoryBudget, Permit, SMALL};

/// The memory budget of one response.
pub(super) struct ResponseBudget<'a> {
    /// The whole memory.
    pub(super) memory: &'a MemoryBudget,
    /// The client that it is charged to.
    pub(super) holder: Holder,
    /// The memory that is taken already.
    pub(super) permit: Option<Permit>,
    /// Whether the response is refused if there is no memory. The response to a change is not, because the change would
    /// seem to have failed.
    pub(super) may_be_refused: bool,
    /// Whether only its length is sent, as for HEAD.
    pub(super) is_head: bool,
}

impl<'a> ResponseBudget<'a> {
    /// A budget that is charged to no client.
    pub(super) fn of(memory: &'a MemoryBudget) -> Self {
        Self { memory, holder: Holder::default(), permit: None, may_be_refused: true, is_head: false }
    }

    /// The permit for the memory that is taken already.
    fn taken(self) -> Permit {
        self.permit.unwrap_or_else(|| self.memory.permit(self.holder))
    }

    /// A permit for that many bytes.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if other requests hold the memory.
    fn permit(self, bytes: usize) -> Result<Permit, BudgetExhausted> {
        let may_be_refused = self.may_be_refused;
        let mut permit = self.taken();
        let grown = permit.grow_to(bytes);
        if may_be_refused {
            grown?;
        }
        permit.take(bytes);
        Ok(permit)
    }
}

/// The body of a response while it is written; its permit grows with it.
pub(super) struct BudgetedBuffer {
    bytes: Vec<u8>,
    length: usize,
    permit: Permit,
    may_be_refused: bool,
    is_head: bool,
}

impl BudgetedBuffer {
    /// An empty buffer.
    pub(super) fn new(response_budget: ResponseBudget<'_>) -> Self {
        let ResponseBudget { may_be_refused, is_head, .. } = response_budget;
        let permit = response_budget.taken();
        let bytes = Vec::with_capacity(if is_head { 0 } else { DEFAULT });
        Self { bytes, length: 0, permit, may_be_refused, is_head }
    }

    /// A buffer that is written from records of that many bytes, which are dropped as it grows.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for the records.
    pub(super) fn replacing(response_budget: ResponseBudget<'_>, record_bytes: usize) -> Result<Self, BudgetExhausted> {
        let ResponseBudget { memory, holder, may_be_refused, is_head, .. } = response_budget;
        let permit = Some(response_budget.permit(record_bytes)?);
        Ok(Self::new(ResponseBudget { memory, holder, permit, may_be_refused, is_head }))
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for more.
    pub(super) fn put(&mut self, more: &[u8]) -> Result<(), BudgetExhausted> {
        self.write_all(more).map_err(|_| BudgetExhausted)
    }

    /// The number of bytes written.
    pub(super) fn len(&self) -> usize {
        self.length
    }

    /// The bytes written.
    pub(super) fn into_bytes(self) -> Bytes {
        self.bytes.into()
    }

    /// The bytes written, as the body of a response.
    pub(super) fn into_body(mut self) -> BoxBody {
        if self.is_head {
            return Lengthy(self.length as u64).boxed();
        }
        self.permit.shrink_to(self.bytes.capacity());
        body(self.bytes.into(), Some(self.permit))
    }

    fn make_room(&mut self, length: usize) -> Result<(), BudgetExhausted> {
        let wanted = length.max(self.bytes.capacity() / 2 * 3);
        let grown = self.permit.grow_to(wanted);
        if self.may_be_refused {
            grown?;
        }
        self.permit.take(wanted);
        self.bytes.reserve_exact(wanted - self.bytes.len());
        Ok(())
    }
}

impl Write for BudgetedBuffer {
    fn write(&mut self, more: &[u8]) -> io::Result<usize> {
        self.length += more.len();
        if self.is_head {
            return Ok(more.len());
        }
        if self.length > self.bytes.capacity() {
            self.make_room(self.length).map_err(|_| io::ErrorKind::OutOfMemory)?;
        }
        self.bytes.extend_from_slice(more);
        Ok(more.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The body of a response that is already encoded.
///
/// # Errors
/// [`BudgetExhausted`] if there is no memory for it and it may be refused.
pub(super) fn ready_body(response_budget: ResponseBudget<'_>, bytes: Bytes) -> Result<BoxBody, BudgetExhausted> {
    if bytes.len() <= SMALL {
        return Ok(bytes.boxed());
    }
    let permit = response_budget.permit(bytes.len())?;
    Ok(body(bytes, Some(permit)))
}

/// A body that the server holds permanently, and that takes no memory of its own.
pub(super) fn static_body(bytes: Bytes) -> BoxBody {
    body(bytes, None)
}

/// A body that is sent in pieces if it is large, so that the framework buffers no copy of it for a slow client.
fn body(bytes: Bytes, permit: Option<Permit>) -> BoxBody {
    if bytes.len() <= SMALL { bytes.boxed() } else { Pieces { rest: bytes, _permit: permit }.boxed() }
}

/// A body of which only the length is sent.
struct Lengthy(u64);

impl MessageBody for Lengthy {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.0)
    }

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Bytes, Infallible>>> {
        Poll::Ready(None)
    }
}

/// The rest of a body.
struct Pieces {
    rest: Bytes,
    _permit: Option<Permit>,
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
    fn an_answer_takes_its_share_while_it_is_written_and_keeps_it_until_it_is_sent() {
        let memory = MemoryBudget::new(1 << 20);
        let written = |may_be_refused| {
            let mut buffer = BudgetedBuffer::new(ResponseBudget { may_be_refused, ..ResponseBudget::of(&memory) });
            (0..700).try_for_each(|_| buffer.write_all(&[b'x'; 1 << 10])).map(|()| buffer.into_body())
        };

        let first = written(true).unwrap();
        assert_eq!(written(true).err().map(|error| error.kind()), Some(io::ErrorKind::OutOfMemory));
        let reported = written(false).unwrap();
        assert_eq!(reported.size(), BodySize::Sized(700 << 10), "what was done is reported all the same");
        drop(first);
        assert!(written(true).is_err(), "and counted");
        drop(reported);
        assert!(written(true).is_ok());
    }

    #[test]
    fn a_body_of_which_only_the_length_is_sent_takes_no_memory() {
        let memory = MemoryBudget::new(1 << 10);
        let mut buffer = BudgetedBuffer::new(ResponseBudget { is_head: true, ..ResponseBudget::of(&memory) });
        (0..700).for_each(|_| buffer.put(&[b'x'; 1 << 10]).unwrap());

        assert_eq!((buffer.bytes.capacity(), memory.permit(Holder::default()).grow_to(SMALL + 1)), (0, Ok(())));
        assert_eq!(buffer.into_body().size(), BodySize::Sized(700 << 10));
    }
}
