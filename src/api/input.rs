//! What handlers take of a request: path parameters, pages, bodies.

use std::{future::Future, sync::Arc};

use actix_web::{dev::Payload, http::header, web::BytesMut};
use futures_util::StreamExt;
use serde_json::{Map, Value, json};

use super::{
    context::RequestContext,
    error::ApiError,
    json,
    memory_budget::{MemoryBudget, Permit, SMALL},
    openapi::Description,
    user_list_cache::UserListCache,
};
use crate::{
    auth::Policy,
    domain::{Field, Id, Page, Parsed, Problem, Violations},
    service::configurations::ConfigurationName,
};

/// The longest value that a violation repeats.
const MAX_REPEATED: usize = 255;

/// Something that is read from a request, once the caller is admitted.
pub(super) trait Input: Sized {
    fn read(context: &mut RequestContext) -> impl Future<Output = Result<Self, ApiError>>;

    /// Adds the parameters or the body, and the answers to wrong ones.
    fn describe(description: &mut Description);
}

impl Input for () {
    async fn read(_: &mut RequestContext) -> Result<Self, ApiError> {
        Ok(())
    }

    fn describe(_: &mut Description) {}
}

impl<I: Input> Input for (I,) {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        Ok((I::read(context).await?,))
    }

    fn describe(description: &mut Description) {
        I::describe(description);
    }
}

impl<I: Input, J: Input> Input for (I, J) {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        Ok((I::read(context).await?, J::read(context).await?))
    }

    fn describe(description: &mut Description) {
        I::describe(description);
        J::describe(description);
    }
}

/// The id in the path.
pub(super) struct PathId(pub(super) Id);

impl Input for PathId {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        path_id(context).map(Self).ok_or(ApiError::NotFound)
    }

    fn describe(description: &mut Description) {
        description.path_parameter(&json!({"type": "integer"}), "The id.");
    }
}

/// The id in the path, if it is one.
pub(super) fn path_id(context: &RequestContext) -> Option<Id> {
    decoded(&context.parameter).as_deref().and_then(Id::parse)
}

impl Input for ConfigurationName {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        let name = decoded(&context.parameter).ok_or(ApiError::NotFound)?;
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Key(name));
        }
        Id::parse(&name).map(Self::Id).ok_or(ApiError::NotFound)
    }

    fn describe(description: &mut Description) {
        description
            .path_parameter(&json!({"type": "string"}), "Numeric id, or key of the configuration, percent-encoded.");
    }
}

/// The text of a percent-encoded path segment, decoded once; `None` if it is badly encoded or not UTF-8.
fn decoded(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'%' {
            let (digits, behind) = behind.split_first_chunk::<2>()?;
            bytes.push(hexadecimal(digits[0])? << 4 | hexadecimal(digits[1])?);
            rest = behind;
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).ok()
}

fn hexadecimal(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

impl Input for Page {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        let query = context.http.query_string();
        Ok(Self::new(number_in_query(query, "limit")?, number_in_query(query, "offset")?))
    }

    fn describe(description: &mut Description) {
        description.shared_parameter("limit");
        description.shared_parameter("offset");
        description.error(400, "The limit or the offset is not a number from 0 up.");
    }
}

impl Input for Arc<UserListCache> {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        Ok(Self::clone(&context.app.user_list_cache))
    }

    fn describe(_: &mut Description) {}
}

impl Input for MemoryBudget {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        Ok(context.app.memory_budget.clone())
    }

    fn describe(_: &mut Description) {}
}

/// The number that the query gives for a name; `None` if it does not name it.
fn number_in_query(query: &str, name: &'static str) -> Result<Option<u64>, ApiError> {
    let malformed = || ApiError::Malformed(format!("The {name} is not a number from 0 up, given once."));
    let mut number = None;
    for (given, value) in form_urlencoded::parse(query.as_bytes()) {
        let is_list = given.strip_prefix(name).is_some_and(|rest| rest.starts_with('['));
        if is_list || (given == name && number.is_some()) {
            return Err(malformed());
        }
        if given == name {
            let digits = Some(value).filter(|value| value.bytes().all(|byte| byte.is_ascii_digit()));
            let parsed = digits.and_then(|digits| digits.parse::<i64>().ok()).ok_or_else(malformed)?;
            number = Some(parsed.unsigned_abs());
        }
    }
    Ok(number)
}

/// The text that the query gives for a name; `None` if it does not name it.
pub(super) fn text_in_query(query: &str, name: &'static str) -> Result<Option<String>, ApiError> {
    let mut given = form_urlencoded::parse(query.as_bytes()).filter(|(given, _)| given == name);
    match (given.next(), given.next()) {
        (None, _) => Ok(None),
        (Some((_, text)), None) if !text.is_empty() => Ok(Some(text.into_owned())),
        (Some(_), _) => Err(ApiError::Malformed(format!("The {name} is empty or given more than once."))),
    }
}

/// Something that is made of the members of a JSON body.
pub(super) trait FromObject: Sized {
    /// The body's schema among the document's components.
    const SCHEMA: &'static str;

    /// Whether a body may be refused as an invalid record; a body that never is has its own way of refusing.
    const MAY_BE_INVALID: bool = true;

    /// Whether anybody may send it; then it is small, because it is read before the sender is known.
    const IS_FROM_STRANGERS: bool = false;

    fn from_object(object: JsonObject, policy: &Policy) -> Self;
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: FromObject> Input for Body<T> {
    async fn read(context: &mut RequestContext) -> Result<Self, ApiError> {
        let most = context.app.limits.body_bytes;
        let bytes = read_body(context, if T::IS_FROM_STRANGERS { most.min(SMALL) } else { most }).await?;
        draft_of(&bytes, context.app.limits.json_depth, &context.app.state.policy).map(Self)
    }

    fn describe(description: &mut Description) {
        description.body(T::SCHEMA);
        description.error(400, "The request is malformed.");
        description.error(408, "The body took too long to arrive.");
        description.error(413, "The body is too large.");
        description.error(415, "The body is not JSON in UTF-8, or is encoded.");
        if T::MAY_BE_INVALID {
            description.invalid();
        }
    }
}

/// What the bytes of a body say, whose JSON is nested that deep at most.
pub(super) fn draft_of<T: FromObject>(bytes: &[u8], depth: usize, policy: &Policy) -> Result<T, ApiError> {
    let object = json::object(bytes, depth).map_err(|sentence| ApiError::Malformed(sentence.to_owned()))?;
    Ok(T::from_object(JsonObject { object, violations: Violations::none() }, policy))
}

/// The body, whose memory is the exchange's from then on.
async fn read_body(context: &mut RequestContext, limit: usize) -> Result<BytesMut, ApiError> {
    let length = context.headers(header::CONTENT_LENGTH).next();
    let length = length.and_then(|length| str::from_utf8(length).ok()).and_then(|length| length.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(ApiError::BodyTooLarge(limit));
    }
    if context.headers(header::CONTENT_ENCODING).next().is_some() {
        return Err(ApiError::UnsupportedMediaType("The body must not be encoded."));
    }
    if !is_json(context) {
        return Err(ApiError::UnsupportedMediaType("The body must be application/json in UTF-8."));
    }
    let permit = context.of_body.insert(context.app.memory_budget.permit());
    let receiving = receive(&mut context.payload, length, limit, permit);
    let received = tokio::time::timeout(context.app.limits.body_deadline, receiving).await;
    received.unwrap_or(Err(ApiError::BodyTooSlow))
}

/// The body up to that length, if it tells one: behind a request for another protocol, which is not to be had, the framework
/// takes all that comes for the body.
async fn receive(
    payload: &mut Payload,
    length: Option<u64>,
    limit: usize,
    permit: &mut Permit,
) -> Result<BytesMut, ApiError> {
    let mut body = BytesMut::new();
    while length.is_none_or(|length| (body.len() as u64) < length)
        && let Some(chunk) = payload.next().await
    {
        let chunk = chunk.map_err(|_| ApiError::Malformed("The body broke off.".to_owned()))?;
        if body.len() + chunk.len() > limit {
            return Err(ApiError::BodyTooLarge(limit));
        }
        permit.grow_to(body.len() + chunk.len())?;
        body.extend_from_slice(&chunk);
    }
    body.truncate(length.and_then(|length| usize::try_from(length).ok()).unwrap_or(body.len()));
    Ok(body)
}

/// Whether the body is declared, once, as JSON in UTF-8.
fn is_json(context: &RequestContext) -> bool {
    let mut declared = context.headers(header::CONTENT_TYPE);
    let (Some(content_type), None) = (declared.next(), declared.next()) else { return false };
    let Ok(content_type) = str::from_utf8(content_type) else { return false };
    let mut parts = content_type.split(';').map(str::trim);
    let is_json = parts.next().is_some_and(|media_type| media_type.eq_ignore_ascii_case("application/json"));
    is_json
        && parts.filter_map(|parameter| parameter.split_once('=')).all(|(name, value)| !is_other_charset(name, value))
}

fn is_other_charset(name: &str, value: &str) -> bool {
    let charset = value.trim().trim_matches('"');
    name.trim().eq_ignore_ascii_case("charset")
        && !["utf-8", "utf8"].iter().any(|utf8| charset.eq_ignore_ascii_case(utf8))
}

/// The members of a body, and what is wrong with those that have been read.
pub(super) struct JsonObject {
    object: Map<String, Value>,
    pub(super) violations: Violations,
}

impl JsonObject {
    /// The member's text, where it is a text.
    pub(super) fn raw_text(&self, name: &str) -> Option<&str> {
        self.object.get(name).and_then(Value::as_str)
    }

    /// The member's own members, where it is an object.
    pub(super) fn nested(&self, name: &str) -> Option<Self> {
        let object = self.object.get(name)?.as_object()?.clone();
        Some(Self { object, violations: Violations::none() })
    }

    /// A text; `null` is the empty one.
    pub(super) fn text<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Field<T> {
        self.read(name, |value| match value {
            Value::Null => parse(""),
            Value::String(text) => parse(text),
            _ => Err(Problem::Invalid),
        })
    }

    /// A text that is measured in bytes; its violations do not repeat it.
    pub(super) fn text_in_bytes<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Field<T> {
        let parsed = match self.object.get(name) {
            None => return Field::Absent,
            Some(Value::Null) => parse(""),
            Some(Value::String(text)) => parse(text),
            Some(_) => Err(Problem::Invalid),
        };
        parsed.map_or_else(
            |problem| {
                self.violations.add_in_bytes(name, problem);
                Field::Invalid
            },
            Field::Given,
        )
    }

    /// A password; `null` is as good as absent.
    pub(super) fn secret_text<T>(&mut self, name: &'static str, parse: impl Fn(&str) -> Parsed<T>) -> Field<T> {
        match self.object.get(name) {
            Some(Value::Null) => Field::Absent,
            _ => self.text_in_bytes(name, parse),
        }
    }

    /// An optional text, cleared by `null` or the empty one.
    pub(super) fn optional_text<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(&str) -> Parsed<T>,
    ) -> Field<Option<T>> {
        self.text(name, |text| if text.is_empty() { Ok(None) } else { parse(text).map(Some) })
    }

    /// An optional integer, cleared by `null` or the empty text.
    pub(super) fn optional_integer<T>(
        &mut self,
        name: &'static str,
        parse: impl Fn(i128) -> Parsed<T>,
    ) -> Field<Option<T>> {
        self.read(name, |value| match value {
            Value::Null => Ok(None),
            Value::String(text) if text.is_empty() => Ok(None),
            Value::Number(number) => {
                let integer = number.as_i64().map(i128::from).or_else(|| number.as_u64().map(i128::from));
                parse(integer.ok_or(Problem::Invalid)?).map(Some)
            }
            _ => Err(Problem::Invalid),
        })
    }

    /// A truth value; `null` is false.
    pub(super) fn truth(&mut self, name: &'static str) -> Field<bool> {
        self.read(name, |value| match value {
            Value::Null => Ok(false),
            Value::Bool(truth) => Ok(*truth),
            _ => Err(Problem::Invalid),
        })
    }

    /// A list; `null` is the empty one.
    pub(super) fn list<T>(&mut self, name: &'static str, parse: impl Fn(&[Value]) -> Parsed<T>) -> Field<T> {
        self.read(name, |value| match value {
            Value::Null => parse(&[]),
            Value::Array(items) => parse(items),
            _ => Err(Problem::Invalid),
        })
    }

    fn read<T>(&mut self, name: &'static str, parse: impl Fn(&Value) -> Parsed<T>) -> Field<T> {
        let Some(value) = self.object.get(name) else { return Field::Absent };
        parse(value).map_or_else(
            |problem| {
                let repeated = if problem == Problem::Invalid { repeatable(value) } else { None };
                self.violations.add(name, problem, repeated);
                Field::Invalid
            },
            Field::Given,
        )
    }
}

/// The refused value as a text, unless it is long.
fn repeatable(value: &Value) -> Option<String> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    (text.chars().count() <= MAX_REPEATED).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_is_decoded_once_and_strictly() {
        assert_eq!(decoded("a%2Fb%20c.d").as_deref(), Some("a/b c.d"));
        assert_eq!(decoded("%2541").as_deref(), Some("%41"));
        assert_eq!(decoded("a+b").as_deref(), Some("a+b"));
        for wrong in ["%", "%4", "%zz", "%+1", "%ff", "%c3"] {
            assert_eq!(decoded(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_number_in_the_query_is_given_once_and_in_digits() {
        let number = |query: &str| number_in_query(query, "limit").ok();
        assert_eq!(number(""), Some(None));
        assert_eq!(number("limit=7&offset=x&limits=y"), Some(Some(7)));
        for wrong in ["-1", "abc", "1.5", "", "9223372036854775808", "18446744073709551616", "+5", "%205", "1&limit=1"]
        {
            assert_eq!(number(&format!("limit={wrong}")), None, "{wrong}");
        }
        assert_eq!(number("limit[]=1"), None);
        assert_eq!(number("limit%5B%5D=1"), None);
        assert_eq!(number("limit"), None);
    }
}
