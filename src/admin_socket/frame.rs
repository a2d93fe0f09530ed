//! The frames of an answer.

use std::io::{self, Read, Write};

/// The longest frame that is read.
const MAX_LENGTH: u32 = 1 << 20;

/// One frame of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    Data(Vec<u8>),
    Progress(u64),
    Done(Vec<u8>),
    Failed(String),
}

impl Frame {
    pub(super) fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let progress;
        let (tag, bytes) = match self {
            Self::Data(bytes) => (b'd', bytes.as_slice()),
            Self::Progress(number) => {
                progress = number.to_string();
                (b'p', progress.as_bytes())
            }
            Self::Done(json) => (b'o', json.as_slice()),
            Self::Failed(sentence) => (b'e', sentence.as_bytes()),
        };
        let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
        out.write_all(&[tag])?;
        out.write_all(&length.to_be_bytes())?;
        out.write_all(bytes)
    }

    pub(super) fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 5];
        from.read_exact(&mut head)?;
        let [tag, length @ ..] = head;
        let length = u32::from_be_bytes(length);
        if length > MAX_LENGTH {
            return Err(io::Error::other("the answer makes no sense"));
        }
        let mut bytes = vec![0; length as usize];
        from.read_exact(&mut bytes)?;
        let text = |bytes| String::from_utf8(bytes).map_err(io::Error::other);
        match tag {
            b'd' => Ok(Self::Data(bytes)),
            b'p' => Ok(Self::Progress(text(bytes)?.parse().map_err(io::Error::other)?)),
            b'o' => Ok(Self::Done(bytes)),
            b'e' => Ok(Self::Failed(text(bytes)?)),
            _ => Err(io::Error::other("the answer makes no sense")),
        }
    }
}

/// Writes into frames of data.
pub(super) struct DataWriter<W>(pub(super) W);

impl<W: Write> Write for DataWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = &bytes[..bytes.len().min(MAX_LENGTH as usize)];
        Frame::Data(piece.to_vec()).write(&mut self.0)?;
        Ok(piece.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}
