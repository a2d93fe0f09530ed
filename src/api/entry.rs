//! The entry point: every request arrives here, and every response leaves here.

use std::{cell::Cell, fmt, panic::AssertUnwindSafe, rc::Rc, sync::Arc, time::Instant};

use actix_http::{HttpMessage, Request, Response};
use actix_web::{
    HttpResponse,
    body::BoxBody,
    dev::Payload,
    http::{
        ConnectionType, Method,
        header::{self, HeaderMap, HeaderName, HeaderValue},
    },
};
use futures_util::FutureExt;
use siphasher::sip128::SipHasher24;
use tokio::task::yield_now;
use uuid::Uuid;

use super::{
    connection::{Connection, Medium, lasting},
    context::{App, RequestContext, RequestIdentity, RequiredScope, client_address, medium},
    error::ApiError,
    operations::{PREFIX, catalogue},
    public_endpoints::{PublicEndpoint, options},
    routes::{Reach, Routed, route},
};
use crate::{
    config::{BasePath, Limits},
    domain::Id,
    random::random_bytes,
};

/// Answers any request.
pub async fn respond(app: &Arc<App>, mut http: Request) -> Response<BoxBody> {
    let payload = http.take_payload();
    let connection = http.conn_data::<Rc<Connection>>();
    let answering = connection.cloned().map(Connection::begin);
    let mut line = LogLine::begin(http.method());
    if !matches!(payload, Payload::None) {
        // The framework receives the body meanwhile; it closes a connection whose body it has not received to its end.
        yield_now().await;
    }
    let answer = answer(&http, payload, app, &mut line);
    // A panic is a bug in one request, and must not end the other requests of the connection.
    let answered = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or(Err(ApiError::Panicked));
    let mut response = answered.unwrap_or_else(|error| error.into_response(line.request_id));
    // The account that signs in is known only once the response is made.
    if let Some(identity) = response.extensions().get::<RequestIdentity>() {
        line.identity = *identity;
    }
    complete(response.headers_mut(), line.request_id, medium(&http) == Medium::Tls);
    app.origins.complete(http.method(), http.headers(), response.headers_mut());
    line.end(response.status().as_u16());
    let head = response.head_mut();
    // Header names are case-insensitive (RFC 9110, section 5.1), but some clients look for the usual spelling.
    head.set_camel_case_headers(true);
    if connection.is_some_and(|connection| connection.is_closing()) {
        head.set_connection_type(ConnectionType::Close);
    }
    response.map_body(|_, body| lasting(body, answering)).into()
}

async fn answer(
    http: &Request,
    payload: Payload,
    app: &Arc<App>,
    line: &mut LogLine,
) -> Result<HttpResponse, ApiError> {
    if let Some(refusal) = http.conn_data::<Rc<Connection>>().and_then(|connection| connection.take_refusal()) {
        return Err(refusal.into());
    }
    check_head(http, &app.limits)?;
    let path = match &app.base_path {
        None => http.uri().path(),
        Some(base) => below(base, http.uri().path()).ok_or(ApiError::NotFound)?,
    };
    if let Some(endpoint) = PublicEndpoint::at(path) {
        line.route = ("", endpoint.path());
        return endpoint.answer(http.method(), app);
    }
    match route(http.method(), path, Reach::of(medium(http))) {
        Routed::NotFound => Err(ApiError::NotFound),
        Routed::MethodNotAllowed(route) if http.method() == Method::OPTIONS => {
            line.route = (PREFIX, route.path);
            Ok(options(&route.allow))
        }
        Routed::MethodNotAllowed(route) => {
            line.route = (PREFIX, route.path);
            Err(ApiError::MethodNotAllowed(route.allow.clone()))
        }
        Routed::To(operation, parameters) => {
            line.route = (PREFIX, operation.path);
            let mut context = RequestContext {
                app,
                address: client_address(http, &app.proxies),
                scope: RequiredScope { controller: operation.controller, action: operation.action },
                catalogue,
                parameters: parameters.map(str::to_owned),
                http,
                payload,
                identity: RequestIdentity::default(),
                body_permit: None,
            };
            let answered = (operation.mounted.run)(&mut context).await;
            line.identity = context.identity;
            answered
        }
    }
}

/// The rest of a path below the base path, which checks of health may leave out.
fn below<'a>(base: &BasePath, path: &'a str) -> Option<&'a str> {
    base.strip(path).or_else(|| PublicEndpoint::at(path).filter(|endpoint| endpoint.is_of_health()).map(|_| path))
}

/// Refuses a request whose head is too large, or whose target is not a path. The socket has checked its `Host` header.
fn check_head(http: &Request, limits: &Limits) -> Result<(), ApiError> {
    let headers = http.headers();
    let bytes: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    if bytes > limits.head_bytes {
        return Err(ApiError::HeadersTooLarge);
    }
    if http.uri().path_and_query().is_some_and(|path| path.as_str().len() > limits.path_bytes) {
        return Err(ApiError::PathTooLong);
    }
    if *http.method() == Method::CONNECT { Err(ApiError::ConnectUnsupported) } else { Ok(()) }
}

/// Adds the headers that every response has.
fn complete(headers: &mut HeaderMap, request_id: Uuid, is_encrypted: bool) {
    const FIXED: [(HeaderName, HeaderValue); 4] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    ];
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    // Appended, because no response has them yet, and that costs less than to look for those to replace.
    for (name, value) in FIXED {
        headers.append(name, value);
    }
    if is_encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let mut buffer = Uuid::encode_buffer();
    let id = HeaderValue::from_str(request_id.hyphenated().encode_lower(&mut buffer));
    headers.append(REQUEST_ID, id.expect("a UUID is a header value"));
}

/// The id of the next request: a hash of its number under a key of the thread (RFC 9562, version 8), so that an id
/// reveals neither other ids nor the number of requests.
fn next_request_id() -> Uuid {
    // A counter that all threads share would move from core to core with each request.
    thread_local! {
        static KEY: SipHasher24 = SipHasher24::new_with_key(&random_bytes());
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.replace(COUNT.get() + 1);
    let hash = KEY.with(|key| key.hash(&count.to_ne_bytes())).as_u128();
    uuid::Builder::from_custom_bytes(hash.to_be_bytes()).into_uuid()
}

/// The log line of a request. It is also written when the client disconnects before there is a response.
struct LogLine {
    request_id: Uuid,
    method: Method,
    route: (&'static str, &'static str),
    identity: RequestIdentity,
    began: Instant,
    status: Option<u16>,
}

impl LogLine {
    fn begin(method: &Method) -> Self {
        Self {
            request_id: next_request_id(),
            method: method.clone(),
            route: ("", "-"),
            identity: RequestIdentity::default(),
            began: Instant::now(),
            status: None,
        }
    }

    fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

/// The line, without path, query and headers, because some clients put secrets there.
impl fmt::Display for LogLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_str().get(..16).unwrap_or(self.method.as_str());
        let (prefix, path) = self.route;
        let who = self.identity.user.map(Id::get).or(self.identity.local_uid);
        let micros = u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX);
        let [mut status, mut millis, mut thousandths, mut user, mut api_key] = [itoa::Buffer::new(); 5];
        let mut request_id = Uuid::encode_buffer();
        // Written in parts, because formatting takes three times as long.
        let parts = [
            "method=",
            method,
            " route=",
            prefix,
            path,
            " status=",
            self.status.map_or("gone", |number| status.format(number)),
            " time_ms=",
            millis.format(micros / 1000),
            ".",
            &thousandths.format(1000 + micros % 1000)[1..],
            " request_id=",
            self.request_id.hyphenated().encode_lower(&mut request_id),
            if self.identity.local_uid.is_some() { " user_id=local:" } else { " user_id=" },
            who.map_or("-", |id| user.format(id)),
            " api_key_id=",
            self.identity.api_key.map_or("-", |id| api_key.format(id.get())),
        ];
        parts.into_iter().try_for_each(|part| f.write_str(part))
    }
}

impl Drop for LogLine {
    fn drop(&mut self) {
        log::info!(target: "lodge::request", "{self}");
    }
}
