//! Sessions over HTTP.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use uuid::Uuid;

use super::{
    context::RequestContext,
    date_time::DateTime,
    description::Description,
    error::ApiError,
    input::{Body, FromObject, Input},
    json_object::JsonObject,
    listing::{Listed, Listing},
    query,
    reply::{NoContent, SignedIn},
    users::UserView,
};
use crate::{
    auth::{AuthError, Challenge},
    domain::{Page, PresentedPassword, Session},
    service::{Anonymous, Caller, Policy, ResourceAccess, ServiceError, sessions},
    store::Slice,
};

/// The credentials in the body; `None` if no account can have them, which is answered like a wrong password.
pub(super) struct SignIn(Option<(String, PresentedPassword)>);

impl FromObject for SignIn {
    type Schema = Self;

    const MAY_BE_INVALID: bool = false;
    const IS_ANONYMOUS: bool = true;

    fn from_object(object: JsonObject, _: &Policy) -> Self {
        Self(object.nested("user").and_then(|user| {
            let username = user.raw_text("username").filter(|username| !username.is_empty())?;
            let password = PresentedPassword::parse(user.raw_text("password")?)?;
            Some((username.to_owned(), password))
        }))
    }
}

impl JsonSchema for SignIn {
    fn schema_name() -> Cow<'static, str> {
        "sign_in".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let credentials = json_schema!({
            "type": "object",
            "properties": {"username": {"type": "string"}, "password": {"type": "string"}},
        });
        json_schema!({"type": "object", "properties": {"user": credentials}})
    }
}

/// A session of a user.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "session")]
pub(super) struct SessionView {
    /// Identifies the session; it is no secret.
    id: Uuid,
    /// When the user signed in; left out for a session of an older server.
    #[serde(skip_serializing_if = "Option::is_none")]
    created_at: Option<DateTime>,
    /// From which IP address the user signed in; left out for a session of an older server.
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<String>,
    /// When it was last used, to the minute; left out where it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen_at: Option<DateTime>,
    /// When it ends.
    expires_at: DateTime,
    /// Whether the request came with it.
    current: bool,
}

impl SessionView {
    fn shown_to(access: &ResourceAccess, session: &Session) -> Result<Self, ServiceError> {
        Ok(Self {
            id: session.jti,
            created_at: session.created_at.map(DateTime),
            address: session.address.map(|address| address.to_canonical().to_string()),
            last_seen_at: sessions::last_seen(access, session)?.map(DateTime),
            expires_at: DateTime(session.expires_at),
            current: access.session() == Some(session.jti),
        })
    }
}

impl Listed for SessionView {
    const COLLECTION: &'static str = "sessions";
}

/// The id of a session in the path.
pub(super) struct SessionId(Uuid);

impl Input for SessionId {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        query::refuse_others(context.query(), &[])?;
        let text = context.last_parameter().ok_or(ApiError::NotFound)?;
        let id = Uuid::try_parse(&text).ok().filter(|id| id.to_string().eq_ignore_ascii_case(&text));
        id.map(Self).ok_or(ApiError::NotFound)
    }

    fn describe(description: &mut Description) {
        description.path_parameter::<Uuid>("The session's id.");
        description.error(400, "There is a parameter in the query.");
    }
}

/// A page of sessions, from a query without any other parameter.
pub(super) struct SessionPage(Page);

impl Input for SessionPage {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        query::refuse_others(context.query(), &["limit", "offset"])?;
        Page::read(context).await.map(Self)
    }

    fn describe(description: &mut Description) {
        Page::describe(description);
        description.error(400, "The limit or the offset is not a number from 0 up, or there is another parameter.");
    }
}

/// Which sessions are not ended.
pub(super) enum Except {
    None,
    Current,
}

impl Input for Except {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        query::refuse_others(context.query(), &["except"])?;
        match query::text(context.query(), "except")?.as_deref() {
            None => Ok(Self::None),
            Some("current") => Ok(Self::Current),
            Some(_) => Err(ApiError::Malformed("The only value of except is current.".to_owned())),
        }
    }

    fn describe(description: &mut Description) {
        description.query_parameter("except", "`current` leaves the session that the request came with.");
        description.error(400, "The value of except is not `current`, or there is another parameter.");
    }
}

pub(super) async fn sign_in(
    anonymous: Anonymous,
    Body(SignIn(given)): Body<SignIn>,
) -> Result<SignedIn<UserView>, ApiError> {
    let (username, password) = given.ok_or(AuthError::Refused(Challenge::Bearer))?;
    let (user, token) = sessions::sign_in(&anonymous, &username, &password).await?;
    Ok(SignedIn { user: user.id, view: user.into(), token })
}

pub(super) async fn sign_out(caller: Caller) -> Result<NoContent, ApiError> {
    sessions::sign_out(&caller).await?;
    Ok(NoContent)
}

pub(super) async fn index(
    access: impl Into<ResourceAccess>,
    SessionPage(page): SessionPage,
) -> Result<Listing<SessionView>, ApiError> {
    let access = access.into();
    let Slice { records, count } = sessions::index(&access, page)?;
    let records = records.iter().map(|session| SessionView::shown_to(&access, session));
    Ok(Listing::of(Slice { records: records.collect::<Result<_, _>>()?, count }, |view| view))
}

pub(super) async fn destroy(
    access: impl Into<ResourceAccess>,
    SessionId(id): SessionId,
) -> Result<NoContent, ApiError> {
    sessions::destroy(&access.into(), id).await?;
    Ok(NoContent)
}

pub(super) async fn destroy_all(access: impl Into<ResourceAccess>, except: Except) -> Result<NoContent, ApiError> {
    let access = access.into();
    let kept = match except {
        Except::None => None,
        Except::Current => access.session(),
    };
    sessions::destroy_all(&access, kept).await?;
    Ok(NoContent)
}
