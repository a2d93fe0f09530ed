//! What handlers answer: the type is the status.

use std::{borrow::Cow, marker::PhantomData};

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, json};
use tokio::task::yield_now;

use super::{
    context::RequestIdentity,
    description::Description,
    json_response,
    memory_budget::{BudgetExhausted, BudgetedBuffer, ResponseBudget},
};
use crate::{domain::Id, secret::Secret, store::Slice};

/// The bytes of a list that are written before other requests get a turn.
const TURN: usize = 256 << 10;

/// The response of an operation that succeeded.
pub(super) trait Reply: Sized {
    /// The response.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for it and it may be refused.
    fn into_response(
        self,
        response_budget: ResponseBudget,
    ) -> impl Future<Output = Result<HttpResponse, BudgetExhausted>>;

    /// How many bytes the response to a change has at most, where that does not follow from the request's length.
    fn max_bytes() -> usize {
        0
    }

    fn describe(description: &mut Description);
}

/// A record as clients see it.
pub(super) trait View: Serialize + JsonSchema {
    /// How many bytes it has at most as JSON, where they can be many.
    const MAX_BYTES: usize = 0;
}

/// A record as it is in a list.
pub(super) trait Listed: Serialize + JsonSchema {
    /// The member that the list is in.
    const COLLECTION: &'static str;

    /// How many bytes its texts have, where they can be long.
    fn bytes(&self) -> usize {
        0
    }
}

/// 200 with a record.
pub(super) struct Shown<V>(pub(super) V);

/// 201 with a record.
pub(super) struct Created<V>(pub(super) V);

/// 201 with the signed-in user, and the session's token in the `Authorization` header.
pub(super) struct SignedIn<V> {
    pub(super) user: Id,
    pub(super) view: V,
    pub(super) token: Secret<String>,
}

/// 204.
pub(super) struct NoContent;

/// Documents an additional 422 for an operation without a body.
pub(super) struct MayBeInvalid<R>(pub(super) R);

/// The 200 of another reply, whose body is JSON already.
pub(super) struct Encoded<R> {
    body: Bytes,
    of: PhantomData<R>,
}

impl<R> Encoded<R> {
    /// The JSON that [`json_response::encode`] returned.
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
    /// A page, with a view of each record.
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
    /// Writes the list as JSON. Other requests get a turn in between, because a long list takes seconds.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for it and it may be refused.
    pub(super) async fn write_to(self, buffer: &mut BudgetedBuffer) -> Result<(), BudgetExhausted> {
        let mut paused_at = 0;
        let mut separator = format!("{{\"{}\":[", V::COLLECTION);
        for item in self.items {
            buffer.put(separator.as_bytes())?;
            json_response::write(buffer, &item)?;
            ",".clone_into(&mut separator);
            if buffer.len() - paused_at > TURN {
                paused_at = buffer.len();
                yield_now().await;
            }
        }
        if buffer.len() == 0 {
            buffer.put(separator.as_bytes())?;
        }
        buffer.put(format!("],\"count\":{}}}", self.count).as_bytes())
    }
}

impl<V: Listed> JsonSchema for Listing<V> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}_collection", V::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let items = generator.subschema_for::<V>();
        let mut properties = Map::new();
        properties.insert("count".to_owned(), json!({"type": "integer", "readOnly": true}));
        properties.insert(V::COLLECTION.to_owned(), json!({"type": "array", "readOnly": true, "items": items}));
        json_schema!({"type": "object", "properties": properties})
    }
}

impl<V: View> Reply for Shown<V> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        json_response::within(response_budget, StatusCode::OK, &self.0)
    }

    fn max_bytes() -> usize {
        V::MAX_BYTES
    }

    fn describe(description: &mut Description) {
        description.success::<V>(200);
    }
}

impl<V: View> Reply for Created<V> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        json_response::within(response_budget, StatusCode::CREATED, &self.0)
    }

    fn describe(description: &mut Description) {
        description.success::<V>(201);
    }
}

impl<V: View> Reply for SignedIn<V> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        let mut response = json_response::within(response_budget, StatusCode::CREATED, &self.view)?;
        let value = HeaderValue::try_from(format!("Bearer {}", self.token.expose()));
        let value = value.expect("a token has the characters of a header");
        response.headers_mut().insert(header::AUTHORIZATION, value);
        response.extensions_mut().insert(RequestIdentity { user: Some(self.user), api_key: None });
        Ok(response)
    }

    fn describe(description: &mut Description) {
        description.success::<V>(201);
        description.token_header(201);
    }
}

impl Reply for NoContent {
    async fn into_response(self, _: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        Ok(HttpResponse::NoContent().finish())
    }

    fn describe(description: &mut Description) {
        description.no_content();
    }
}

impl<R: Reply> Reply for MayBeInvalid<R> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        self.0.into_response(response_budget).await
    }

    fn describe(description: &mut Description) {
        R::describe(description);
        description.invalid();
    }
}

impl<V: Listed> Reply for Listing<V> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        // Each record is dropped once it is written.
        let mut buffer = BudgetedBuffer::replacing(response_budget, self.items.iter().map(V::bytes).sum())?;
        self.write_to(&mut buffer).await?;
        Ok(json_response::encoded(StatusCode::OK, buffer.into_body()))
    }

    fn describe(description: &mut Description) {
        description.success::<Self>(200);
    }
}

impl<R: Reply> Reply for Encoded<R> {
    async fn into_response(self, response_budget: ResponseBudget) -> Result<HttpResponse, BudgetExhausted> {
        json_response::ready(response_budget, self.body)
    }

    fn describe(description: &mut Description) {
        R::describe(description);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody};
    use futures_util::FutureExt;

    use super::*;
    use crate::api::MemoryBudget;

    /// A text, and how many bytes it claims to have.
    #[derive(JsonSchema)]
    struct Text(String, usize);

    impl Serialize for Text {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.serialize_str(&self.0)
        }
    }

    impl Listed for Text {
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
            let mut buffer = BudgetedBuffer::new(ResponseBudget::of(&memory));
            texts(number, 2).write_to(&mut buffer).await.unwrap();
            assert_eq!(buffer.into_bytes(), expected);
        }
    }

    #[test]
    fn other_requests_get_a_turn_while_a_long_list_is_written() {
        let memory = MemoryBudget::new(64 << 20);
        let is_written_in_one_turn = |list: Listing<Text>| {
            let mut buffer = BudgetedBuffer::new(ResponseBudget::of(&memory));
            list.write_to(&mut buffer).now_or_never().is_some()
        };
        assert_eq!([texts(100, 100), texts(100, 10_000)].map(is_written_in_one_turn), [true, false]);
    }

    #[tokio::test]
    async fn a_list_takes_memory_for_its_records_and_for_their_json() {
        let memory = MemoryBudget::new(1 << 20);
        let response_budget = || ResponseBudget::of(&memory);
        let large = || Listing { items: vec![Text("written short".to_owned(), 900_000)], count: 1 };

        let answered = texts(3, 100_000).into_response(response_budget()).await.unwrap();
        let around = r#"{"texts":["","",""],"count":7}"#.len() as u64;
        assert_eq!(answered.body().size(), BodySize::Sized(300_000 + around));
        for refused in [large(), texts(6, 100_000)] {
            assert!(refused.into_response(response_budget()).await.is_err(), "the first is not sent yet");
        }
        drop(answered);
        for list in [large(), texts(6, 100_000), texts(20, 100_000)] {
            assert!(list.into_response(response_budget()).await.is_ok());
        }
    }
}
