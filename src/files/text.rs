//! Text files as editors and shells leave them.

use std::{fs, io, path::Path};

use zeroize::Zeroizing;

/// U+FEFF in UTF-8.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Reads a file in UTF-8, without the byte order mark that it may begin with.
///
/// # Errors
/// Those of the file system, and if the file is in another encoding.
pub fn read_text(path: &Path) -> io::Result<Zeroizing<String>> {
    let bytes = without_marks(&Zeroizing::new(fs::read(path)?))?;
    let text = str::from_utf8(&bytes).map_err(|_| io::Error::other("it is not text in UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

/// The text without byte order marks at the beginning of its lines: several files may have been concatenated.
///
/// # Errors
/// If it begins with the mark of UTF-16 or UTF-32.
pub fn without_marks(text: &[u8]) -> io::Result<Zeroizing<Vec<u8>>> {
    if begins_as_utf16(text) {
        return Err(io::Error::other("it is text in UTF-16; save it as UTF-8"));
    }
    let mut rest = Zeroizing::new(Vec::with_capacity(text.len()));
    for line in text.split_inclusive(|byte| matches!(byte, b'\n' | b'\r')) {
        rest.extend_from_slice(line.strip_prefix(MARK).unwrap_or(line));
    }
    Ok(rest)
}

/// Whether the bytes are text that begins with a byte order mark, and not random bytes that only look like that.
#[must_use]
pub fn is_marked_text(bytes: &[u8]) -> bool {
    let is_ascii_in_utf16 = || bytes.len().is_multiple_of(2) && bytes[2..].chunks(2).all(|pair| pair.contains(&0));
    match bytes.strip_prefix(MARK) {
        Some(rest) => str::from_utf8(rest).is_ok(),
        None => begins_as_utf16(bytes) && is_ascii_in_utf16(),
    }
}

/// Whether the text begins with a byte order mark of UTF-16 or UTF-32; that of UTF-32 in little endian begins like
/// UTF-16's.
fn begins_as_utf16(text: &[u8]) -> bool {
    [b"\xff\xfe", b"\xfe\xff"].iter().any(|mark| text.starts_with(*mark)) || text.starts_with(b"\0\0\xfe\xff")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8]) -> Result<String, String> {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("text");
        fs::write(&file, bytes).unwrap();
        read_text(&file).map(|text| text.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_text_is_read_without_its_byte_order_marks() {
        assert_eq!(read("\u{feff}ann\n".as_bytes()).unwrap(), "ann\n");
        assert_eq!(read("\u{feff}one\r\n\u{feff}two\u{feff}".as_bytes()).unwrap(), "one\r\ntwo\u{feff}");
        assert_eq!(read(b"").unwrap(), "");
    }

    #[test]
    fn a_text_in_another_encoding_is_refused_with_a_sentence() {
        for bytes in [b"\xff\xfea\0n\0".as_slice(), b"\xfe\xff\0a\0n", b"\xff\xfe\0\0a\0\0\0", b"\0\0\xfe\xff\0\0\0a"] {
            assert_eq!(read(bytes).unwrap_err(), "it is text in UTF-16; save it as UTF-8", "{bytes:?}");
        }
        assert_eq!(read(b"Z\xfcrich").unwrap_err(), "it is not text in UTF-8");
    }

    #[test]
    fn random_bytes_that_begin_like_a_mark_are_not_taken_for_text() {
        for text in ["\u{feff}a house".as_bytes(), b"\xff\xfea\0b\0", b"\xfe\xff\0a\0b"] {
            assert!(is_marked_text(text), "{text:?}");
        }
        for bytes in [b"\xef\xbb\xbf\xff\x01".as_slice(), b"\xff\xfe\x07\x65\x80\x01", b"\xff\xfea\0b", b"a house"] {
            assert!(!is_marked_text(bytes), "{bytes:?}");
        }
    }
}
