//! Replies with lists.

use std::borrow::Cow;

use actix_web::{HttpResponse, http::StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, json};
use tokio::task::yield_now;

use super::{
    description::Description,
    json_response,
    memory_budget::BudgetExhausted,
    reply::Reply,
    response_budget::{BudgetedBuffer, ResponseBudget},
};
use crate::store::Slice;

/// How many bytes of a list are written before other requests get a turn.
const TURN: usize = 256 << 10;

/// A record as an item of a list.
pub(super) trait Listed: Serialize + JsonSchema {
    /// The name of the member with the list.
    const COLLECTION: &'static str;

    /// The length of its texts in bytes, if they can be long.
    fn bytes(&self) -> usize {
        0
    }
}

/// 200 with a list and its count.
pub(super) struct Listing<V> {
    items: Vec<V>,
    count: u64,
}

impl<V> Listing<V> {
    /// A page of a list, with a view of each record.
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
    /// Writes the list as JSON. Other requests get turns in between, because a long list takes seconds.
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

impl<V: Listed> Reply for Listing<V> {
    const IS_LIST: bool = true;

    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        // Each record is dropped once it is written.
        let mut buffer = BudgetedBuffer::replacing(response_budget, self.items.iter().map(V::bytes).sum())?;
        self.write_to(&mut buffer).await?;
        Ok(json_response::encoded(StatusCode::OK, buffer.into_body()))
    }

    fn describe(description: &mut Description) {
        description.success::<Self>(200);
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::{BodySize, MessageBody};
    use futures_util::FutureExt;

    use super::*;
    use crate::api::MemoryBudget;

    /// A text, and the length that it reports.
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
