//! The inputs of handlers: path parameters, pages, bodies.

use std::{future::Future, rc::Rc, sync::Arc};

use actix_http::HttpMessage;
use actix_web::web::BytesMut;
use schemars::JsonSchema;

use super::{
    body::{self, BodyBounds, BodyError, BodyKind},
    connection::Connection,
    context::RequestContext,
    description::Description,
    error::ApiError,
    form::{FormError, FormFields},
    json,
    json_object::JsonObject,
    memory_budget::{RequestBudget, SMALL},
    query,
    turns::run_aside,
    user_list_cache::UserListCache,
};
use crate::{
    domain::{Id, Page},
    service::{Policy, configurations::ConfigurationName},
};

/// How many bytes of JSON are parsed at once: in the worst case they take about 1 ms.
const AT_ONCE: usize = 8 << 10;

/// A value that is read from a request once the caller is admitted.
pub(super) trait Input: Sized {
    /// The kind of the body that it is read from; `None` if from another part of the request.
    const BODY: Option<BodyKind> = None;

    fn read(context: &mut RequestContext<'_>) -> impl Future<Output = Result<Self, ApiError>>;

    /// Documents the parameters or the body, and the responses to wrong ones.
    fn describe(description: &mut Description);
}

impl Input for () {
    async fn read(_: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(())
    }

    fn describe(_: &mut Description) {}
}

impl<I: Input> Input for (I,) {
    const BODY: Option<BodyKind> = I::BODY;

    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok((I::read(context).await?,))
    }

    fn describe(description: &mut Description) {
        I::describe(description);
    }
}

impl<I: Input, J: Input> Input for (I, J) {
    const BODY: Option<BodyKind> = match (I::BODY, J::BODY) {
        (None, kind) | (kind, None) => kind,
        (Some(_), Some(_)) => panic!("a request has one body"),
    };

    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
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
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        context.path_id().map(Self).ok_or(ApiError::NotFound)
    }

    fn describe(description: &mut Description) {
        description.path_parameter::<u32>("The id.");
    }
}

impl Input for ConfigurationName {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let name = context.last_parameter().ok_or(ApiError::NotFound)?;
        if !name.bytes().all(|byte| byte.is_ascii_digit()) {
            return Ok(Self::Key(name));
        }
        Id::parse(&name).map(Self::Id).ok_or(ApiError::NotFound)
    }

    fn describe(description: &mut Description) {
        description.path_parameter::<String>("Numeric id, or key of the configuration, percent-encoded.");
    }
}

impl Input for Page {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let query = context.query();
        Ok(Self::new(query::number(query, "limit")?, query::number(query, "offset")?))
    }

    fn describe(description: &mut Description) {
        description.shared_query_parameter::<u64>("limit", "The number of items to display for pagination.");
        description.shared_query_parameter::<u64>("offset", "The number of items to skip for pagination.");
        description.error(400, "The limit or the offset is not a number from 0 up.");
    }
}

/// What a response has on request alone: `?include=activity`.
#[derive(Clone, Copy)]
pub(super) struct Include {
    /// When something was last used.
    pub(super) activity: bool,
}

impl Input for Include {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(Self { activity: query::has(context.query(), "include", "activity") })
    }

    fn describe(description: &mut Description) {
        description.query_parameter("include", "`activity` adds when it was last used.");
    }
}

impl Input for Arc<UserListCache> {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(Self::clone(&context.app.user_list_cache))
    }

    fn describe(_: &mut Description) {}
}

impl Input for RequestBudget {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        Ok(context.budget())
    }

    fn describe(_: &mut Description) {}
}

/// A value that is parsed from the members of a JSON body.
pub(super) trait FromObject: Sized + Send + 'static {
    /// The body's schema in the OpenAPI document.
    type Schema: JsonSchema;

    /// Whether the operation answers an invalid body with 422.
    const MAY_BE_INVALID: bool = true;

    /// Whether the body is sent without a credential. It must then be small, because it is read before the caller is
    /// known.
    const IS_ANONYMOUS: bool = false;

    fn from_object(object: JsonObject, policy: &Policy) -> Self;
}

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<T: FromObject> Input for Body<T> {
    const BODY: Option<BodyKind> = Some(BodyKind::Json);

    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let bytes = read_body(context, BodyKind::Json, T::IS_ANONYMOUS).await?;
        parse_in_turn(context, bytes).await.map(Self)
    }

    fn describe(description: &mut Description) {
        description.body::<T::Schema>(BodyKind::Json);
        if T::MAY_BE_INVALID {
            description.invalid();
        }
    }
}

/// A JSON body, or none at all, which is as good as an object without members.
pub(super) struct OptionalBody<T>(pub(super) T);

impl<T: FromObject> Input for OptionalBody<T> {
    const BODY: Option<BodyKind> = Some(BodyKind::Json);

    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let bytes = if body::is_absent(context.http.headers()) {
            BytesMut::new()
        } else {
            read_body(context, BodyKind::Json, T::IS_ANONYMOUS).await?
        };
        let bytes = if bytes.is_empty() { BytesMut::from("{}") } else { bytes };
        parse_in_turn(context, bytes).await.map(Self)
    }

    fn describe(description: &mut Description) {
        Body::<T>::describe(description);
        description.body_is_optional();
    }
}

/// A value that is read from the fields of a form.
pub(super) trait FromForm: Sized {
    /// The form's schema in the OpenAPI document.
    type Schema: JsonSchema;

    fn from_form(fields: FormFields) -> Result<Self, FormError>;
}

/// The fields of a form in the body, which is small, whoever sends it: it is parsed at once.
pub(super) struct Form<T>(pub(super) T);

impl<T: FromForm> Input for Form<T> {
    const BODY: Option<BodyKind> = Some(BodyKind::Form);

    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let bytes = read_body(context, BodyKind::Form, true).await?;
        Ok(Self(T::from_form(FormFields::parse(&bytes)?)?))
    }

    fn describe(description: &mut Description) {
        description.body::<T::Schema>(BodyKind::Form);
    }
}

/// Parses the bytes of the request's body: a long one in a turn of the client's, so that it keeps no connection waiting.
async fn parse_in_turn<T: FromObject>(context: &RequestContext<'_>, bytes: BytesMut) -> Result<T, ApiError> {
    let (depth, app) = (context.app.limits.json_depth, Arc::clone(context.app));
    let parse = move |bytes: &[u8]| parse_body(bytes, depth, &app.state.policy);
    if bytes.len() <= AT_ONCE {
        return parse(&bytes);
    }
    run_aside(context.client(), move || parse(&bytes)).await?
}

/// Parses the bytes of a body whose JSON is nested at most `depth` levels deep.
pub(super) fn parse_body<T: FromObject>(bytes: &[u8], depth: usize, policy: &Policy) -> Result<T, ApiError> {
    let object = json::object(bytes, depth).map_err(|sentence| ApiError::Malformed(sentence.to_owned()))?;
    Ok(T::from_object(JsonObject::new(object), policy))
}

/// Receives the body; the context holds its memory from then on.
async fn read_body(context: &mut RequestContext<'_>, kind: BodyKind, is_small: bool) -> Result<BytesMut, BodyError> {
    let limits = &context.app.limits;
    let bytes = if is_small { limits.body_bytes.min(SMALL) } else { limits.body_bytes };
    let bounds = BodyBounds { kind, bytes, deadline: limits.body_deadline };
    let connection = context.http.conn_data::<Rc<Connection>>().map(Rc::as_ref);
    let permit = context.permit();
    let permit = context.body_permit.insert(permit);
    body::read(context.http.headers(), &mut context.payload, connection, bounds, permit).await
}
