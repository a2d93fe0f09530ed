//! What handlers answer: the type is the status.

use std::{io::ErrorKind, marker::PhantomData};

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use serde::Serialize;
use tokio::task::yield_now;

use super::{
    context::RequestIdentity,
    error::ApiError,
    memory_budget::{BudgetedBuffer, DEFAULT, ResponseBudget, ready_body},
    openapi::Description,
};
use crate::{domain::Id, secret::Secret, store::Slice};

/// After how much of a list others have their turn.
const TURN: usize = 256 << 10;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer of an operation that went well.
pub(super) trait Reply: Sized {
    /// The answer.
    ///
    /// # Errors
    /// [`ApiError::BudgetExhausted`] if there is no memory for it and it may be refused.
    fn into_response(self, response_budget: ResponseBudget<'_>)
    -> impl Future<Output = Result<HttpResponse, ApiError>>;

    fn describe(description: &mut Description);
}

/// A record as clients see it.
pub(super) trait View: Serialize {
    /// The view's schema among the document's components.
    const SCHEMA: &'static str;
}

/// A record as it is in a list.
pub(super) trait Listed: Serialize {
    /// The list's schema among the document's components.
    const SCHEMA: &'static str;
    /// The member that the list is in.
    const COLLECTION: &'static str;

    /// How many bytes it holds, if they can be many.
    fn bytes(&self) -> usize {
        0
    }
}

/// 200 with a record.
pub(super) struct Shown<V>(pub(super) V);

/// 201 with a record.
pub(super) struct Created<V>(pub(super) V);

/// 201 with the user who signed in, and the session's token in the `Authorization` header.
pub(super) struct SignedIn<V> {
    pub(super) user: Id,
    pub(super) view: V,
    pub(super) token: Secret<String>,
}

/// 204.
pub(super) struct NoContent;

/// An answer in whose place a 422 may come although there is no body that could be wrong.
pub(super) struct Permitted<R>(pub(super) R);

/// The 200 of another reply, whose body is JSON already.
pub(super) struct Encoded<R> {
    body: Bytes,
    of: PhantomData<R>,
}

impl<R> Encoded<R> {
    /// What [`encode`] gave.
    pub(super) fn new(body: Bytes) -> Self {
        Self { body, of: PhantomData }
    }
}

/// 200 with a list and its count.
pub(super) struct Listing<V> {
    items: Vec<V>,
    count: u64,
}

impl<V> Listing<V> {
    /// A page, each record made a view.
    pub(super) fn of<R>(slice: Slice<R>, view: impl FnMut(R) -> V) -> Self {
        Self { items: slice.records.into_iter().map(view).collect(), count: slice.count }
    }

    /// A whole list.
    pub(super) fn whole(items: Vec<V>) -> Self {
        let count = items.len() as u64;
        Self { items, count }
    }
}

impl<V: Listed> Listing<V> {
    /// Writes the list as JSON. Others have their turn in between, because a long one takes seconds.
    ///
    /// # Errors
    /// [`ApiError::BudgetExhausted`] if there is no memory for what is written.
    pub(super) async fn write_to(self, answer: &mut BudgetedBuffer) -> Result<(), ApiError> {
        let mut paused_at = 0;
        let mut before = format!("{{\"{}\":[", V::COLLECTION);
        for item in self.items {
            answer.put(before.as_bytes())?;
            put(answer, &item)?;
            ",".clone_into(&mut before);
            if answer.len() - paused_at > TURN {
                paused_at = answer.len();
                yield_now().await;
            }
        }
        if answer.len() == 0 {
            answer.put(before.as_bytes())?;
        }
        answer.put(format!("],\"count\":{}}}", self.count).as_bytes())
    }
}

impl<V: View> Reply for Shown<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        json_within(response_budget, StatusCode::OK, &self.0)
    }

    fn describe(description: &mut Description) {
        description.success(200, Some(V::SCHEMA));
    }
}

impl<V: View> Reply for Created<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        json_within(response_budget, StatusCode::CREATED, &self.0)
    }

    fn describe(description: &mut Description) {
        description.success(201, Some(V::SCHEMA));
    }
}

impl<V: View> Reply for SignedIn<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        let mut response = json_within(response_budget, StatusCode::CREATED, &self.view)?;
        let value = HeaderValue::try_from(format!("Bearer {}", self.token.expose()));
        let value = value.expect("a token has the characters of a header");
        response.headers_mut().insert(header::AUTHORIZATION, value);
        response.extensions_mut().insert(RequestIdentity { user: Some(self.user), api_key: None });
        Ok(response)
    }

    fn describe(description: &mut Description) {
        description.success(201, Some(V::SCHEMA));
        description.token_header(201);
    }
}

impl Reply for NoContent {
    async fn into_response(self, _: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        Ok(HttpResponse::NoContent().finish())
    }

    fn describe(description: &mut Description) {
        description.success(204, None);
    }
}

impl<R: Reply> Reply for Permitted<R> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        self.0.into_response(response_budget).await
    }

    fn describe(description: &mut Description) {
        R::describe(description);
        description.invalid();
    }
}

impl<V: Listed> Reply for Listing<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        // What is written takes the place of the records one by one.
        let mut answer = BudgetedBuffer::in_place_of(response_budget, self.items.iter().map(V::bytes).sum())?;
        self.write_to(&mut answer).await?;
        Ok(encoded(StatusCode::OK, answer.into_body()))
    }

    fn describe(description: &mut Description) {
        description.success(200, Some(V::SCHEMA));
    }
}

impl<R: Reply> Reply for Encoded<R> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, ApiError> {
        ready(response_budget, self.body)
    }

    fn describe(description: &mut Description) {
        R::describe(description);
    }
}

/// An answer with a JSON body, in memory that is taken while it is written.
fn json_within(
    response_budget: ResponseBudget<'_>,
    status: StatusCode,
    body: &impl Serialize,
) -> Result<HttpResponse, ApiError> {
    let mut answer = BudgetedBuffer::new(response_budget);
    put(&mut answer, body)?;
    Ok(encoded(status, answer.into_body()))
}

fn put(answer: &mut BudgetedBuffer, value: &impl Serialize) -> Result<(), ApiError> {
    serde_json::to_writer(answer, value).map_err(|error| {
        assert_eq!(error.io_error_kind(), Some(ErrorKind::OutOfMemory), "views have text keys and finite numbers");
        ApiError::BudgetExhausted
    })
}

/// 200 with a body that is JSON already.
///
/// # Errors
/// [`ApiError::BudgetExhausted`] if there is no memory to hand it on.
pub(super) fn ready(response_budget: ResponseBudget<'_>, body: Bytes) -> Result<HttpResponse, ApiError> {
    Ok(encoded(StatusCode::OK, ready_body(response_budget, body)?))
}

/// An answer with a small JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    encoded(status, encode(body))
}

/// A view as JSON.
pub(super) fn encode(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(DEFAULT);
    serde_json::to_writer(&mut bytes, body).expect("views have text keys and finite numbers");
    bytes
}

fn encoded(status: StatusCode, body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, JSON)).body(body)
}

#[cfg(test)]
mod tests {
    use actix_web::body::BodySize;
    use futures_util::FutureExt;

    use super::*;
    use crate::api::MemoryBudget;

    /// A text, and how much room it is said to take.
    struct Text(String, usize);

    impl Serialize for Text {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.0)
        }
    }

    impl Listed for Text {
        const SCHEMA: &'static str = "texts";
        const COLLECTION: &'static str = "texts";

        fn bytes(&self) -> usize {
            self.1
        }
    }

    fn texts(number: usize, length: usize) -> Listing<Text> {
        Listing { items: (0..number).map(|_| Text("x".repeat(length), length)).collect(), count: 7 }
    }

    #[tokio::test]
    async fn a_list_has_its_items_and_its_count() {
        let memory = MemoryBudget::new(1 << 20);
        for (number, expected) in [
            (0, r#"{"texts":[],"count":7}"#),
            (1, r#"{"texts":["xx"],"count":7}"#),
            (3, r#"{"texts":["xx","xx","xx"],"count":7}"#),
        ] {
            let mut answer = BudgetedBuffer::new(ResponseBudget { memory: &memory, may_be_refused: true });
            texts(number, 2).write_to(&mut answer).await.unwrap();
            assert_eq!(answer.into_bytes(), expected);
        }
    }

    #[test]
    fn others_have_their_turn_while_a_long_list_is_written() {
        let memory = MemoryBudget::new(64 << 20);
        let is_written_in_one_turn = |list: Listing<Text>| {
            let mut answer = BudgetedBuffer::new(ResponseBudget { memory: &memory, may_be_refused: true });
            list.write_to(&mut answer).now_or_never().is_some()
        };
        assert_eq!([texts(100, 100), texts(100, 10_000)].map(is_written_in_one_turn), [true, false]);
    }

    #[tokio::test]
    async fn a_list_takes_memory_for_its_records_and_for_what_is_written_of_them() {
        let memory = MemoryBudget::new(1 << 20);
        let response_budget = ResponseBudget { memory: &memory, may_be_refused: true };
        let large = || Listing { items: vec![Text("written short".to_owned(), 900_000)], count: 1 };

        let answered = texts(3, 100_000).into_response(response_budget).await.unwrap();
        let around = r#"{"texts":["","",""],"count":7}"#.len() as u64;
        assert_eq!(answered.body().size(), BodySize::Sized(300_000 + around));
        for refused in [large(), texts(6, 100_000)] {
            assert!(refused.into_response(response_budget).await.is_err(), "the first is not sent yet");
        }
        drop(answered);
        for list in [large(), texts(6, 100_000), texts(20, 100_000)] {
            assert!(list.into_response(response_budget).await.is_ok());
        }
    }
}
