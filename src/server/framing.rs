//! Passes the bytes of a connection to the framework: one request at a time, and of its body as much as is wanted.
//!
//! Otherwise actix-http decodes all buffered requests even if the client does not read their answers, forgets the
//! queued ones when the client closes its half of the connection, and closes without an answer after what it cannot
//! parse.

use actix_web::web::BytesMut;
use bytes::Buf;
use tokio::io::ReadBuf;

use super::{body::Body, head};
use crate::api::Refusal;

/// The substitute for a request that cannot be read. Its body never ends, so that the framework announces the end of
/// the connection in the answer, and discards what the client sends until it has read that answer.
const UNREADABLE: &[u8] = b"- / HTTP/1.1\r\nHost: -\r\nContent-Length: 18446744073709551615\r\n\r\n";

/// The bytes that have been received and not passed on, and what they belong to.
pub(super) struct Framing {
    phase: Phase,
    received: BytesMut,
    /// How many of the received bytes may be passed on.
    granted: usize,
    /// Whether bytes have been received since the last search for a head.
    is_unread: bool,
    head_bytes: usize,
}

/// The part of the conversation that the next bytes belong to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// The head of the next request.
    Head,
    /// A request whose head has been passed on.
    Body { body: Body, is_last: bool },
    /// A request that cannot be read and has not been answered.
    Refused,
    /// Nothing: the bytes are discarded. They may be the rest of a body.
    Closing { is_in_body: bool },
}

/// What may be passed on now.
#[derive(Clone, Copy)]
pub(super) struct Allowance {
    /// Whether a request may begin.
    pub(super) may_begin: bool,
    /// How much of a body may be passed on, by what the framework keeps of it.
    pub(super) body: usize,
}

/// Bytes that are passed on: their number, how many of them are a head, and what the framework keeps of a body among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Grant {
    pub(super) bytes: usize,
    pub(super) head: usize,
    pub(super) body: usize,
}

impl Framing {
    /// The framing of a new connection, whose heads may have that many bytes.
    pub(super) fn new(head_bytes: usize) -> Self {
        Self { phase: Phase::Head, received: BytesMut::new(), granted: 0, is_unread: false, head_bytes }
    }

    pub(super) fn phase(&self) -> &Phase {
        &self.phase
    }

    /// Whether the pending request's body is malformed.
    pub(super) fn is_broken(&self) -> bool {
        matches!(&self.phase, Phase::Body { body, .. } if body.is_broken())
    }

    /// Whether nothing more belongs to the present request.
    pub(super) fn is_complete(&self) -> bool {
        matches!(&self.phase, Phase::Body { body, .. } if body.is_complete())
    }

    /// Whether the pending request is the last one, even if the framework would keep the connection.
    pub(super) fn is_last(&self) -> bool {
        matches!(&self.phase, Phase::Body { is_last: true, .. })
    }

    /// Whether nothing of a next request has been received; empty lines before it do not count (RFC 9112, section 2.2).
    pub(super) fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.received.iter().all(|byte| matches!(byte, b'\r' | b'\n'))
    }

    /// How many bytes have been received and not passed on.
    pub(super) fn waiting(&self) -> usize {
        self.received.len()
    }

    /// Continues after the pending answer has ended; false if no request has ended by that. After an answer that came before the
    /// end of the request's body nothing follows, which the answer has announced.
    pub(super) fn end_answer(&mut self) -> bool {
        let is_in_body = match &self.phase {
            Phase::Head | Phase::Closing { .. } => return false,
            Phase::Body { body, is_last: false } if body.is_complete() => {
                self.phase = Phase::Head;
                self.is_unread = true;
                return true;
            }
            Phase::Body { body, is_last: _ } => !body.is_complete(),
            Phase::Refused => true,
        };
        self.phase = Phase::Closing { is_in_body };
        self.received = BytesMut::new();
        self.granted = 0;
        true
    }

    /// Grants those of the received bytes that may be passed on.
    ///
    /// # Errors
    /// A [`Refusal`] if the next request cannot be read.
    pub(super) fn grant(&mut self, allowance: Allowance) -> Result<Grant, Refusal> {
        let is_waste = self.phase == Phase::Head && !self.is_unread;
        if self.granted > 0 || self.received.is_empty() || is_waste {
            return Ok(Grant::default());
        }
        let grant = self.phase.grant(&mut self.received, allowance)?;
        self.granted = grant.bytes;
        if self.phase == Phase::Head && allowance.may_begin {
            self.is_unread = false;
        }
        if self.phase == Phase::Head && allowance.may_begin && self.received.len() > self.head_bytes {
            let is_line = self.received.contains(&b'\n');
            return Err(if is_line { Refusal::HeadersTooLarge } else { Refusal::PathTooLong });
        }
        Ok(grant)
    }

    /// Takes bytes that have just been received, and leaves those in the buffer that may be passed on at once.
    ///
    /// # Errors
    /// A [`Refusal`] if the next request cannot be read.
    pub(super) fn receive(
        &mut self,
        buf: &mut ReadBuf<'_>,
        from: usize,
        allowance: Allowance,
    ) -> Result<Grant, Refusal> {
        let grant = if self.received.is_empty() {
            self.phase.grant(&mut buf.filled_mut()[from..], allowance)?
        } else {
            Grant::default()
        };
        let rest = &buf.filled()[from + grant.bytes..];
        self.is_unread |= !allowance.may_begin || (!self.received.is_empty() && rest.contains(&b'\n'));
        self.is_unread |= self.received.len() + rest.len() > self.head_bytes;
        self.received.extend_from_slice(rest);
        buf.set_filled(from + grant.bytes);
        Ok(grant)
    }

    /// Passes on the granted bytes, as far as they fit; false if there are none.
    pub(super) fn hand_on(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let length = self.granted.min(buf.remaining());
        buf.put_slice(&self.received[..length]);
        self.received.advance(length);
        self.granted -= length;
        if self.received.is_empty() && length > 0 {
            // An idle connection keeps no buffer.
            self.received = BytesMut::new();
        }
        length > 0
    }

    /// Grants the substitute for a request that cannot be read; nothing is passed on after it.
    pub(super) fn refuse(&mut self) {
        self.received = BytesMut::from(UNREADABLE);
        self.granted = UNREADABLE.len();
        self.phase = Phase::Refused;
    }
}

impl Phase {
    fn grant(&mut self, bytes: &mut [u8], allowance: Allowance) -> Result<Grant, Refusal> {
        let mut grant = Grant::default();
        if *self == Self::Head && allowance.may_begin {
            let Some(head) = head::read(bytes)? else { return Ok(grant) };
            grant = Grant { bytes: head.length, head: head.length, body: 0 };
            *self = Self::Body { body: head.body, is_last: head.is_last };
        }
        if let Self::Body { body, .. } = self {
            let taken = body.take(&bytes[grant.bytes..], allowance.body);
            grant.bytes += taken.bytes;
            grant.body = taken.cost;
        }
        Ok(grant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GET: &str = "GET / HTTP/1.1\r\nHost: lodge\r\n\r\n";
    const BEGIN: Allowance = Allowance { may_begin: true, body: usize::MAX };
    const WAIT: Allowance = Allowance { may_begin: false, body: usize::MAX };

    /// The part of these bytes that is passed on at once.
    fn handed(framing: &mut Framing, text: &str, allowance: Allowance) -> Result<String, Refusal> {
        let mut memory = vec![0; text.len()];
        let mut buf = ReadBuf::new(&mut memory);
        buf.put_slice(text.as_bytes());
        let grant = framing.receive(&mut buf, 0, allowance)?;
        framing.grant(Allowance { body: allowance.body - grant.body, ..allowance })?;
        let mut rest = vec![0; 1 << 20];
        let mut more = ReadBuf::new(&mut rest);
        framing.hand_on(&mut more);
        Ok(format!("{}{}", str::from_utf8(buf.filled()).unwrap(), str::from_utf8(more.filled()).unwrap()))
    }

    #[test]
    fn one_request_is_passed_on_at_a_time() {
        let mut framing = Framing::new(1 << 10);
        let post = "POST / HTTP/1.1\r\nHost: lodge\r\nContent-Length: 3\r\n\r\nabc";

        assert_eq!(handed(&mut framing, &[post, GET, GET].concat(), BEGIN).unwrap(), post);
        assert_eq!(handed(&mut framing, &GET[..5], WAIT).unwrap(), "");
        for rest in [&GET[5..], "", ""] {
            assert!(framing.end_answer());
            assert_eq!(handed(&mut framing, rest, BEGIN).unwrap(), GET);
        }
        assert!(framing.end_answer());
        assert_eq!((framing.waiting(), framing.phase()), (0, &Phase::Head));
    }

    #[test]
    fn a_head_is_passed_on_once_it_is_whole_and_refused_once_it_is_malformed() {
        let mut framing = Framing::new(100);
        for byte in 0..GET.len() - 1 {
            assert_eq!(handed(&mut framing, &GET[byte..=byte], BEGIN).unwrap(), "");
        }
        assert_eq!(handed(&mut framing, "\n", BEGIN).unwrap(), GET);
        framing.end_answer();

        assert_eq!(handed(&mut framing, &format!("GET /{}", "x".repeat(100)), BEGIN), Err(Refusal::PathTooLong));
        let mut framing = Framing::new(100);
        let large = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(100));
        assert_eq!(handed(&mut framing, &large, BEGIN), Err(Refusal::HeadersTooLarge));
        assert!(matches!(handed(&mut Framing::new(100), "\x16\x03\x01", BEGIN), Err(Refusal::Malformed(_))));
    }

    #[test]
    fn no_more_of_a_body_is_passed_on_than_is_wanted() {
        let mut framing = Framing::new(1 << 10);
        let head = "POST / HTTP/1.1\r\nHost: lodge\r\nTransfer-Encoding: chunked\r\n\r\n";
        let wanted = |body| Allowance { may_begin: true, body };

        let text = format!("{head}5\r\nabcde\r\n0\r\n\r\nGET");
        // Three bytes for the size, and the data with what a piece costs.
        let (size, data) = (3, 5 + 64);
        assert_eq!(handed(&mut framing, &text, wanted(size + data)).unwrap(), format!("{head}5\r\nabcde"));
        assert_eq!(handed(&mut framing, " /", wanted(0)).unwrap(), "");
        assert_eq!(handed(&mut framing, "", wanted(100)).unwrap(), "\r\n0\r\n\r\n");
        assert_eq!(framing.waiting(), "GET /".len());
    }

    #[test]
    fn bytes_after_the_last_request_are_discarded() {
        for last in ["GET / HTTP/1.1\r\nHost: lodge\r\nConnection: close\r\n\r\n", "GET / HTTP/1.0\r\n\r\n"] {
            let mut framing = Framing::new(1 << 10);
            assert_eq!(handed(&mut framing, &format!("{last}{GET}"), BEGIN).unwrap(), last);
            assert!(framing.end_answer());
            assert_eq!((framing.phase(), framing.waiting()), (&Phase::Closing { is_in_body: false }, 0));
        }
    }

    #[test]
    fn nothing_follows_a_request_that_is_answered_before_its_body_has_ended() {
        for (framed_by, part) in [("Transfer-Encoding: chunked", "5\r\nab"), ("Content-Length: 3", "ab")] {
            let mut framing = Framing::new(1 << 10);
            let head = format!("POST / HTTP/1.1\r\nHost: lodge\r\n{framed_by}\r\n\r\n");

            handed(&mut framing, &format!("{head}{part}"), BEGIN).unwrap();

            assert!(!framing.is_complete() && framing.end_answer());
            assert_eq!(framing.phase(), &Phase::Closing { is_in_body: true }, "{framed_by}");
        }
    }
}
