//! Strict JSON: what two parsers might read differently is refused.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Number, Value};

/// Reads a JSON text that is one object, without a member given twice anywhere in it.
///
/// # Errors
/// A sentence that says what is wrong; nothing of the text is in it.
pub(super) fn object(bytes: &[u8]) -> Result<Map<String, Value>, &'static str> {
    match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(Value::Object(members))) => Ok(members),
        Ok(_) => Err("The body is not a JSON object."),
        Err(error) if error.to_string().starts_with(TWICE) => Err("A member is given twice in one JSON object."),
        Err(_) => Err("The body is not valid JSON."),
    }
}

const TWICE: &str = "a member is given twice";

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor).map(Strict)
    }
}

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
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
        let mut list = Vec::new();
        while let Some(Strict(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Map::new();
        while let Some((name, Strict(value))) = members.next_entry::<String, Strict>()? {
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
    fn what_two_parsers_might_read_differently_is_refused() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
        let digits = format!("{{\"a\":{}}}", "9".repeat(100_000));
        let malformed: [&[u8]; 12] = [
            b"",
            b"{",
            b"{\"a\":1}x",
            b"\xef\xbb\xbf{}",
            b"{\"a\":NaN}",
            b"{\"a\":1e400}",
            b"{\"a\":\"\\ud800\"}",
            b"{\"a\":\"\xff\"}",
            b"{'a':1}",
            b"{\"a\":1,}",
            deep.as_bytes(),
            digits.as_bytes(),
        ];
        for text in malformed {
            assert_eq!(object(text), Err("The body is not valid JSON."), "{:?}", text.get(..20));
        }
        for text in [b"[]".as_slice(), b"7", b"null", b"\"a\""] {
            assert_eq!(object(text), Err("The body is not a JSON object."));
        }
        for text in [br#"{"a":1,"a":1}"#.as_slice(), br#"{"b":{"a":1,"\u0061":2}}"#, br#"{"b":[{"a":1,"a":2}]}"#] {
            assert_eq!(object(text), Err("A member is given twice in one JSON object."));
        }
        assert_eq!(object(b" {\"a\": [1, null]} ").unwrap().len(), 1);
    }
}
