//! Large bodies and answers under way, which share a bounded part of the memory.

use std::{
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use actix_web::{
    HttpResponse,
    body::{BodySize, MessageBody},
    web::Bytes,
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::error::ApiError;

/// What a connection may have under way without asking, and in what pieces an answer goes to the socket.
///
/// A connection keeps the buffer that its longest piece needed for as long as it lives.
pub(super) const SMALL: usize = 12 << 10;

/// How much more a share takes at least, so that many small pieces do not ask each time.
const STEP: usize = 64 << 10;

/// The memory for large bodies and answers, in KiB.
#[derive(Clone, Debug)]
pub struct TransferMemory {
    free: Arc<Semaphore>,
    whole: u32,
}

/// A part of that memory, given back when this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    memory: TransferMemory,
    kept: Option<OwnedSemaphorePermit>,
    bytes: usize,
}

impl TransferMemory {
    /// That many bytes.
    #[must_use]
    pub fn new(bytes: usize) -> Self {
        let whole = u32::try_from(bytes >> 10).unwrap_or(u32::MAX);
        Self { free: Arc::new(Semaphore::new(whole as usize)), whole }
    }

    /// A share that is enough for [`SMALL`].
    pub(super) fn share(&self) -> Share {
        Share { memory: self.clone(), kept: None, bytes: SMALL }
    }
}

impl Share {
    /// Makes the share large enough for that many bytes; what is larger than the whole memory takes all of it.
    ///
    /// # Errors
    /// [`ApiError::Crowded`] if others have what is needed.
    pub(super) fn grow_to(&mut self, bytes: usize) -> Result<(), ApiError> {
        if bytes <= self.bytes {
            return Ok(());
        }
        let wanted = bytes.max(self.bytes + STEP);
        let held = self.kept.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let held = u32::try_from(held).unwrap_or(u32::MAX);
        let needed = u32::try_from((wanted - SMALL).div_ceil(1 << 10)).unwrap_or(u32::MAX).min(self.memory.whole);
        let more = Arc::clone(&self.memory.free).try_acquire_many_owned(needed.saturating_sub(held));
        let more = more.map_err(|_| ApiError::Crowded)?;
        match &mut self.kept {
            Some(kept) => kept.merge(more),
            None => self.kept = Some(more),
        }
        self.bytes = wanted;
        Ok(())
    }
}

/// The answer, handed to the socket in pieces if it is large, so that no copy of it waits for a slow reader.
///
/// # Errors
/// [`ApiError::Crowded`] if the memory for such answers is used up.
pub(super) fn in_pieces(response: HttpResponse, memory: &TransferMemory) -> Result<HttpResponse, ApiError> {
    let size = match response.body().size() {
        BodySize::Sized(size) => usize::try_from(size).map_err(|_| ApiError::Crowded)?,
        BodySize::None | BodySize::Stream => 0,
    };
    if size <= SMALL {
        return Ok(response);
    }
    let mut share = memory.share();
    share.grow_to(size)?;
    Ok(response.map_body(|_, body| match body.try_into_bytes() {
        Ok(rest) => Pieces { rest, _share: share }.boxed(),
        Err(body) => body,
    }))
}

/// What is left of an answer.
struct Pieces {
    rest: Bytes,
    _share: Share,
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
        let memory = TransferMemory::new(1 << 20);
        let (mut one, mut other) = (memory.share(), memory.share());

        assert!(one.grow_to(900 << 10).is_ok());
        assert!(matches!(other.grow_to(200 << 10), Err(ApiError::Crowded)));
        assert!(other.grow_to(SMALL).is_ok());
        drop(one);
        assert!(other.grow_to(900 << 10).is_ok());
        assert!(other.grow_to(9 << 20).is_ok(), "one that is larger than all takes all");
        assert!(matches!(memory.share().grow_to(SMALL + 1), Err(ApiError::Crowded)));
    }
}
