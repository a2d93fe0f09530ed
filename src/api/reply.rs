//! What handlers answer: the type is the status.

use std::marker::PhantomData;

use actix_web::{
    HttpResponse,
    body::MessageBody,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{exchange::Who, openapi::Description};
use crate::{domain::Id, secret::Secret, store::Slice};

/// More than most records take as JSON.
const USUAL_BYTES: usize = 512;
const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// The answer of an operation that went well.
pub(super) trait Reply {
    fn into_response(self) -> HttpResponse;

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

impl<V: Listed> Serialize for Listing<V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(Some(2))?;
        members.serialize_entry(V::COLLECTION, &self.items)?;
        members.serialize_entry("count", &self.count)?;
        members.end()
    }
}

impl<V: View> Reply for Shown<V> {
    fn into_response(self) -> HttpResponse {
        json(StatusCode::OK, &self.0)
    }

    fn describe(description: &mut Description) {
        description.success(200, Some(V::SCHEMA));
    }
}

impl<V: View> Reply for Created<V> {
    fn into_response(self) -> HttpResponse {
        json(StatusCode::CREATED, &self.0)
    }

    fn describe(description: &mut Description) {
        description.success(201, Some(V::SCHEMA));
    }
}

impl<V: View> Reply for SignedIn<V> {
    fn into_response(self) -> HttpResponse {
        let mut response = json(StatusCode::CREATED, &self.view);
        let value = HeaderValue::try_from(format!("Bearer {}", self.token.expose()));
        let value = value.expect("a token has the characters of a header");
        response.headers_mut().insert(header::AUTHORIZATION, value);
        response.extensions_mut().insert(Who { user: Some(self.user), api_key: None });
        response
    }

    fn describe(description: &mut Description) {
        description.success(201, Some(V::SCHEMA));
        description.token_header(201);
    }
}

impl Reply for NoContent {
    fn into_response(self) -> HttpResponse {
        HttpResponse::NoContent().finish()
    }

    fn describe(description: &mut Description) {
        description.success(204, None);
    }
}

impl<R: Reply> Reply for Permitted<R> {
    fn into_response(self) -> HttpResponse {
        self.0.into_response()
    }

    fn describe(description: &mut Description) {
        R::describe(description);
        description.invalid();
    }
}

impl<V: Listed> Reply for Listing<V> {
    fn into_response(self) -> HttpResponse {
        json(StatusCode::OK, &self)
    }

    fn describe(description: &mut Description) {
        description.success(200, Some(V::SCHEMA));
    }
}

impl<R: Reply> Reply for Encoded<R> {
    fn into_response(self) -> HttpResponse {
        encoded(StatusCode::OK, self.body)
    }

    fn describe(description: &mut Description) {
        R::describe(description);
    }
}

/// An answer with a JSON body.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> HttpResponse {
    encoded(status, encode(body))
}

/// A view or a list as JSON.
pub(super) fn encode(body: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL_BYTES);
    serde_json::to_writer(&mut bytes, body).expect("views have text keys and finite numbers");
    bytes
}

fn encoded(status: StatusCode, body: impl MessageBody + 'static) -> HttpResponse {
    HttpResponse::build(status).insert_header((header::CONTENT_TYPE, JSON)).body(body)
}
