//! Log lines as JSON, one object a line.
//!
//! | member | meaning |
//! |---|---|
//! | `time` | when, in RFC 3339 and UTC |
//! | `level` | `ERROR`, `WARN`, `INFO`, `DEBUG` or `TRACE` |
//! | `target` | the part of the server; `lodge::request` for a request |
//! | `message` | what happened; left out for a request |
//! | `method`, `route` | the method, and the path with the names of its parameters or `-` |
//! | `status` | the status; left out if the client disconnected before the response |
//! | `time_ms` | how long it took, in milliseconds |
//! | `request_id` | the id in the response's `X-Request-Id`; also in the message of an error that a request met |
//! | `user_id`, `local_uid`, `api_key_id` | whose request it was, as far as it is known |

use log::Level;
use serde_json::{Map, Number, Value};

use super::printable::{cut, printable};
use crate::clock::Timestamp;

/// A line, without its end.
pub(super) fn line(now: Timestamp, level: Level, target: &str, message: &str) -> String {
    let mut object = Map::new();
    let now = now.text();
    let texts = [("time", now.as_str()), ("level", level.as_str()), ("target", target)];
    object.extend(texts.map(|(name, text)| (name.to_owned(), text.into())));
    let message = members(message, &mut object);
    if !message.is_empty() {
        object.insert("message".to_owned(), cut(message).into());
    }
    // An object is printable: its meaning is the same with other characters escaped.
    printable(&Value::Object(object).to_string()).into_owned()
}

/// Adds the members that a message begins with as `key=value`, and returns the rest of it.
fn members<'m>(message: &'m str, object: &mut Map<String, Value>) -> &'m str {
    let mut rest = message;
    loop {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        let Some((name, value)) = word.split_once('=').filter(|(name, _)| NAMES.contains(name)) else { return rest };
        object.extend(member(name, value));
        rest = after;
    }
}

/// The members that a message may begin with.
const NAMES: [&str; 7] = ["method", "route", "status", "time_ms", "request_id", "user_id", "api_key_id"];

/// A member; `None` if the value is unknown.
fn member(name: &str, value: &str) -> Option<(String, Value)> {
    let (name, value) = match value.strip_prefix("local:") {
        Some(uid) if name == "user_id" => ("local_uid", uid),
        _ => (name, value),
    };
    let value = match name {
        "status" | "user_id" | "local_uid" | "api_key_id" => Value::Number(value.parse::<u64>().ok()?.into()),
        "time_ms" => Value::Number(Number::from_f64(value.parse().ok()?)?),
        _ => value.into(),
    };
    Some((name.to_owned(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(target: &str, message: &str) -> Value {
        let line = line(Timestamp::from_secs(1_800_000_000), Level::Info, target, message);
        assert!(line.bytes().all(|byte| byte != b'\n'), "{line}");
        serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}"))
    }

    #[test]
    fn a_request_has_members_and_no_message() {
        let id = "0f0e0d0c-0b0a-8908-8706-050403020100";
        let message = format!(
            "method=GET route=/api/v2/users/me status=200 time_ms=0.042 request_id={id} user_id=7 api_key_id=-"
        );

        let expected = json!({
            "time": "2027-01-15T08:00:00.000Z", "level": "INFO", "target": "lodge::request", "method": "GET",
            "route": "/api/v2/users/me", "status": 200, "time_ms": 0.042, "request_id": id, "user_id": 7,
        });
        assert_eq!(read("lodge::request", &message), expected);
        let gone = read(
            "lodge::request",
            "method=x route=- status=gone time_ms=1.000 request_id=- user_id=local:0 api_key_id=-",
        );
        assert_eq!([&gone["local_uid"], &gone["status"], &gone["message"]], [&json!(0), &Value::Null, &Value::Null]);
    }

    #[test]
    fn an_error_that_a_request_met_has_its_id_and_a_message() {
        let found = read("lodge::api::error", "request_id=7 the store has failed: status=200");

        assert_eq!(
            (&found["request_id"], &found["message"]),
            (&json!("7"), &json!("the store has failed: status=200"))
        );
    }

    #[test]
    fn every_message_is_a_valid_object_on_one_line() {
        let long = "\u{202e}\"".repeat(5000);
        for message in ["", "a \"b\" \\ \n\r\t\0\u{7f}\u{2028}\u{1f600}", "}{", "status=\" x", "method=\"\\", &long] {
            let found = read("lodge", message);
            assert_eq!(found["level"], "INFO", "{message:?}");
        }
        assert_eq!(read("lodge", &long)["message"].as_str().unwrap().chars().count(), 4003);
        assert_eq!(read("lodge", "two\nlines")["message"], "two\nlines");
    }
}
