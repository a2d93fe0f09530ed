//! The page at which people sign in to services that are asked for by forward authentication.
//!
//! It is the only thing that sets the cookie. It needs no script: its forms post to itself, and count only if the browser names
//! the page's own origin as theirs.

mod html;

use std::{iter, sync::Arc};

use actix_http::HttpMessage;
use actix_web::{
    HttpResponse,
    http::{
        Method, StatusCode,
        header::{HeaderValue, LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE},
    },
};
use uuid::Uuid;

use self::html::{Content, Failure, page, protect};
use super::{
    client_request::{comes_from, own_origin},
    connection::Medium,
    context::{RequestContext, RequestIdentity},
    error::ApiError,
    form::{FormError, FormFields},
    guard::Guard,
    input::{Form, FromForm, Input},
    public_endpoints::options,
    query,
    routes::allow,
    session_cookie::SessionCookie,
};
use crate::{
    auth::{AuthError, Challenge},
    config::{SIGN_IN_PATH, SignInPage, WebAddress, WebOrigin},
    domain::PresentedPassword,
    service::{Anonymous, Caller, ServiceError, sessions},
};

/// How many cookies of its name a form ends the sessions of.
const MAX_COOKIES: usize = 8;

/// One request to the page.
struct Visit<'a> {
    /// The origin at which the browser reaches the page.
    origin: WebOrigin,
    cookie: SessionCookie<'a>,
    /// Where the browser goes on to.
    to: Option<WebAddress>,
}

/// Why the page does nothing.
enum Refused {
    /// It may not lead where it should.
    Target,
    /// The browser would not keep the cookie of a page that is reached in this way.
    Unencrypted,
    /// It is reached at an address that is not known, or not one of the cookie's domain.
    Address,
    /// The form was not sent by the page.
    OtherOrigin,
    Failed(ApiError),
}

/// What a form asks for.
enum Submitted {
    /// To sign in; `None` if no account can have that name and password.
    SignIn(Option<(String, PresentedPassword)>),
    SignOut,
}

impl FromForm for Submitted {
    type Schema = ();

    fn from_form(fields: FormFields) -> Result<Self, FormError> {
        if fields.get("sign_out").is_some() {
            return Ok(Self::SignOut);
        }
        let credentials = fields.get("username").zip(fields.get("password")).and_then(|(username, password)| {
            Some((username.expose().clone(), PresentedPassword::parse(password.expose())?))
        });
        Ok(Self::SignIn(credentials))
    }
}

/// Answers a request to the page; the causes of errors are logged under that id.
pub(super) async fn answer(context: &mut RequestContext<'_>, id: Uuid) -> Result<HttpResponse, ApiError> {
    let allowed = || allow([Method::GET, Method::POST].iter());
    let is_form = match *context.http.method() {
        Method::GET | Method::HEAD => false,
        Method::POST => true,
        Method::OPTIONS => return Ok(shown(options(&allowed()), None)),
        _ => return Err(ApiError::MethodNotAllowed(allowed())),
    };
    let app = Arc::clone(context.app);
    let settings = app.sign_in.as_ref().ok_or(ApiError::NotFound)?;
    let visit = match Visit::begin(context, settings) {
        Ok(visit) => visit,
        Err(refused) => return Ok(shown(refused.page(None, id), None)),
    };
    let answered = if is_form { submit(context, &visit).await } else { show(context, &visit).await };
    let response = answered.unwrap_or_else(|refused| refused.page(visit.to.as_ref(), id));
    Ok(shown(response, visit.to.as_ref()))
}

fn shown(mut response: HttpResponse, to: Option<&WebAddress>) -> HttpResponse {
    protect(&mut response, to);
    response
}

impl<'a> Visit<'a> {
    fn begin(context: &RequestContext<'_>, settings: &'a SignInPage) -> Result<Self, Refused> {
        let (http, proxies) = (context.http, &context.app.proxies);
        let configured = settings.address.as_ref().map(|address| address.origin.clone());
        let origin = configured.or_else(|| own_origin(http, proxies, context.medium == Medium::Tls));
        let origin = origin.ok_or(Refused::Address)?;
        if !origin.is_encrypted && !origin.is_plain_loopback() {
            return Err(Refused::Unencrypted);
        }
        if settings.cookie_domain.as_ref().is_some_and(|domain| !domain.covers(origin.host())) {
            return Err(Refused::Address);
        }
        let cookie = SessionCookie::of(settings, Some(&origin));
        Ok(Self { origin, cookie, to: target(context.query(), settings)? })
    }
}

/// Where the query wants to go on to.
fn target(query: &str, settings: &SignInPage) -> Result<Option<WebAddress>, Refused> {
    let wanted = query::refuse_others(query, &["to"]).and_then(|()| query::text(query, "to"));
    let Some(wanted) = wanted.map_err(|_| Refused::Target)? else { return Ok(None) };
    let address = WebAddress::parse(&wanted).filter(|address| settings.leads_to(address));
    address.map(Some).ok_or(Refused::Target)
}

/// Shows the form, or who is signed in.
async fn show(context: &mut RequestContext<'_>, visit: &Visit<'_>) -> Result<HttpResponse, Refused> {
    let token = visit.cookie.token(context.http.headers());
    let caller = match token {
        Some(token) => caller(context, token).await?,
        None => None,
    };
    let shown = caller.as_ref().map_or(Content::Form(None), |caller| Content::SignedIn(caller.user.username.as_str()));
    Ok(page(StatusCode::OK, &shown, visit.to.as_ref()))
}

async fn submit(context: &mut RequestContext<'_>, visit: &Visit<'_>) -> Result<HttpResponse, Refused> {
    // Before anything else: a page of another origin must not sign anyone in or out, nor lock an account out.
    if !comes_from(context.http.headers(), &visit.origin) {
        context.app.warn_of_sign_in();
        return Err(Refused::OtherOrigin);
    }
    let anonymous = Anonymous::admit(context).await?;
    let Form(submitted) = Form::<Submitted>::read(context).await?;
    match submitted {
        Submitted::SignIn(credentials) => sign_in(context, visit, anonymous, credentials).await,
        Submitted::SignOut => sign_out(context, visit).await,
    }
}

async fn sign_in(
    context: &mut RequestContext<'_>,
    visit: &Visit<'_>,
    anonymous: Anonymous,
    credentials: Option<(String, PresentedPassword)>,
) -> Result<HttpResponse, Refused> {
    let (username, password) = credentials.ok_or(AuthError::Refused(Challenge::Bearer))?;
    let (user, token) = sessions::sign_in(&anonymous, &username, &password).await?;
    // The new cookie takes the place of the one that came with the form.
    end_sessions(context, visit).await?;
    context.identity = RequestIdentity { user: Some(user.id), ..RequestIdentity::default() };
    let to = visit.to.as_ref().map_or_else(|| SIGN_IN_PATH[1..].to_owned(), WebAddress::to_string);
    Ok(redirect(&to, visit.cookie.set(&token, anonymous.state.policy.session_lifetime)))
}

/// Ends the session of the cookie, and shows the form again.
async fn sign_out(context: &mut RequestContext<'_>, visit: &Visit<'_>) -> Result<HttpResponse, Refused> {
    end_sessions(context, visit).await?;
    let query = context.http.uri().query().map_or_else(String::new, |query| format!("?{query}"));
    Ok(redirect(&format!("{}{query}", &SIGN_IN_PATH[1..]), visit.cookie.clear()))
}

/// Ends the sessions of all cookies of its name that came with the form.
async fn end_sessions(context: &mut RequestContext<'_>, visit: &Visit<'_>) -> Result<(), Refused> {
    for token in visit.cookie.tokens(context.http.headers()).take(MAX_COOKIES) {
        if let Some(caller) = caller(context, token).await? {
            sessions::sign_out(&caller).await?;
        }
    }
    Ok(())
}

/// The caller whose session the token is, if it is good.
async fn caller(context: &mut RequestContext<'_>, token: &str) -> Result<Option<Caller>, Refused> {
    context.app.tls_policy.accept_token(context.transport())?;
    match context.app.state.authenticate(iter::once(token.as_bytes()), context.address).await {
        Ok(caller) => {
            context.identity = RequestIdentity { user: Some(caller.user.id), ..RequestIdentity::default() };
            Ok(Some(caller))
        }
        Err(ServiceError::Auth(AuthError::Refused(_))) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// 303 to an address, or to one beside the page's own: a proxy may have removed what is before that.
fn redirect(to: &str, cookie: HeaderValue) -> HttpResponse {
    let to = HeaderValue::from_str(to).expect("an address has the characters of a header");
    HttpResponse::SeeOther().insert_header((LOCATION, to)).insert_header((SET_COOKIE, cookie)).finish()
}

impl Refused {
    /// The page that explains it.
    fn page(self, to: Option<&WebAddress>, id: Uuid) -> HttpResponse {
        let notice = |status, sentence| page(status, &Content::Notice(sentence), None);
        match self {
            Self::Target => {
                notice(StatusCode::BAD_REQUEST, "The link to this page leads to an address that is not allowed.")
            }
            Self::Unencrypted => notice(StatusCode::FORBIDDEN, "This page works over HTTPS only."),
            Self::Address => notice(StatusCode::FORBIDDEN, "This is not the address of the page to sign in at."),
            Self::OtherOrigin => form(StatusCode::FORBIDDEN, "The form was sent by another page. Send it again.", to),
            Self::Failed(error) => failed(&error.into_response(id), to),
        }
    }
}

/// The form with what went wrong, in the place of a response for programs.
fn failed(response: &HttpResponse, to: Option<&WebAddress>) -> HttpResponse {
    let wait = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).unwrap_or("1");
    let sentence = match response.status() {
        StatusCode::UNAUTHORIZED => "The user name or the password is wrong.".to_owned(),
        StatusCode::TOO_MANY_REQUESTS => {
            format!(
                "Too many attempts have failed. Try again in {wait} {}.",
                if wait == "1" { "second" } else { "seconds" }
            )
        }
        StatusCode::FORBIDDEN => "Passwords are accepted over HTTPS only.".to_owned(),
        StatusCode::INTERNAL_SERVER_ERROR => "The server has a fault; its log has the details.".to_owned(),
        status if status.is_server_error() => "The server cannot do this now. Try again in a moment.".to_owned(),
        _ => "The form could not be read. Send it again.".to_owned(),
    };
    let mut shown = form(response.status(), &sentence, to);
    for (name, value) in response.headers().iter().filter(|(name, _)| [RETRY_AFTER, WWW_AUTHENTICATE].contains(name)) {
        shown.headers_mut().insert(name.clone(), value.clone());
    }
    shown
}

fn form(status: StatusCode, sentence: &str, to: Option<&WebAddress>) -> HttpResponse {
    let is_refusal = status == StatusCode::UNAUTHORIZED;
    page(status, &Content::Form(Some(Failure { sentence, is_refusal })), to)
}

impl<E: Into<ApiError>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}
