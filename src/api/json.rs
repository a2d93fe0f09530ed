//! Strict JSON: a text that two parsers might read differently is refused.

use std::fmt;

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Parses a JSON object that is nested at most `depth` levels deep and in which no object has a member twice.
///
/// # Errors
/// A sentence about what is wrong, which does not quote the text.
pub(super) fn object(bytes: &[u8], depth: usize) -> Result<Map<String, Value>, &'static str> {
    if let Some(sentence) = wrong_encoding(bytes) {
        return Err(sentence);
    }
    match strict_value(bytes, depth) {
        Ok(Value::Object(members)) => Ok(members),
        Ok(_) => Err("The body is not a JSON object."),
        Err(error) if error.to_string().starts_with(TWICE) => Err("A member is given twice in one JSON object."),
        Err(error) if error.to_string().starts_with(TOO_DEEP) => Err("The body is nested too deep."),
        Err(_) => Err("The body is not valid JSON."),
    }
}

/// Parses JSON that is nested at most `depth` levels deep and in which no object has a member twice.
///
/// # Errors
/// Those of the parser, which have the place and do not quote the text.
pub fn strict_value(bytes: &[u8], depth: usize) -> Result<Value, serde_json::Error> {
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth }.deserialize(&mut text)?;
    text.end().map(|()| value)
}

/// A sentence about the encoding of a text that is not in UTF-8.
fn wrong_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // JSON begins with two ASCII characters, whose other bytes are zero in these encodings.
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] | [0, ..] | [_, 0, ..] => {
            Some("The body is in UTF-16 or UTF-32; it must be in UTF-8.")
        }
        _ if str::from_utf8(bytes).is_err() => {
            Some("The body is in Latin-1 or another encoding with one byte a character; it must be in UTF-8.")
        }
        _ => None,
    }
}

const TWICE: &str = "a member is given twice";
const TOO_DEEP: &str = "the text is nested too deep";

/// Reads a value that is nested at most `depth` levels deep.
#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
}

impl Strict {
    /// The reader of the values in a list or an object.
    fn inner<E: Error>(self) -> Result<Self, E> {
        self.depth.checked_sub(1).map(|depth| Self { depth }).ok_or_else(|| E::custom(TOO_DEEP))
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number is not finite"))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let inner = self.inner()?;
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = members.next_value_seed(inner)?;
            if object.insert(name, value).is_some() {
                return Err(A::Error::custom(TWICE));
            }
        }
        Ok(Value::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_that_two_parsers_might_read_differently_is_refused() {
        let digits = format!("{{\"a\":{}}}", "9".repeat(100_000));
        let malformed: [&[u8]; 10] = [
            b"",
            b"{",
            b"{\"a\":1}x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":NaN}",
            b"{\"a\":1e400}",
            b"{\"a\":\"\\ud800\"}",
            b"{'a':1}",
            b"{\"a\":1,}",
            digits.as_bytes(),
        ];
        for text in malformed {
            assert_eq!(object(text, 32), Err("The body is not valid JSON."), "{:?}", text.get(..20));
        }
        for (text, encoding) in [
            (b"{\"a\":\"\xff\"}".as_slice(), "Latin-1"),
            (b"{\"a\":\"J\xe4ger\"}", "Latin-1"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
            (b"\xfe\xff\0{\0}", "UTF-16"),
            (b"{\0}\0", "UTF-16"),
            (b"\0\0\0{\0\0\0}", "UTF-32"),
        ] {
            assert!(object(text, 32).unwrap_err().contains(encoding), "{text:?}");
        }
        for text in [b"[]".as_slice(), b"7", b"null", b"\"a\""] {
            assert_eq!(object(text, 32), Err("The body is not a JSON object."));
        }
        for text in [br#"{"a":1,"a":1}"#.as_slice(), br#"{"b":{"a":1,"\u0061":2}}"#, br#"{"b":[{"a":1,"a":2}]}"#] {
            assert_eq!(object(text, 32), Err("A member is given twice in one JSON object."));
        }
        assert_eq!(object(b" {\"a\": [1, null]} ", 2).unwrap().len(), 1);
    }

    #[test]
    fn a_text_may_be_nested_as_deep_as_the_limit_and_no_deeper() {
        let nested = |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels - 1), "]".repeat(levels - 1));
        assert!(object(nested(32).as_bytes(), 32).is_ok());
        for levels in [33, 127, 10_000] {
            let read = object(nested(levels).as_bytes(), 32);
            assert_eq!(read, Err("The body is nested too deep."), "{levels}");
        }
        let objects = format!("{}1{}", "{\"a\":".repeat(33), "}".repeat(33));
        assert_eq!(object(objects.as_bytes(), 32), Err("The body is nested too deep."));
    }
}
