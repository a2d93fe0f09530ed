//! The replies of handlers, whose types determine the status.

use std::marker::PhantomData;

use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{self, HeaderValue},
    },
    web::Bytes,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    context::RequestIdentity, description::Description, json_response, memory_budget::BudgetExhausted,
    response_budget::ResponseBudget,
};
use crate::{domain::Id, secret::Secret};

/// The response of an operation that succeeded.
pub(super) trait Reply: Sized {
    /// Whether it is a list, which `HEAD` does not make.
    const IS_LIST: bool = false;

    /// The response.
    ///
    /// # Errors
    /// [`BudgetExhausted`] if there is no memory for it and it may be refused.
    fn into_response(
        self,
        response_budget: ResponseBudget<'_>,
    ) -> impl Future<Output = Result<HttpResponse, BudgetExhausted>>;

    /// The maximum size of the response to a change in bytes, if it can be larger than the request.
    fn max_bytes() -> usize {
        0
    }

    fn describe(description: &mut Description);
}

/// A record as clients see it.
pub(super) trait View: Serialize + JsonSchema {
    /// The maximum size of its JSON in bytes, if it can be large.
    const MAX_BYTES: usize = 0;
    /// The maximum size of its JSON in bytes as the response to a change, if it can be larger than the request.
    const MAX_BYTES_OF_CHANGE: usize = 0;
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

/// Documents an additional 404 for an operation whose path has no parameter.
pub(super) struct MayBeMissing<R>(pub(super) R);

/// 200 with an encoded body, documented like another reply.
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

impl<V: View> Reply for Shown<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
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
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        json_response::within(response_budget, StatusCode::CREATED, &self.0)
    }

    fn max_bytes() -> usize {
        V::MAX_BYTES_OF_CHANGE
    }

    fn describe(description: &mut Description) {
        description.success::<V>(201);
    }
}

impl<V: View> Reply for SignedIn<V> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        let mut response = json_response::within(response_budget, StatusCode::CREATED, &self.view)?;
        let value = HeaderValue::try_from(format!("Bearer {}", self.token.expose()));
        let value = value.expect("a token has the characters of a header");
        response.headers_mut().insert(header::AUTHORIZATION, value);
        response.extensions_mut().insert(RequestIdentity { user: Some(self.user), ..RequestIdentity::default() });
        Ok(response)
    }

    fn describe(description: &mut Description) {
        description.success::<V>(201);
        description.token_header(201);
    }
}

impl Reply for NoContent {
    async fn into_response(self, _: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        Ok(HttpResponse::NoContent().finish())
    }

    fn describe(description: &mut Description) {
        description.no_content();
    }
}

impl<R: Reply> Reply for MayBeInvalid<R> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        self.0.into_response(response_budget).await
    }

    fn describe(description: &mut Description) {
        R::describe(description);
        description.invalid();
    }
}

impl<R: Reply> Reply for MayBeMissing<R> {
    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        self.0.into_response(response_budget).await
    }

    fn describe(description: &mut Description) {
        R::describe(description);
        description.error(404, "What it would show does not exist.");
    }
}

impl<R: Reply> Reply for Encoded<R> {
    const IS_LIST: bool = R::IS_LIST;

    async fn into_response(self, response_budget: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        json_response::ready(response_budget, self.body)
    }

    fn describe(description: &mut Description) {
        R::describe(description);
    }
}
