//! Finds the end of a request's body.

/// The maximum size of chunk extensions and trailers, which are ignored.
const MAX_OVERHEAD: usize = 16 << 10;
/// The maximum number of digits of a chunk's size.
const MAX_DIGITS: u8 = 16;
/// What the framework keeps of each piece of a body besides its bytes, at least.
const PIECE: usize = 64;

/// The rest of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Body {
    /// That many bytes.
    Length(u64),
    /// Chunks (RFC 9112, section 7.1).
    Chunked { next: Chunk, overhead: usize },
    /// Unreadable: a chunk is malformed.
    Broken,
}

/// A number of bytes of a body, and how many bytes the framework keeps for them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Taken {
    pub(super) bytes: usize,
    pub(super) cost: usize,
}

/// The next part of a chunked body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chunk {
    Size { digits: u8, size: u64 },
    Blank(u64),
    Extension(u64),
    SizeLf(u64),
    Data(u64),
    DataCr,
    DataLf,
    Trailers,
    Trailer,
    TrailerLf,
    EndLf,
    End,
}

impl Body {
    pub(super) fn of_length(length: u64) -> Self {
        Self::Length(length)
    }

    pub(super) fn chunked() -> Self {
        Self::Chunked { next: Chunk::Size { digits: 0, size: 0 }, overhead: 0 }
    }

    /// Whether all of it has been taken.
    pub(super) fn is_complete(&self) -> bool {
        matches!(self, Self::Length(0) | Self::Chunked { next: Chunk::End, .. })
    }

    /// Whether nothing more can be taken although it is not complete.
    pub(super) fn is_broken(&self) -> bool {
        *self == Self::Broken
    }

    /// Takes the bytes at the beginning that belong to the body and cost at most that much.
    pub(super) fn take(&mut self, bytes: &[u8], max_cost: usize) -> Taken {
        match self {
            Self::Length(left) => {
                let piece = Taken::piece(*left, bytes.len(), max_cost);
                *left -= piece.bytes as u64;
                piece
            }
            Self::Chunked { .. } => self.take_chunks(bytes, max_cost),
            Self::Broken => Taken::default(),
        }
    }

    fn take_chunks(&mut self, bytes: &[u8], max_cost: usize) -> Taken {
        let mut taken = Taken::default();
        while let Self::Chunked { next, overhead } = self
            && *next != Chunk::End
            && taken.bytes < bytes.len()
            && taken.cost < max_cost
        {
            if let Chunk::Data(left) = *next {
                let piece = Taken::piece(left, bytes.len() - taken.bytes, max_cost - taken.cost);
                if piece.bytes == 0 {
                    break;
                }
                let left = left - piece.bytes as u64;
                *next = if left == 0 { Chunk::DataCr } else { Chunk::Data(left) };
                taken = Taken { bytes: taken.bytes + piece.bytes, cost: taken.cost + piece.cost };
                continue;
            }
            *overhead += usize::from(matches!(next, Chunk::Blank(_) | Chunk::Extension(_) | Chunk::Trailer));
            let Some(after) = next.after(bytes[taken.bytes]).filter(|_| *overhead <= MAX_OVERHEAD) else {
                *self = Self::Broken;
                break;
            };
            *next = after;
            taken = Taken { bytes: taken.bytes + 1, cost: taken.cost + 1 };
        }
        taken
    }
}

impl Taken {
    /// Data in one piece: as much as is left, has come and may be paid for.
    fn piece(left: u64, received: usize, max_cost: usize) -> Self {
        let bytes = usize::try_from(left).unwrap_or(usize::MAX).min(received).min(max_cost.saturating_sub(PIECE));
        Self { bytes, cost: if bytes == 0 { 0 } else { bytes + PIECE } }
    }
}

impl Chunk {
    /// The part after that byte, which is not data; `None` if the byte is not allowed there.
    fn after(self, byte: u8) -> Option<Self> {
        match (self, byte) {
            (Self::Size { digits, size }, _) if byte.is_ascii_hexdigit() && digits < MAX_DIGITS => {
                let digit = u64::from(char::from(byte).to_digit(16)?);
                Some(Self::Size { digits: digits + 1, size: size << 4 | digit })
            }
            (Self::Size { digits: 0, .. }, _) => None,
            (Self::Size { size, .. } | Self::Blank(size), b' ' | b'\t') => Some(Self::Blank(size)),
            (Self::Size { size, .. } | Self::Blank(size) | Self::Extension(size), b'\r') => Some(Self::SizeLf(size)),
            (Self::Size { size, .. } | Self::Blank(size), b';')
            | (Self::Extension(size), b'\t' | b' '..=b'~' | 0x80..) => Some(Self::Extension(size)),
            (Self::SizeLf(0) | Self::TrailerLf, b'\n') => Some(Self::Trailers),
            (Self::SizeLf(size), b'\n') => Some(Self::Data(size)),
            (Self::DataCr, b'\r') => Some(Self::DataLf),
            (Self::DataLf, b'\n') => Some(Self::Size { digits: 0, size: 0 }),
            (Self::Trailers, b'\r') => Some(Self::EndLf),
            (Self::Trailer, b'\r') => Some(Self::TrailerLf),
            (Self::Trailers | Self::Trailer, b'\t' | b' '..=b'~' | 0x80..) => Some(Self::Trailer),
            (Self::EndLf, b'\n') => Some(Self::End),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_ends_after_its_length_or_its_last_chunk_in_pieces_of_any_size() {
        for (body, text) in [
            (Body::of_length as fn(u64) -> Body, "12345"),
            (|_| Body::chunked(), "3\r\nabc\r\n00a;x=\"y\"\r\n0123456789\r\n0\r\n\r\n"),
            (|_| Body::chunked(), "1 ;a\r\nx\r\n0\r\nTrailer: x\r\nOther: y\r\n\r\n"),
        ] {
            for cut in 0..=text.len() {
                let (bytes, mut body) = (format!("{text}GET /"), body(5));
                let first = body.take(&bytes.as_bytes()[..cut], usize::MAX).bytes;
                assert_eq!((first, body.is_complete()), (cut, cut == text.len()), "{text:?} {cut}");
                assert_eq!(first + body.take(&bytes.as_bytes()[cut..], usize::MAX).bytes, text.len());
                assert!(body.is_complete());
            }
        }
    }

    #[test]
    fn a_malformed_chunk_breaks_the_body() {
        let long = format!("1;{}\r\nx\r\n0\r\n\r\n", "x".repeat(MAX_OVERHEAD));
        let trailers = format!("0\r\n{}\r\n", "X: y\r\n".repeat(MAX_OVERHEAD));
        for text in [
            "\r\n",
            "x\r\n",
            "1\nx\r\n0\r\n\r\n",
            "1\r\nxy\r\n0\r\n\r\n",
            "1\r\nx\n0\r\n\r\n",
            "1 2\r\nx\r\n0\r\n\r\n",
            "1;\0\r\nx\r\n0\r\n\r\n",
            "-1\r\n",
            "0x1\r\n",
            "00000000000000001\r\nx",
            "0\r\nTrailer: x\n\r\n",
            "0\r\n\n",
            &long,
            &trailers,
        ] {
            let mut body = Body::chunked();
            assert!(body.take(text.as_bytes(), usize::MAX).bytes < text.len(), "{text:?}");
            assert!(body.is_broken() && !body.is_complete(), "{text:?}");
            assert_eq!(body.take(b"0\r\n\r\n", usize::MAX), Taken::default());
        }
    }

    #[test]
    fn what_is_taken_is_bounded_by_what_its_pieces_cost() {
        let (chunk, chunks) = ("1\r\nx\r\n", "1\r\nx\r\n".repeat(1_000));
        let cost = chunk.len() + PIECE;
        assert_eq!(
            Body::chunked().take(chunks.as_bytes(), 10 * cost),
            Taken { bytes: 10 * chunk.len(), cost: 10 * cost }
        );
        assert_eq!(Body::of_length(1_000).take(&[b'x'; 1_000], 100 + PIECE), Taken { bytes: 100, cost: 100 + PIECE });
        assert_eq!(Body::of_length(1_000).take(b"x", PIECE), Taken::default());
    }
}
