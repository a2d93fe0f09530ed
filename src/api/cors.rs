//! CORS: only pages of configured origins may use the API.

use actix_web::http::{
    Method,
    header::{
        ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
        ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_METHOD, ALLOW, HeaderMap,
        HeaderValue, ORIGIN, VARY,
    },
};

/// How long a browser may cache the answer to a preflight.
const MAX_AGE_SECS: HeaderValue = HeaderValue::from_static("600");
const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Content-Type, User-Agent, X-Requested-With");
const ANSWER_HEADERS: HeaderValue = HeaderValue::from_static("Authorization, Retry-After, X-Request-Id");

/// The origins whose pages may use the API.
#[derive(Clone, Debug)]
pub struct Origins(Vec<HeaderValue>);

impl Origins {
    /// These origins, each spelled as a browser sends it; one that is not a valid header value matches nothing.
    #[must_use]
    pub fn new(origins: &[String]) -> Self {
        Self(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()).collect())
    }

    /// Adds the headers that let a page of a configured origin read the response. Credentials that a browser adds by
    /// itself are never allowed: pages send theirs in `Authorization`.
    pub(super) fn complete(&self, method: &Method, request: &HeaderMap, response: &mut HeaderMap) {
        if self.0.is_empty() {
            return;
        }
        response.append(VARY, HeaderValue::from_static("Origin"));
        let mut given = request.get_all(ORIGIN);
        let (Some(origin), None) = (given.next(), given.next()) else { return };
        if !self.0.contains(origin) {
            return;
        }
        response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        if *method == Method::OPTIONS && request.contains_key(ACCESS_CONTROL_REQUEST_METHOD) {
            if let Some(methods) = response.get(ALLOW).cloned() {
                response.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
            response.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
            response.insert(ACCESS_CONTROL_MAX_AGE, MAX_AGE_SECS);
        } else {
            response.insert(ACCESS_CONTROL_EXPOSE_HEADERS, ANSWER_HEADERS);
        }
    }
}
