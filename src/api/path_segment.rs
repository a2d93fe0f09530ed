//! Percent-encoded texts: the segments of a path, and the names and values of a form.

/// The parameters of a path as they were sent, in their order; those that the path does not have are empty.
pub(super) type PathParameters<T> = [T; 2];

/// The text of a segment, decoded once; `None` if it is badly encoded or not UTF-8.
pub(super) fn decode(segment: &str) -> Option<String> {
    decoded(segment, |byte| byte)
}

/// The text of a name or a value in a form, where a plus is a blank, decoded as [`decode`] does.
pub(super) fn decode_of_form(text: &str) -> Option<String> {
    decoded(text, |byte| if byte == b'+' { b' ' } else { byte })
}

fn decoded(text: &str, plain: impl Fn(u8) -> u8) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let (digits, after) = after.split_first_chunk::<2>()?;
            bytes.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
            rest = after;
        } else {
            bytes.push(plain(first));
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_once_and_strictly() {
        assert_eq!(decode("a%2Fb%20c.d").as_deref(), Some("a/b c.d"));
        assert_eq!(decode("%2541").as_deref(), Some("%41"));
        assert_eq!(decode("a+b").as_deref(), Some("a+b"));
        assert_eq!(decode_of_form("a+b%2Bc").as_deref(), Some("a b+c"));
        for wrong in ["%", "%4", "%zz", "%+1", "%ff", "%c3"] {
            assert_eq!(decode(wrong), None, "{wrong}");
        }
    }
}
