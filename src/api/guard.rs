//! Guards, which decide who is admitted to an operation. A handler with a guard parameter cannot run for any other
//! caller.

use std::{future::Future, iter, rc::Rc, sync::Arc};

use actix_http::HttpMessage;
use actix_web::http::header::{self, HeaderMap, HeaderName};

use super::{
    client_request::ClientRequest,
    connection::{Connection, Medium},
    context::{RequestContext, RequestIdentity, RequiredScope},
    demand::Demand,
    description::Description,
    error::ApiError,
    session_cookie::SessionCookie,
    tls_policy::{TlsPolicy, Transport, Unencrypted},
};
use crate::{
    auth::{AuthError, Challenge, Credential, Principal},
    config::SignInPage,
    domain::Action,
    service::{
        Administrator, Anonymous, Caller, Forbidden, KnownName, Local, Requester, ResourceAccess, demand,
        users::is_self_or_administrator,
    },
};

/// Admits a request to an operation, or refuses it.
pub(super) trait Guard: Sized {
    fn admit(context: &mut RequestContext<'_>) -> impl Future<Output = Result<Self, ApiError>>;

    /// Documents the responses to refused requests.
    fn describe(description: &mut Description) {
        description.error(401, "The credential is missing, wrong or no longer valid.");
        description.throttled();
        description.error(403, "The API key lacks the scope, or the user may not do this.");
    }
}

/// A [`Caller`] whose credential is valid, whatever its scopes.
pub(super) struct Authenticated(pub(super) Caller);

/// A [`Caller`] whose credential a proxy passes on, and who has what the proxy's query demands.
pub(super) struct Forwarded(pub(super) Caller);

/// A [`Requester`] who is the user in the path, or an administrator.
pub(super) struct SelfOrAdministrator(pub(super) Requester);

/// An administrator, with access to the resources of the user in the path.
pub(super) struct UserAdministrator(ResourceAccess);

impl From<UserAdministrator> for ResourceAccess {
    fn from(UserAdministrator(access): UserAdministrator) -> Self {
        access
    }
}

impl Guard for Anonymous {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        // A sign-in has a password in its body.
        context.app.tls_policy.accept_password(context.transport())?;
        Ok(Self { state: Arc::clone(&context.app.state), address: context.address })
    }

    fn describe(description: &mut Description) {
        description.error(401, "The user name or the password is wrong.");
        description.throttled();
        description.error(403, "The server accepts credentials over TLS only.");
    }
}

impl Guard for Authenticated {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        refuse_operator(context)?;
        Ok(Self(authenticate(context).await?))
    }

    fn describe(description: &mut Description) {
        description.error(401, "The credential is missing, wrong or no longer valid.");
        description.throttled();
        description.error(403, "The server accepts credentials over TLS only.");
    }
}

impl Guard for Forwarded {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let caller = forwarded_caller(context).await?;
        let caller = identified(context, caller);
        let demand = Demand::parse(context.query()).inspect_err(|why| context.app.warn_of_proxy(*why))?;
        let is_bound = caller.api_key().is_some_and(|key| key.allowed_networks.is_some());
        // Else the address is the proxy's, from which every client comes.
        if is_bound && !context.is_client_reported() {
            return Err(caller.state.refuse_address(&caller).into());
        }
        satisfy(&caller, &demand)?;
        Ok(Self(caller))
    }

    fn describe(description: &mut Description) {
        description
            .query_parameter("scope", "`controller/action`, once or more: the caller needs all of them; `any`: none.");
        description.query_parameter(
            "role",
            "`administrator`: the caller must be one; beside `any`, not with a restricted API key.",
        );
        description.query_parameter("errors", "`403`: every refusal but 401 is 403.");
        description
            .query_parameter("redirect", "`1`: a browser without a credential is redirected to the sign-in page.");
        description.error(401, "The credential is missing, wrong or no longer valid.");
        description.header(401, "X-Lodge-Sign-In", "Where a browser without a credential can sign in.", "string");
        description.error(302, "A browser without a credential has to sign in at another page.");
        description.header(302, "Location", "The sign-in page.", "string");
        description.throttled();
        description.error(403, "The caller lacks a scope or the role, or the query is malformed.");
        description.header(403, "X-Lodge-Missing-Scope", "The scope that the API key lacks.", "string");
        description.header(403, "X-Lodge-Status", "The status that 403 stands for, if it is another.", "integer");
        description.never([400, 414, 431, 500]);
    }
}

impl Guard for Caller {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        refuse_operator(context)?;
        permitted(context).await
    }
}

impl Guard for Requester {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        match local_uid(context) {
            Some(uid) => Ok(Self { state: Arc::clone(&context.app.state), principal: Principal::Local(uid) }),
            None => Ok(permitted(context).await?.into()),
        }
    }
}

impl Guard for Local {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let uid = local_uid(context).ok_or(ApiError::NotFound)?;
        Ok(Self { state: Arc::clone(&context.app.state), uid })
    }
}

/// Refuses an operator, who has no account.
fn refuse_operator(context: &mut RequestContext<'_>) -> Result<(), Forbidden> {
    local_uid(context).map_or(Ok(()), |_| Err(Forbidden::NoAccount))
}

/// The caller whose credential the request came with, if it has the scope of the operation.
async fn permitted(context: &mut RequestContext<'_>) -> Result<Caller, ApiError> {
    let caller = authenticate(context).await?;
    permit(&caller, context.scope)?;
    Ok(caller)
}

/// The caller whose credential the request came with.
async fn authenticate(context: &mut RequestContext<'_>) -> Result<Caller, ApiError> {
    let caller = caller_of(context).await?;
    Ok(identified(context, caller))
}

/// The caller, whose identity the log line has from now on.
fn identified(context: &mut RequestContext<'_>, caller: Caller) -> Caller {
    let api_key = caller.api_key().map(|key| key.id);
    context.identity = RequestIdentity { user: Some(caller.user.id), api_key, local_uid: None };
    caller
}

/// The caller whose credential the proxy passes on. The uid of a connection over a socket is the proxy's, and proves nothing.
async fn forwarded_caller(context: &RequestContext<'_>) -> Result<Caller, ApiError> {
    let headers = context.headers(forwarded_header(context.http.headers()));
    match (headers.clone().next(), &context.app.sign_in) {
        (None, Some(page)) => return caller_of_cookie(context, page).await,
        (None, None) => {}
        (Some(header), _) => accept(&context.app.tls_policy, header, context.transport())?,
    }
    Ok(context.app.state.authenticate(headers, context.address).await?)
}

/// The caller whose session has its token in the cookie of that page, unless a page of another origin made the browser send it.
async fn caller_of_cookie(context: &RequestContext<'_>, page: &SignInPage) -> Result<Caller, ApiError> {
    let (app, headers) = (context.app, context.http.headers());
    let request = ClientRequest::reported(context.http, &app.proxies);
    let token = SessionCookie::of(page, request.origin()).token(headers);
    let token = token.ok_or(AuthError::Refused(Challenge::Any))?;
    app.tls_policy.accept_token(context.transport())?;
    let caller = app.state.authenticate(iter::once(token.as_bytes()), context.address).await?;
    if request.is_of_own_pages(headers) { Ok(caller) } else { Err(app.state.refuse_other_origin(&caller).into()) }
}

/// Whether a request has a credential for forward authentication other than a cookie.
pub(super) fn has_forwarded_credential(headers: &HeaderMap) -> bool {
    headers.contains_key(forwarded_header(headers))
}

/// The header with the credential: of those that the request has the first, because services need `Authorization` for
/// themselves.
fn forwarded_header(headers: &HeaderMap) -> HeaderName {
    const X_LODGE_KEY: HeaderName = HeaderName::from_static("x-lodge-key");
    // Compared one by one, because few requests have as many headers as a look-up costs.
    let has = |wanted: &HeaderName| headers.keys().any(|name| name == wanted);
    let first = [X_LODGE_KEY, header::PROXY_AUTHORIZATION].into_iter().find(has);
    first.unwrap_or(header::AUTHORIZATION)
}

/// Refuses a caller who lacks what is demanded; records which scopes a key has used.
fn satisfy(caller: &Caller, demand: &Demand) -> Result<(), Forbidden> {
    demand::satisfy(&caller.user, &caller.authentication, &demand.scopes, demand.needs_administrator)?;
    demand.scopes.iter().for_each(|scope| caller.record_scope(scope.controller(), scope.action()));
    Ok(())
}

async fn caller_of(context: &RequestContext<'_>) -> Result<Caller, ApiError> {
    let headers = context.headers(header::AUTHORIZATION);
    match (headers.clone().next(), context.medium) {
        (None, Medium::SystemUser(uid)) => return system_user(context, uid).await,
        (None, Medium::Tcp | Medium::Tls | Medium::Unix | Medium::Local(_)) => {}
        (Some(header), _) => accept(&context.app.tls_policy, header, context.transport())?,
    }
    Ok(context.app.state.authenticate(headers, context.address).await?)
}

/// The caller whose account that user of the operating system is; the audit log has an entry for each connection.
async fn system_user(context: &RequestContext<'_>, uid: u32) -> Result<Caller, ApiError> {
    let connection = context.http.conn_data::<Rc<Connection>>();
    let unknown = KnownName::default();
    let known = connection.map_or(&unknown, |connection| connection.system_name());
    let caller = context.app.state.system_user(uid, known).await?;
    if connection.is_some_and(|connection| connection.is_first()) {
        caller.state.record(caller.actor(), Action::ConnectSystemUser, caller.user.as_ref().into()).await;
    }
    Ok(caller)
}

/// The user of the operating system who makes the request over the local socket; an `Authorization` header replaces them.
fn local_uid(context: &mut RequestContext<'_>) -> Option<u32> {
    let uid = match context.medium {
        Medium::Tcp | Medium::Tls | Medium::Unix | Medium::SystemUser(_) => None,
        Medium::Local(_) if context.http.headers().contains_key(header::AUTHORIZATION) => None,
        Medium::Local(uid) => Some(uid),
    };
    context.identity.local_uid = uid;
    uid
}

fn permit(caller: &Caller, RequiredScope { controller, action }: RequiredScope) -> Result<(), Forbidden> {
    if !caller.permits(controller, action) {
        return Err(Forbidden::Scope { controller, action });
    }
    caller.record_scope(controller, action);
    Ok(())
}

/// Accepts the credential of an `Authorization` header over that transport.
fn accept(policy: &TlsPolicy, header: &[u8], transport: Transport) -> Result<(), Unencrypted> {
    if Credential::is_basic(header) { policy.accept_password(transport) } else { policy.accept_token(transport) }
}

impl Guard for Administrator {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let requester = Requester::admit(context).await?;
        if requester.is_administrator() { Ok(Self(requester)) } else { Err(Forbidden::Role.into()) }
    }
}

impl Guard for UserAdministrator {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let administrator = Administrator::admit(context).await?;
        let owner = context.first_path_id().ok_or(ApiError::NotFound)?;
        Ok(Self(ResourceAccess::of_user(administrator, owner)?))
    }

    fn describe(description: &mut Description) {
        Administrator::describe(description);
        description.path_parameter::<u32>("The user's id.");
    }
}

impl Guard for SelfOrAdministrator {
    async fn admit(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let requester = Requester::admit(context).await?;
        let is_admitted = is_self_or_administrator(&requester, context.path_id());
        if is_admitted { Ok(Self(requester)) } else { Err(Forbidden::Role.into()) }
    }
}
