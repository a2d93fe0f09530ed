//! Users over HTTP.

use std::{ops::Not, sync::Arc};

use schemars::{JsonSchema, Schema};
use serde::Serialize;
use serde_json::json;

use super::{
    account_cache,
    context::RequestContext,
    date_time::DateTime,
    description::Description,
    error::ApiError,
    guard::SelfOrAdministrator,
    input::{Body, FromObject, Include, Input, PathId},
    json_object::JsonObject,
    json_response::encode,
    listing::{Listed, Listing},
    memory_budget::RequestBudget,
    query,
    reply::{Created, Encoded, MayBeInvalid, NoContent, Shown, View},
    response_budget::{BudgetedBuffer, ResponseBudget},
    schema::all_optional,
    turns::{Client, run_aside},
    user_list_cache::UserListCache,
    user_query::UserQuery,
};
use crate::{
    clock::Timestamp,
    domain::{
        Change, Email, Id, NewPassword, PresentedPassword, Problem, SourceType, Submitted, SystemId, User, UserChange,
        Username,
    },
    service::{
        Administrator, Caller, Policy, Requester, ServiceError,
        users::{self, search::UserSearch},
    },
    store::Slice,
};

/// An account.
// Has neither the password nor its hash. Only the schema has that member, because bodies use it too.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "user", transform = with_password)]
pub(super) struct UserView {
    #[schemars(with = "u32", extend("readOnly" = true))]
    id: Id,
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    user_id: Option<SystemId>,
    #[schemars(with = "u32")]
    #[serde(skip_serializing_if = "Option::is_none")]
    group_id: Option<SystemId>,
    #[schemars(with = "String")]
    username: Username,
    #[schemars(with = "String")]
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<Email>,
    is_admin: bool,
    /// Whether nothing of the account works; left out where it is false.
    #[serde(skip_serializing_if = "Not::not")]
    suspended: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    expired_at: Option<DateTime>,
    #[schemars(with = "String", extend("enum" = SourceType::ALL.map(SourceType::name)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    source_type: Option<SourceType>,
    #[schemars(extend("readOnly" = true))]
    created_at: DateTime,
    #[schemars(extend("readOnly" = true))]
    updated_at: DateTime,
    /// When the user last signed in, to the minute; only with `include=activity`, and left out where it is not known.
    #[schemars(extend("readOnly" = true))]
    #[serde(skip_serializing_if = "Option::is_none")]
    last_sign_in_at: Option<DateTime>,
    /// Whether the user still has the password that the first start generated; only with `include=initial_password`, and left
    /// out where it is false.
    #[schemars(extend("readOnly" = true))]
    #[serde(skip_serializing_if = "Not::not")]
    has_initial_password: bool,
}

fn with_password(schema: &mut Schema) {
    all_optional(schema);
    let members = schema.pointer_mut("/properties").expect("a user has members");
    members["password"] = json!({"type": "string", "description": "Creation and update only"});
    let current = "Update only, where the server asks for it: the user's current password";
    members["current_password"] = json!({"type": "string", "description": current});
}

impl From<User> for UserView {
    fn from(user: User) -> Self {
        Self {
            id: user.id,
            user_id: user.user_id,
            group_id: user.group_id,
            username: user.username,
            email: user.email,
            is_admin: user.is_admin,
            suspended: user.suspended,
            expired_at: user.expired_at.map(DateTime),
            source_type: user.source_type,
            created_at: DateTime(user.created_at),
            updated_at: DateTime(user.updated_at),
            last_sign_in_at: None,
            has_initial_password: false,
        }
    }
}

impl UserView {
    /// The view of an account with its activity.
    fn with_activity(requester: &Requester, user: User) -> Result<Self, ServiceError> {
        let last_sign_in_at = users::last_sign_in(requester, user.id)?.map(DateTime);
        Ok(Self { last_sign_in_at, ..user.into() })
    }
}

impl View for UserView {}

impl Listed for UserView {
    const COLLECTION: &'static str = "users";
}

impl FromObject for Submitted<UserChange> {
    type Schema = UserView;

    fn from_object(mut object: JsonObject, policy: &Policy) -> Self {
        let change = UserChange {
            username: object.text("username", Username::parse),
            password: object.secret_text("password", |text| NewPassword::parse(text, policy.min_password_bytes)),
            email: object.optional_text("email", Email::parse),
            user_id: object.optional_integer("user_id", SystemId::new),
            group_id: object.optional_integer("group_id", SystemId::new),
            is_admin: object.truth("is_admin"),
            suspended: object.truth("suspended"),
            expired_at: object.optional_text("expired_at", |text| Timestamp::parse(text).ok_or(Problem::Invalid)),
            source_type: object.optional_text("source_type", SourceType::parse),
            current_password: current_password(&mut object, policy),
        };
        Self { change, violations: object.violations }
    }
}

/// The current password, where the installation asks for it; elsewhere the member is unknown.
fn current_password(object: &mut JsonObject, policy: &Policy) -> Change<PresentedPassword> {
    if policy.require_current_password {
        let parse = |text: &str| PresentedPassword::parse(text).ok_or(Problem::Invalid);
        object.secret_text("current_password", parse)
    } else {
        Change::Keep
    }
}

/// The account of the caller, with what was asked for.
fn own_view(caller: Caller, include: OwnInclude) -> Result<UserView, ServiceError> {
    let has_initial_password = include.initial_password && users::has_initial_password(&caller)?;
    let user = caller.user.as_ref().clone();
    let view = if include.activity { UserView::with_activity(&caller.into(), user)? } else { user.into() };
    Ok(UserView { has_initial_password, ..view })
}

/// What the caller's own account is shown with on request alone.
#[derive(Clone, Copy)]
pub(super) struct OwnInclude {
    activity: bool,
    initial_password: bool,
}

impl Input for OwnInclude {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let has = |item| query::has(context.query(), "include", item);
        Ok(Self { activity: has("activity"), initial_password: has("initial_password") })
    }

    fn describe(description: &mut Description) {
        let text = "`activity` adds when the user last signed in, `initial_password` whether the password is that of the first \
                    start. It may be given for each.";
        description.query_parameter("include", text);
    }
}

pub(super) async fn show_current(caller: Caller, include: OwnInclude) -> Result<Encoded<Shown<UserView>>, ApiError> {
    if include.activity || include.initial_password {
        return Ok(Encoded::new(encode(&own_view(caller, include)?).into()));
    }
    Ok(Encoded::new(account_cache::json(&caller.user, |user| encode(&UserView::from(user.clone())).into())))
}

pub(super) async fn index(
    administrator: Administrator,
    query: UserQuery,
    (user_list_cache, budget): (Arc<UserListCache>, RequestBudget),
) -> Result<Encoded<Listing<UserView>>, ApiError> {
    if !query.is_plain() {
        return search(administrator, query, budget).await;
    }
    let page = query.page;
    let version = administrator.0.store().users_version();
    let write = async |buffer: &mut BudgetedBuffer| -> Result<(), ApiError> {
        let slice = users::index(&administrator, page)?;
        Ok(Listing::of(slice, UserView::from).write_to(buffer).await?)
    };
    Ok(Encoded::new(user_list_cache.page(page, version, write).await?))
}

/// The list of a search, which is made in steps: other requests get their turn in between.
async fn search(
    administrator: Administrator,
    query: UserQuery,
    budget: RequestBudget,
) -> Result<Encoded<Listing<UserView>>, ApiError> {
    let client = Client::from(&administrator.0.principal);
    let mut permit = budget.reserve(0)?;
    let mut search = UserSearch::new(&administrator, query.filter, query.order, query.page)?;
    loop {
        let (step, is_found) = run_aside(client, move || search.step().map(|is_found| (search, is_found))).await??;
        search = step;
        permit.grow_to(search.bytes())?;
        if is_found {
            break;
        }
    }
    let listing = run_aside(client, move || {
        let Slice { records, count } = search.into_page()?;
        let view = |user: User| {
            if query.include.activity { UserView::with_activity(&administrator.0, user) } else { Ok(user.into()) }
        };
        let records = records.into_iter().map(view).collect::<Result<_, ServiceError>>()?;
        Ok::<_, ServiceError>(Listing::of(Slice { records, count }, |view| view))
    });
    let listing = listing.await??;
    let mut buffer = BudgetedBuffer::new(ResponseBudget::of(&budget.memory));
    listing.write_to(&mut buffer).await?;
    Ok(Encoded::new(buffer.into_bytes()))
}

pub(super) async fn create(
    administrator: Administrator,
    Body(submitted): Body<Submitted<UserChange>>,
) -> Result<Created<UserView>, ApiError> {
    Ok(Created(users::create(&administrator, submitted).await?.into()))
}

pub(super) async fn show(
    SelfOrAdministrator(requester): SelfOrAdministrator,
    PathId(id): PathId,
    include: Include,
) -> Result<Shown<UserView>, ApiError> {
    let user = users::show(&requester, id)?;
    Ok(Shown(if include.activity { UserView::with_activity(&requester, user)? } else { user.into() }))
}

pub(super) async fn update(
    SelfOrAdministrator(requester): SelfOrAdministrator,
    PathId(id): PathId,
    Body(submitted): Body<Submitted<UserChange>>,
) -> Result<Shown<UserView>, ApiError> {
    Ok(Shown(users::update(&requester, id, submitted).await?.into()))
}

pub(super) async fn destroy(
    administrator: Administrator,
    PathId(id): PathId,
) -> Result<MayBeInvalid<NoContent>, ApiError> {
    users::destroy(&administrator, id).await?;
    Ok(MayBeInvalid(NoContent))
}
