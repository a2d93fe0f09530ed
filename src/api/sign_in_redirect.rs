//! Leads a browser without a credential to the page to sign in at.

use actix_http::{HttpMessage, Request};
use actix_web::{
    HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE},
    },
};
use form_urlencoded::byte_serialize;

use super::{client_request::ClientRequest, context::App, demand::Demand};
use crate::config::{BasePath, SIGN_IN_PATH, SignInPage, WebAddress};

/// Where the browser can sign in.
const SIGN_IN: HeaderName = HeaderName::from_static("x-lodge-sign-in");
/// How many bytes the header may have: some proxies read all headers of a response within 4 KiB.
const MAX_BYTES: usize = 2048;

/// The 401 with the page's address, for a browser that goes to another page, and a 302 where the proxy asks for it. Other
/// requests and other refusals are answered as they are.
pub(super) fn offered(mut refusal: HttpResponse, http: &Request, app: &App, has_credential: bool) -> HttpResponse {
    let Some(page) = app.sign_in.as_ref().filter(|_| refusal.status() == StatusCode::UNAUTHORIZED && !has_credential)
    else {
        return refusal;
    };
    let request = ClientRequest::reported(http, &app.proxies);
    let wanted = request.page(http.headers());
    let Some(address) = wanted.and_then(|wanted| address(page, app.base_path.as_ref(), wanted)) else { return refusal };
    let redirects = Demand::parse(http.uri().query().unwrap_or_default()).is_ok_and(|demand| demand.redirects);
    refusal.headers_mut().insert(SIGN_IN, address.clone());
    if redirects { redirected(refusal, address) } else { refusal }
}

fn redirected(mut refusal: HttpResponse, address: HeaderValue) -> HttpResponse {
    *refusal.status_mut() = StatusCode::FOUND;
    let headers = refusal.headers_mut();
    headers.remove(WWW_AUTHENTICATE);
    headers.insert(LOCATION, address);
    refusal
}

/// The address of the page that leads back to that address; `None` if it may not lead there, or that is the page itself.
fn address(page: &SignInPage, base: Option<&BasePath>, wanted: &WebAddress) -> Option<HeaderValue> {
    let of_host =
        || WebAddress::at(wanted.origin.clone(), &format!("{}{SIGN_IN_PATH}", base.map_or("", BasePath::as_str)));
    let at = page.address.clone().or_else(of_host)?;
    let is_itself = at.origin == wanted.origin && at.path() == wanted.path();
    if is_itself || !page.leads_to(wanted) {
        return None;
    }
    let to: String = byte_serialize(wanted.to_string().as_bytes()).collect();
    let address = format!("{at}?to={to}");
    HeaderValue::try_from(address).ok().filter(|address| address.len() <= MAX_BYTES)
}
