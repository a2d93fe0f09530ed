//! Forward authentication: a proxy asks whether it may pass a client's request on to a service, and who sends it.
//!
//! The proxy passes the client's credential on, and what the service needs is in the query. The response is made from the head of
//! the request alone. It is 200, 401, 403, 429 or 503, because proxies do not agree on the meaning of others.

use actix_http::HttpMessage;
use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{COOKIE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE},
    },
    web::Bytes,
};
use schemars::JsonSchema;
use serde::Serialize;

use super::{
    assertions::{self, ProxiedAudience},
    context::RequestContext,
    demand,
    description::Description,
    error::{ApiError, BEARER},
    guard::Forwarded,
    input::Input,
    json_response::encoded,
    memory_budget::BudgetExhausted,
    reply::Reply,
    response_budget::ResponseBudget,
    session_cookie::SessionCookie,
};
use crate::{
    domain::{Email, User},
    service::Caller,
};

/// The status that 403 or 503 stands for, where that is another.
const STATUS: HeaderName = HeaderName::from_static("x-lodge-status");

/// The headers with the caller's identity, and their descriptions.
const IDENTITY: [(&str, &str); 6] = [
    ("Remote-User", "The user name."),
    ("Remote-Email", "The e-mail address; empty if there is none, or if it is not ASCII."),
    ("Remote-Name", "The user name."),
    ("Remote-Groups", "`admin` for an administrator without a restricted API key, else empty."),
    ("X-Lodge-User-Id", "The account's id."),
    ("X-Lodge-Key-Id", "The API key's id; empty for another credential."),
];

/// Nothing; the caller's identity is in the headers.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "forward_auth")]
struct AdmittedView {}

/// The header with the caller's identity as the service can check it.
const ASSERTION: HeaderName = HeaderName::from_static("x-lodge-assertion");

/// 200 with the identity of the caller and the assertion of it, and the only one.
pub(super) struct Admitted(Caller, HeaderValue, Cookies);

/// The client's cookies but Lodge's own, which proxies pass on in the place of all; `None` where no cookie is Lodge's.
pub(super) struct Cookies(Option<HeaderValue>);

impl Input for Cookies {
    async fn read(context: &mut RequestContext<'_>) -> Result<Self, ApiError> {
        let headers = context.http.headers();
        Ok(Self(context.app.sign_in.as_ref().map(|_| SessionCookie::others(headers))))
    }

    fn describe(_: &mut Description) {}
}

pub(super) async fn show(
    Forwarded(caller): Forwarded,
    audience: ProxiedAudience,
    cookies: Cookies,
) -> Result<Admitted, ApiError> {
    let assertion = assertions::for_proxy(&caller, &audience);
    Ok(Admitted(caller, assertion, cookies))
}

impl Reply for Admitted {
    async fn into_response(self, _: ResponseBudget<'_>) -> Result<HttpResponse, BudgetExhausted> {
        let mut response = encoded(StatusCode::OK, Bytes::from_static(b"{}"));
        let headers = response.headers_mut();
        for (name, value) in identity(&self.0) {
            headers.append(name, value);
        }
        headers.append(ASSERTION, self.1);
        if let Cookies(Some(cookies)) = self.2 {
            headers.append(COOKIE, cookies);
        }
        Ok(response)
    }

    fn describe(description: &mut Description) {
        description.success::<AdmittedView>(200);
        for (name, text) in IDENTITY {
            description.header(200, name, text, "string");
        }
        let text = "The same as a token for the service that `aud` names, valid for a minute; empty without one.";
        description.header(200, "X-Lodge-Assertion", text, "string");
        let text = "The cookies for the service: all but Lodge's. Left out unless there is a page to sign in at.";
        description.header(200, "Cookie", text, "string");
    }
}

/// The headers with the caller's identity. All of them are always there, because a proxy may pass the client's own on where one
/// is missing.
fn identity(caller: &Caller) -> [(HeaderName, HeaderValue); 6] {
    let name = |name| HeaderName::from_static(name);
    let user: &User = &caller.user;
    // A service may take the group for all rights, which a restricted key does not have.
    let is_administrator = caller.is_unrestricted_administrator();
    let username = field_text(user.username.as_str());
    let email = user.email.as_ref().map_or(EMPTY, |email: &Email| field_text(email.as_str()));
    [
        (name("remote-user"), username.clone()),
        (name("remote-email"), email),
        (name("remote-name"), username),
        (name("remote-groups"), if is_administrator { HeaderValue::from_static("admin") } else { EMPTY }),
        (name("x-lodge-user-id"), HeaderValue::from(user.id.get())),
        (name("x-lodge-key-id"), caller.api_key().map_or(EMPTY, |key| HeaderValue::from(key.id.get()))),
    ]
}

const EMPTY: HeaderValue = HeaderValue::from_static("");

/// The text as the value of a header (RFC 9110, section 5.5); empty if it has other characters than visible ones of ASCII, which
/// proxies and services read differently.
fn field_text(text: &str) -> HeaderValue {
    let is_visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if is_visible { HeaderValue::from_str(text).unwrap_or(EMPTY) } else { EMPTY }
}

/// The response in place of a refusal, for a request with that query: 401, 403, 429 or 503, or with `errors=403` 401 or 403.
pub(super) fn restricted(mut refusal: HttpResponse, query: &str) -> HttpResponse {
    let refused = refusal.status();
    let status = if demand::wants_forbidden_alone(query) { forbidden_alone(refused) } else { refused_plainly(refused) };
    *refusal.status_mut() = status;
    let headers = refusal.headers_mut();
    if status != refused {
        headers.insert(STATUS, HeaderValue::from(refused.as_u16()));
    }
    if status == StatusCode::SERVICE_UNAVAILABLE && !headers.contains_key(RETRY_AFTER) {
        headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
    }
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(BEARER));
    }
    refusal
}

fn refused_plainly(refused: StatusCode) -> StatusCode {
    match refused {
        StatusCode::UNAUTHORIZED | StatusCode::TOO_MANY_REQUESTS => refused,
        // CONNECT: 200 would begin a tunnel, and no other attempt is better.
        StatusCode::NOT_IMPLEMENTED => StatusCode::FORBIDDEN,
        other if other.is_server_error() => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    }
}

fn forbidden_alone(refused: StatusCode) -> StatusCode {
    if refused == StatusCode::UNAUTHORIZED { refused } else { StatusCode::FORBIDDEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status in place of that one, and the header with that one, for a request with that query.
    fn shown(status: u16, query: &str) -> (u16, Option<u16>) {
        let refusal = HttpResponse::build(StatusCode::from_u16(status).unwrap()).finish();
        let response = restricted(refusal, query);
        let stands_for = response.headers().get(STATUS).map(|value| value.to_str().unwrap().parse().unwrap());
        (response.status().as_u16(), stands_for)
    }

    #[test]
    fn a_refusal_is_401_403_429_or_503() {
        for (refused, expected) in [
            (400, (403, Some(400))),
            (401, (401, None)),
            (403, (403, None)),
            (404, (403, Some(404))),
            (414, (403, Some(414))),
            (429, (429, None)),
            (431, (403, Some(431))),
            (500, (503, Some(500))),
            (501, (403, Some(501))),
            (503, (503, None)),
        ] {
            assert_eq!(shown(refused, "scope=any"), expected, "{refused}");
        }
    }

    #[test]
    fn a_refusal_is_401_or_403_where_the_proxy_understands_no_other() {
        for (refused, expected) in [
            (400, (403, Some(400))),
            (401, (401, None)),
            (403, (403, None)),
            (429, (403, Some(429))),
            (500, (403, Some(500))),
            (503, (403, Some(503))),
        ] {
            assert_eq!(shown(refused, "scope=&errors=403"), expected, "{refused}");
        }
    }

    #[test]
    fn a_text_that_is_no_header_value_is_left_empty() {
        for text in ["", "ann@b\u{fc}cher.example", "a\u{7f}@b", "a b", "a\r\nX: y"] {
            assert_eq!(field_text(text), "", "{text:?}");
        }
        assert_eq!(field_text("ann,b@c"), "ann,b@c");
    }
}
