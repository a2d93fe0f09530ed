//! The entry point: every request arrives here, and every response leaves here.

use std::{
    fmt,
    panic::AssertUnwindSafe,
    rc::Rc,
    time::{Duration, Instant},
};

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
use tokio::task::yield_now;
use uuid::Uuid;

use super::{
    connection::{Connection, Medium, lasting},
    console::{ConsoleFile, redirect_to_page},
    context::{App, RequestContext, RequestIdentity, RequiredScope, client_address},
    error::ApiError,
    forward_auth,
    guard::has_forwarded_credential,
    head::check_head,
    json_response::CONTENT_POLICY,
    metrics,
    operations::{Admits, PREFIX, catalogue},
    public_endpoints::{PublicEndpoint, options},
    request_id::RequestId,
    routes::{Reach, Routed, route},
    sign_in_page, sign_in_redirect,
    worker::{Endpoint, Serves, Worker},
};
use crate::{
    config::{BasePath, SIGN_IN_PATH},
    domain::Id,
};

/// Where Prometheus asks for metrics unless it is configured otherwise.
const METRICS: &str = "/metrics";
/// The operation that is there too.
const METRICS_OPERATION: &str = "/api/v2/metrics";

/// Answers any request.
pub async fn respond(worker: &Worker, mut http: Request) -> Response<BoxBody> {
    let app = &worker.app;
    let payload = http.take_payload();
    let connection = http.conn_data::<Rc<Connection>>();
    let medium = connection.map_or(Medium::Tcp, |connection| connection.medium());
    let answering = connection.cloned().map(Connection::begin);
    let mut line = LogLine::begin(worker, http.method());
    if !matches!(payload, Payload::None) {
        // The framework receives the body meanwhile; it closes a connection whose body it has not received to its end.
        yield_now().await;
    }
    let answer = answer(&http, connection.map(Rc::as_ref), medium, payload, worker, &mut line);
    // A panic is a bug in one request, and must not end the other requests of the connection.
    let answered = AssertUnwindSafe(answer).catch_unwind().await.unwrap_or(Err(ApiError::Panicked));
    let mut response = answered.unwrap_or_else(|error| refusal(error, app, &http, medium, line.request_id.uuid));
    // The account that signs in is known only once the response is made.
    if let Some(identity) = response.extensions().get::<RequestIdentity>() {
        line.identity = *identity;
    }
    complete(response.headers_mut(), &line, medium == Medium::Tls);
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
    connection: Option<&Connection>,
    medium: Medium,
    payload: Payload,
    worker: &Worker,
    line: &mut LogLine<'_>,
) -> Result<HttpResponse, ApiError> {
    let app = &worker.app;
    if let Some(refusal) = connection.and_then(Connection::take_refusal) {
        return Err(refusal.into());
    }
    check_head(http, connection, &app.limits)?;
    let Some(path) = path_within(app, http) else { return outside(worker, http, line) };
    let path = match path {
        METRICS if worker.serves == Serves::Metrics => {
            (line.route, line.endpoint) = (("", METRICS), Endpoint::SCRAPE);
            return metrics::answer(http, app).await;
        }
        _ if worker.serves == Serves::Metrics => return Err(ApiError::NotFound),
        METRICS => METRICS_OPERATION,
        path => path,
    };
    if let Some(endpoint) = PublicEndpoint::at(path) {
        (line.route, line.endpoint) = (("", endpoint.path()), endpoint.into());
        let response = endpoint.answer(http.method(), app)?;
        line.has_own_policy = response.headers().contains_key(header::CACHE_CONTROL);
        return Ok(response);
    }
    match route(http.method(), path, Reach::of(medium)) {
        Routed::NotFound if path == SIGN_IN_PATH && app.sign_in.is_some() => {
            (line.route, line.endpoint) = (("", SIGN_IN_PATH), Endpoint::SIGN_IN_PAGE);
            let mut context = RequestContext::new(app, http, medium, payload);
            // Boxed, because it is larger than the state of any other request.
            let answered = Box::pin(sign_in_page::answer(&mut context, line.request_id.uuid)).await;
            line.identity = context.identity;
            line.has_own_policy = answered.is_ok();
            answered
        }
        Routed::NotFound => {
            let file = ConsoleFile::at(path).filter(|_| app.has_console).ok_or(ApiError::NotFound)?;
            (line.route, line.endpoint) = (("", file.path()), Endpoint::CONSOLE);
            let response = file.answer(http)?;
            line.has_own_policy = response.headers().contains_key(header::CACHE_CONTROL);
            Ok(response)
        }
        Routed::MethodNotAllowed(route) if http.method() == Method::OPTIONS => {
            line.route = (PREFIX, route.path);
            Ok(options(&route.allow))
        }
        Routed::MethodNotAllowed(route) => {
            line.route = (PREFIX, route.path);
            Err(ApiError::MethodNotAllowed(route.allow.clone()))
        }
        Routed::To(operation, parameters) => {
            (line.route, line.endpoint) = ((PREFIX, operation.path), operation.into());
            let mut context = RequestContext {
                app,
                address: client_address(http, &app.proxies),
                scope: RequiredScope { controller: operation.controller, action: operation.action },
                catalogue,
                parameters: parameters.map(str::to_owned),
                http,
                medium,
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

/// Answers what is not below the base path: the console's page may be asked for without its slash.
fn outside(worker: &Worker, http: &Request, line: &mut LogLine<'_>) -> Result<HttpResponse, ApiError> {
    let is_public = worker.serves != Serves::Metrics && worker.app.has_console;
    let is_read = [Method::GET, Method::HEAD].contains(http.method());
    let base = worker.app.base_path.as_ref().filter(|base| is_public && is_read && base.is(http.uri().path()));
    let base = base.ok_or(ApiError::NotFound)?;
    (line.route, line.endpoint) = (("", "/"), Endpoint::CONSOLE);
    Ok(redirect_to_page(base))
}

/// The request's path below the base path, if it is below that.
fn path_within<'a>(app: &App, http: &'a Request) -> Option<&'a str> {
    let path = http.uri().path();
    app.base_path.as_ref().map_or(Some(path), |base| below(base, path))
}

/// The rest of a path below the base path, which checks of health may leave out.
fn below<'a>(base: &BasePath, path: &'a str) -> Option<&'a str> {
    base.strip(path).or_else(|| PublicEndpoint::at(path).filter(|endpoint| endpoint.is_of_health()).map(|_| path))
}

/// The response to a request that failed.
fn refusal(error: ApiError, app: &App, http: &Request, medium: Medium, id: Uuid) -> HttpResponse {
    let response = error.into_response(id);
    let path = path_within(app, http).unwrap_or_default();
    match route(http.method(), path, Reach::of(medium)) {
        Routed::To(operation, _) if operation.admits == Admits::Forwarded => {
            let response = forward_auth::restricted(response, http.uri().query().unwrap_or_default());
            sign_in_redirect::offered(response, http, app, has_forwarded_credential(http.headers()))
        }
        Routed::To(..) | Routed::MethodNotAllowed(_) | Routed::NotFound => response,
    }
}

/// Adds the headers that every response has.
fn complete(headers: &mut HeaderMap, line: &LogLine, is_encrypted: bool) {
    const NO_SNIFF: HeaderValue = HeaderValue::from_static("nosniff");
    const NO_REFERRER: HeaderValue = HeaderValue::from_static("no-referrer");
    const POLICY: [(HeaderName, HeaderValue); 2] = [
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    ];
    const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
    // Appended, because no response has them yet, and that costs less than to look for those to replace.
    headers.append(header::X_CONTENT_TYPE_OPTIONS, NO_SNIFF);
    if !line.has_own_policy || !headers.contains_key(header::REFERRER_POLICY) {
        headers.append(header::REFERRER_POLICY, NO_REFERRER);
    }
    if !line.has_own_policy {
        for (name, value) in POLICY {
            headers.append(name, value);
        }
    }
    if is_encrypted {
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    }
    let id = HeaderValue::from_str(line.request_id.as_str());
    headers.append(REQUEST_ID, id.expect("a UUID is a header value"));
}

/// The log line of a request, which is counted with it. It is also written when the client disconnects before there is a
/// response.
struct LogLine<'w> {
    worker: &'w Worker,
    request_id: RequestId,
    method: Method,
    route: (&'static str, &'static str),
    endpoint: Endpoint,
    identity: RequestIdentity,
    began: Instant,
    took: Duration,
    status: Option<u16>,
    /// Whether the response already has its own `Cache-Control` and `Content-Security-Policy`, and perhaps `Referrer-Policy`.
    has_own_policy: bool,
}

impl<'w> LogLine<'w> {
    fn begin(worker: &'w Worker, method: &Method) -> Self {
        Self {
            worker,
            request_id: RequestId::next(),
            method: method.clone(),
            route: ("", "-"),
            endpoint: Endpoint::default(),
            identity: RequestIdentity::default(),
            began: Instant::now(),
            took: Duration::ZERO,
            status: None,
            has_own_policy: false,
        }
    }

    fn end(mut self, status: u16) {
        self.status = Some(status);
    }
}

/// The line, without path, query and headers, because some clients put secrets there.
impl fmt::Display for LogLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = self.method.as_str().get(..16).unwrap_or(self.method.as_str());
        let (prefix, path) = self.route;
        let who = self.identity.user.map(Id::get).or(self.identity.local_uid);
        let micros = self.took.as_secs() * 1_000_000 + u64::from(self.took.subsec_micros());
        let [mut status, mut millis, mut thousandths, mut user, mut api_key] = [itoa::Buffer::new(); 5];
        // Put together and written at once, because formatting takes six times as long.
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
            self.request_id.as_str(),
            if self.identity.local_uid.is_some() { " user_id=local:" } else { " user_id=" },
            who.map_or("-", |id| user.format(id)),
            " api_key_id=",
            self.identity.api_key.map_or("-", |id| api_key.format(id.get())),
        ];
        f.write_str(&parts.concat())
    }
}

impl Drop for LogLine<'_> {
    fn drop(&mut self) {
        self.took = self.began.elapsed();
        self.worker.count(self.endpoint, self.status, self.took);
        log::info!(target: "lodge::request", "{self}");
    }
}
